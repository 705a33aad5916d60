"""Ordered packets to PCM at its media time."""

import pytest

from codec.opus import Encoder
from codec.voice import MAX_MADE_UP_SAMPLES, Piece, fade
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.transceiver.leg import FRAME_TICKS, level, voice
from transceiver.voice import MAX_BURST_SAMPLES, MAX_PACE, AsItCame, Decoded


class Speaker:
    """Ordered packets of a voice, some of them missing."""

    def __init__(self, samples: int = FRAME_SAMPLES) -> None:
        self.voice = Decoded()
        self.samples = samples
        self.now = 0.0
        self._encoder = Encoder()
        self._encoder.set_expected_loss(20)
        self._position = 0
        self._lost = 0

    def say(self, packets: int = 1) -> list[Piece]:
        pieces = []
        for _ in range(packets):
            payload, timestamp = self._next()
            pieces += self.voice.take(self._lost, timestamp, payload, self.now)
            self._lost = 0
        return pieces

    def lose(self, packets: int) -> None:
        for _ in range(packets):
            self._next()
            self._lost += 1

    def _next(self) -> tuple[bytes, int]:
        payload = self._encoder.encode(voice(self._position, self.samples))
        timestamp = (self._position * 2) % 2**32
        self._position += self.samples
        self.now += self.samples / SAMPLE_RATE_HZ
        return payload, timestamp


def spans(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(position, position + len(pcm) // 2) for position, pcm in pieces]


def is_seamless(pieces: list[Piece]) -> bool:
    ends = [end for _, end in spans(pieces)]
    return [start for start, _ in spans(pieces)][1:] == ends[:-1]


@pytest.mark.parametrize("samples", [60, 240, 480, 960, 1440])
def test_packets_of_any_duration_become_pieces_of_at_most_a_frame(samples: int) -> None:
    pieces = Speaker(samples).say(10)
    assert is_seamless(pieces)
    assert spans(pieces)[-1][1] == 10 * samples
    assert max(len(pcm) for _, pcm in pieces) <= FRAME_BYTES


@pytest.mark.parametrize("samples", [240, 480, 960, 1440])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_short_loss_is_filled_without_a_seam(samples: int, lost: int) -> None:
    speaker = Speaker(samples)
    pieces = speaker.say(10)
    speaker.lose(lost)
    pieces += speaker.say(5)
    assert is_seamless(pieces)


def test_of_a_long_loss_120_ms_are_made_up_and_then_time_jumps() -> None:
    speaker = Speaker()
    speaker.say(10)
    speaker.lose(7)
    pieces = speaker.say(1)
    resumed = 17 * FRAME_SAMPLES
    made_up = [pcm for position, pcm in pieces if position < resumed]
    assert sum(map(len, made_up)) == MAX_MADE_UP_SAMPLES * 2
    assert pieces[-1][0] == resumed


@pytest.mark.parametrize("lost", [8, 50, 3000])
def test_of_a_loss_that_was_told_as_silence_only_what_is_repeated_is_heard(
    lost: int,
) -> None:
    speaker = Speaker()
    speaker.say(10)
    speaker.lose(lost)
    *made_up, (position, _) = speaker.say(1)
    assert position == (10 + lost) * FRAME_SAMPLES
    assert [at for at, _ in made_up] in ([], [position - FRAME_SAMPLES])
    assert speaker.voice.concealed == 0
    assert speaker.voice.recovered == len(made_up)


def test_loss_around_a_packet_without_audio_is_made_up_at_the_next_with_some() -> None:
    speaker = Speaker()
    pieces = speaker.say(10)
    speaker.lose(1)
    assert speaker.voice.take(1, 0, b"", speaker.now) == []
    speaker._lost = 0
    pieces += speaker.say(1)
    assert is_seamless(pieces)


def test_nothing_is_made_up_before_silence_that_was_not_sent() -> None:
    speaker = Speaker()
    speaker.say(10)
    speaker._position += 20 * FRAME_SAMPLES
    speaker.now += 0.4
    speaker.lose(1)
    pieces = speaker.say(1)
    assert [at for at, _ in pieces][-2:] in (
        [31 * FRAME_SAMPLES],
        [30 * FRAME_SAMPLES, 31 * FRAME_SAMPLES],
    )
    assert speaker.voice.concealed == 0


def test_a_corrupt_packet_is_concealed_in_its_place() -> None:
    speaker = Speaker()
    pieces = speaker.say(10)
    pieces += speaker.voice.take(0, 10 * FRAME_TICKS, b"\xff\xff\xff", 0.2)
    speaker.lose(1)
    speaker._lost = 0
    pieces += speaker.say(1)
    assert is_seamless(pieces)
    assert level(pieces[10][1]) > 300
    assert speaker.voice.corrupt == 1


def test_media_time_goes_on_in_another_stream() -> None:
    speaker = Speaker()
    speaker.say(10)
    speaker.voice.restart()
    speaker._position = 123_456
    assert speaker.say(2)[0][0] == 10 * FRAME_SAMPLES


def test_a_caller_who_was_away_comes_back_where_real_time_is() -> None:
    speaker = Speaker()
    speaker.say(10)
    speaker.now += 30.0
    speaker._position += 5_000_000
    position = speaker.say(1)[0][0]
    assert position == pytest.approx(10 * 480 + 30 * SAMPLE_RATE_HZ, abs=480)


@pytest.mark.parametrize("kind", [Decoded, AsItCame])
@pytest.mark.parametrize("ticks", [0, FRAME_TICKS, 6 * FRAME_TICKS])
def test_who_sends_faster_than_anyone_speaks_is_not_followed(
    kind: type[Decoded | AsItCame], ticks: int
) -> None:
    hearing, packet = kind(), Encoder().encode(bytes(FRAME_BYTES))
    seconds, packets = 2, 2000
    taken = sum(
        bool(hearing.take(0, number * ticks, packet, number / packets * seconds))
        for number in range(packets)
    )
    most = MAX_BURST_SAMPLES + seconds * MAX_PACE * SAMPLE_RATE_HZ
    assert taken * FRAME_SAMPLES <= most
    assert taken + hearing.excess == packets
    assert hearing.take(0, packets * ticks, packet, seconds + 5.0)


@pytest.mark.parametrize("kind", [Decoded, AsItCame])
def test_what_a_stall_held_up_is_taken_at_once(
    kind: type[Decoded | AsItCame],
) -> None:
    hearing, packet = kind(), Encoder().encode(bytes(FRAME_BYTES))
    for number in range(1000):
        now = max(number / 50, 12.0) if number > 100 else number / 50
        assert hearing.take(0, number * FRAME_TICKS, packet, now)
    assert (hearing.excess, hearing.jumps) == (0, 0)


def test_a_fade_begins_as_it_was_and_ends_in_silence() -> None:
    pcm = voice(0, FRAME_SAMPLES)
    faded = fade(pcm)
    assert len(faded) == len(pcm)
    assert faded[:2] == pcm[:2]
    assert level(faded[-40:]) < 300
    assert fade(b"") == b""
