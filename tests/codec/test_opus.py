"""The codec binding, with the real libopus."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from codec import opus
from codec.errors import LibraryMissing, OpusError
from codec.opus import (
    MAX_PACKET_SAMPLES,
    VOICE,
    Application,
    Decoder,
    Encoder,
    Encoding,
    carries_fec,
    packet_samples,
)
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.transceiver.leg import level, voice

LOOK_AHEAD_SAMPLES = 156
"""6.5 ms: what the VOIP encoder holds back."""

LOW_DELAY = Encoding(Application.LOW_DELAY, 48_000, 0, has_fec=False)
LOW_DELAY_LOOK_AHEAD_SAMPLES = 60
"""2.5 ms."""


def encode(frames: int, expected_loss: int = 20) -> list[bytes]:
    encoder = Encoder()
    encoder.set_expected_loss(expected_loss)
    return [
        encoder.encode(voice(i * FRAME_SAMPLES, FRAME_SAMPLES)) for i in range(frames)
    ]


def likeness(a: bytes, b: bytes) -> float:
    """Correlation of two pieces of PCM of the same length."""
    return float(np.corrcoef(np.frombuffer(a, "<i2"), np.frombuffer(b, "<i2"))[0, 1])


@pytest.mark.parametrize(
    ("encoding", "look_ahead_samples"),
    [(VOICE, LOOK_AHEAD_SAMPLES), (LOW_DELAY, LOW_DELAY_LOOK_AHEAD_SAMPLES)],
)
def test_what_is_said_is_heard_after_the_encoders_look_ahead(
    encoding: Encoding, look_ahead_samples: int
) -> None:
    encoder, decoder = Encoder(encoding), Decoder()
    silence = bytes(FRAME_SAMPLES * 2)
    said = [*[silence] * 10, *(voice(i * 480 + 40, 480) for i in range(10))]
    pcm = b"".join(decoder.decode(encoder.encode(frame)) for frame in said)
    assert len(pcm) == 20 * FRAME_SAMPLES * 2
    loud = np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 2000
    onset = int(np.argmax(loud)) - 10 * FRAME_SAMPLES
    assert onset == pytest.approx(look_ahead_samples, abs=48)
    assert level(pcm[-9600:]) == pytest.approx(level(b"".join(said[-10:])), rel=0.2)


@pytest.mark.parametrize("encoding", [VOICE, LOW_DELAY])
@pytest.mark.parametrize("samples", [60, 120, 240, 480, 960, 1440])
def test_every_duration_from_2_5_to_60_ms_is_encoded_and_decoded(
    encoding: Encoding, samples: int
) -> None:
    encoder, decoder = Encoder(encoding), Decoder()
    for i in range(5):
        pcm = decoder.decode(encoder.encode(voice(i * samples, samples)))
        assert len(pcm) == samples * 2


def test_stereo_is_mixed_to_mono() -> None:
    ffi, lib = opus._ffi, opus._lib
    encoder = ffi.gc(
        lib.opus_encoder_create(48_000, 2, 2049, ffi.new("int *")),
        lib.opus_encoder_destroy,
    )
    t = np.arange(960 * 30) / 48_000
    left = 8000 * np.sin(2 * np.pi * 300 * t)
    stereo = np.stack([left, 0 * left], axis=1).astype("<i2").tobytes()
    decoder, out, pcm = Decoder(), ffi.new("char[]", 1275), b""
    for i in range(0, len(stereo), 3840):
        size = lib.opus_encode(encoder, stereo[i : i + 3840], 960, out, 1275)
        pcm = decoder.decode(ffi.buffer(out)[0:size])
    assert len(pcm) == FRAME_SAMPLES * 2
    assert 1500 < level(pcm) < 4500


def test_a_packet_of_one_byte_is_a_frame_of_comfort_and_an_empty_one_nothing() -> None:
    decoder = Decoder()
    packets = encode(10)
    for packet in packets:
        decoder.decode(packet)
    assert len(decoder.decode(packets[-1][:1])) == FRAME_SAMPLES * 2
    assert decoder.decode(b"") == b""
    assert level(b"".join(map(decoder.decode, packets))) > 1000


def test_a_lost_packet_is_decoded_from_the_next_ones_repeat() -> None:
    packets = encode(60)
    lost = next(i for i in range(20, 59) if carries_fec(packets[i + 1]))
    whole, damaged = Decoder(), Decoder()
    expected = [whole.decode(packet) for packet in packets]
    for packet in packets[:lost]:
        damaged.decode(packet)
    repeated = damaged.decode_fec(packets[lost + 1], FRAME_SAMPLES)
    assert likeness(repeated, expected[lost]) > 0.8


def test_repeats_are_sent_only_when_loss_is_expected() -> None:
    assert sum(map(carries_fec, encode(60, expected_loss=20))) > 30
    assert sum(map(carries_fec, encode(60, expected_loss=0))) == 0


def test_low_delay_carries_no_fec_and_keeps_to_its_bitrate() -> None:
    encoder = Encoder(LOW_DELAY)
    encoder.set_expected_loss(20)
    packets = [encoder.encode(voice(i * 480, 480)) for i in range(60)]
    assert not any(map(carries_fec, packets))
    assert sum(map(len, packets)) * 8 / (60 * 0.02) == pytest.approx(48_000, rel=0.1)
    encoder.set_bitrate(24_000)
    packets = [encoder.encode(voice(i * 480, 480)) for i in range(60)]
    assert sum(map(len, packets)) * 8 / (60 * 0.02) == pytest.approx(24_000, rel=0.1)


def test_an_encoding_is_named_as_tables_have_it() -> None:
    assert str(VOICE) == "VOIP, 32 kbit/s, complexity 5, in-band FEC"
    assert str(LOW_DELAY) == "low delay, 48 kbit/s, complexity 0"


def test_concealment_goes_on_with_the_voice_and_weakens() -> None:
    decoder = Decoder()
    for packet in encode(30):
        decoder.decode(packet)
    made_up = [decoder.conceal(FRAME_SAMPLES) for _ in range(30)]
    assert level(made_up[0]) > 500
    assert level(made_up[-1]) < level(made_up[0])


@pytest.mark.parametrize("samples", [0, 7, 481, MAX_PACKET_SAMPLES + 60])
def test_impossible_durations_are_refused(samples: int) -> None:
    with pytest.raises(OpusError):
        Decoder().conceal(samples)
    with pytest.raises(OpusError):
        Encoder().encode(bytes(samples * 2))


@settings(max_examples=300, deadline=None)
@given(payload=st.binary(min_size=1, max_size=1300))
def test_any_payload_is_decoded_or_refused_and_the_next_good_one_heard(
    payload: bytes,
) -> None:
    decoder = Decoder()
    packets = GOOD
    for packet in packets[:5]:
        decoder.decode(packet)
    with contextlib.suppress(OpusError):
        assert len(decoder.decode(payload)) <= MAX_PACKET_SAMPLES * 2
    assert level(b"".join(map(decoder.decode, packets[5:10]))) > 1000


@settings(max_examples=200, deadline=None)
@given(payload=st.binary(max_size=60))
def test_any_payload_can_be_asked_for_its_repeat(payload: bytes) -> None:
    assert carries_fec(payload) in {True, False}
    with contextlib.suppress(OpusError):
        Decoder().decode_fec(payload, FRAME_SAMPLES)


def test_settings_out_of_range_are_refused() -> None:
    encoder = Encoder()
    with pytest.raises(OpusError):
        encoder.set_complexity(11)
    with pytest.raises(OpusError):
        encoder.set_expected_loss(101)
    encoder.set_bitrate(12_000)
    assert len(encoder.encode(voice(0, FRAME_SAMPLES))) < 100


def test_a_reset_encoder_holds_nothing_of_what_came_before() -> None:
    encoder, decoder = Encoder(), Decoder()
    for i in range(10):
        encoder.encode(voice(i * FRAME_SAMPLES, FRAME_SAMPLES))
    encoder.reset()
    assert level(decoder.decode(encoder.encode(bytes(FRAME_SAMPLES * 2)))) < 10


def test_a_missing_library_is_named_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "_candidates", lambda: iter(["/nowhere/libopus.so"]))
    with pytest.raises(LibraryMissing, match=r"libopus not found.*/nowhere/libopus.so"):
        opus._load(opus._ffi)


def test_the_rate_is_that_of_the_link() -> None:
    assert SAMPLE_RATE_HZ == 24_000
    assert opus.version().startswith("libopus")


GOOD = encode(10)


@pytest.mark.parametrize("milliseconds", [2.5, 5, 10, 20, 40, 60])
def test_a_packets_duration_is_read_from_its_head(milliseconds: float) -> None:
    samples = round(SAMPLE_RATE_HZ * milliseconds / 1000)
    assert packet_samples(Encoder().encode(bytes(2 * samples))) == samples


@given(st.binary(max_size=80))
def test_a_packet_that_is_decoded_is_as_long_as_its_head_says(payload: bytes) -> None:
    try:
        pcm = Decoder().decode(payload)
    except OpusError:
        return
    assert len(pcm) // 2 == packet_samples(payload)
