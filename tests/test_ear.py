"""The ear that the truncation is measured with, at sounds whose truth is known."""

import random

import numpy as np
import pytest

from codec.opus import Encoder
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.support import ear
from tests.support.ear import BUFFER_S, Packet, Sound
from tests.support.sound import Pcm, babble

FRAME_S, FRAME_TICKS = 0.02, 960
LOOK_AHEAD_S = 0.0065
NEAR_SAMPLES = SAMPLE_RATE_HZ // 100


def packets(
    spoken: Pcm, frames: int, hush: int = 8, start: int = 2**32 - 5 * FRAME_TICKS
) -> list[Packet]:
    """Speak so many frames, then silence; each packet comes when it is due."""
    encoder = Encoder()
    encoder.set_expected_loss(20)
    made = []
    for i in range(frames + hush):
        piece = spoken[i * FRAME_SAMPLES : (i + 1) * FRAME_SAMPLES]
        pcm = piece.tobytes() if i < frames else bytes(FRAME_BYTES)
        timestamp = (start + i * FRAME_TICKS) % 2**32
        made.append(Packet(i * FRAME_S, timestamp, encoder.encode(pcm)))
    return made


def starts(played: list[Sound]) -> list[float]:
    return [sound.start_s for sound in played]


def test_a_steady_stream_is_played_whole_behind_the_buffer() -> None:
    played = ear.play(packets(babble(1.0, 1), 20))
    assert starts(played) == pytest.approx([BUFFER_S + i * FRAME_S for i in range(29)])


def test_nothing_is_played_of_nothing() -> None:
    assert ear.play([]) == []
    assert ear.silent_s([]) is None
    assert ear.end_samples([], babble(1.0, 1)) == 0


def test_order_doubles_and_jitter_within_the_buffer_are_not_heard() -> None:
    made, rng = packets(babble(1.0, 1), 20), random.Random(1)
    late = [
        one._replace(arrived_s=one.arrived_s + rng.uniform(0, BUFFER_S))
        for one in made[1:]
    ]
    jumbled = [made[0], *sorted([*late, *late])]
    assert starts(ear.play(jumbled)) == pytest.approx(starts(ear.play(made)))


def test_a_stream_that_stalls_is_played_later_and_whole() -> None:
    made = packets(babble(1.0, 1), 20)
    stalled = [
        one._replace(arrived_s=max(one.arrived_s, 0.5)) if i >= 5 else one
        for i, one in enumerate(made)
    ]
    played = ear.play(stalled)
    assert len(played) == 29
    assert starts(played)[5:] == pytest.approx([0.5 + i * FRAME_S for i in range(24)])


def test_one_that_comes_after_its_successor_was_played_is_made_up() -> None:
    made = packets(babble(1.0, 1), 20)
    made[7] = made[7]._replace(arrived_s=0.4)
    lost = ear.play([*made[:7], *made[8:]])
    for late, gone in zip(ear.play(made), lost, strict=True):
        assert late.start_s == gone.start_s
        assert np.array_equal(late.pcm, gone.pcm)


def test_after_a_pause_the_buffer_is_filled_anew() -> None:
    made = packets(babble(1.0, 1), 20)
    moved = [
        one._replace(
            arrived_s=one.arrived_s + 1.0,
            timestamp=(one.timestamp + 40 * FRAME_TICKS) % 2**32,
        )
        for one in made[10:]
    ]
    played = ear.play([*made[:10], *moved])
    assert 1.2 + BUFFER_S in [pytest.approx(at) for at in starts(played)]


SPOILT = (46, 50, 84, 120, 123)
"""Seeds of sounds of which the codec leaves so little at their end that the last 2.5 ms
that are alike are 11 to 15 ms off."""


@pytest.mark.parametrize("seed", [*range(8), *SPOILT])
def test_the_end_of_what_was_heard_is_found_to_10_ms(seed: int) -> None:
    frames = random.Random(seed).randrange(8, 100)
    spoken = babble(3.0, seed)
    played = ear.play(packets(spoken, frames))
    end = ear.end_samples(played, spoken)
    assert end == pytest.approx(frames * FRAME_SAMPLES, abs=NEAR_SAMPLES)


@pytest.mark.parametrize("seed", range(40))
def test_the_end_of_a_short_sound_is_found_to_10_ms(seed: int) -> None:
    frames = 5 + seed % 10
    spoken = babble(3.0, seed)
    played = ear.play(packets(spoken, frames))
    end = ear.end_samples(played, spoken)
    assert end == pytest.approx(frames * FRAME_SAMPLES, abs=NEAR_SAMPLES)


def test_what_is_made_up_when_packets_just_end_is_heard_but_was_not_spoken() -> None:
    spoken = babble(3.0, 3)
    played = ear.play(packets(spoken, 50, hush=0))
    end_s = ear.silent_s(played)
    assert end_s is not None
    assert end_s > BUFFER_S + 50 * FRAME_S + 0.05
    end = ear.end_samples(played, spoken)
    assert end == pytest.approx(50 * FRAME_SAMPLES, abs=NEAR_SAMPLES)


def test_a_hush_ends_the_sound_within_30_ms() -> None:
    end_s = ear.silent_s(ear.play(packets(babble(3.0, 3), 50)))
    sent_s = BUFFER_S + 50 * FRAME_S
    assert end_s == pytest.approx(sent_s + LOOK_AHEAD_S, abs=0.03)


@pytest.mark.parametrize("seed", range(8))
def test_losses_move_the_end_that_is_found_by_a_frame_at_most(seed: int) -> None:
    rng, spoken = random.Random(seed), babble(3.0, seed)
    made = packets(spoken, 60)
    came = [made[i] for i in range(len(made)) if rng.random() > 0.1 or i == 59]
    end = ear.end_samples(ear.play(came), spoken)
    assert end == pytest.approx(60 * FRAME_SAMPLES, abs=FRAME_SAMPLES)


def test_the_end_is_found_though_the_sound_came_in_pieces() -> None:
    spoken = babble(4.0, 5)
    made = [
        one._replace(
            arrived_s=one.arrived_s + 0.3 * (i // 20),
            timestamp=(one.timestamp + 15 * FRAME_TICKS * (i // 20)) % 2**32,
        )
        for i, one in enumerate(packets(spoken, 150))
    ]
    end = ear.end_samples(ear.play(made), spoken)
    assert end == pytest.approx(150 * FRAME_SAMPLES, abs=NEAR_SAMPLES)
