"""Audio in and out of the wire's formats."""

import base64

import numpy as np
import pytest
from hypothesis import given, strategies as st

from relay.engine.audio import Decoder, Encoder, Resampler
from tests.engine.talk import tone

REFERENCE = {
    "audio/pcmu": {0x00: -32124, 0x80: 32124, 0xFF: 0, 0x7F: 0, 0x8F: 16764},
    "audio/pcma": {0x55: -8, 0xD5: 8, 0x2A: -32256, 0xAA: 32256, 0x80: 5504},
}
"""Values of the tables in ITU-T G.711."""


@given(st.binary(max_size=200).filter(lambda data: len(data) % 2 == 0))
def test_pcm_is_carried_as_it_is(data: bytes) -> None:
    pcm = Decoder("audio/pcm").decode(base64.b64encode(data).decode())
    assert base64.b64decode(Encoder("audio/pcm").encode(pcm)) == data


@pytest.mark.parametrize("format_type", sorted(REFERENCE))
def test_g711_codes_have_the_values_of_the_standard(format_type: str) -> None:
    codes = bytes(range(256))
    decoder = Decoder(format_type)
    assert decoder.table is not None
    linear = decoder.table[np.frombuffer(codes, np.uint8)]
    for code, value in REFERENCE[format_type].items():
        assert linear[code] == value


@pytest.mark.parametrize("format_type", sorted(REFERENCE))
def test_g711_speech_survives_a_round_trip(format_type: str) -> None:
    sent = tone(500)
    received = Decoder(format_type).decode(Encoder(format_type).encode(sent))
    assert len(received) == pytest.approx(len(sent), abs=200)
    loudness = float(np.std(received[2000:-2000].astype(float)))
    assert loudness == pytest.approx(float(np.std(sent.astype(float))), rel=0.05)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (8_000, 24_000)])
def test_resampling_in_pieces_is_resampling_at_once(from_hz: int, to_hz: int) -> None:
    whole = tone(400)
    at_once = Resampler(from_hz, to_hz).feed(whole)
    pieces = Resampler(from_hz, to_hz)
    parts = [pieces.feed(whole[start : start + 480]) for start in range(0, 9600, 480)]
    joined = np.concatenate(parts)
    assert np.array_equal(joined, at_once[: len(joined)])
    assert len(joined) >= len(at_once) - 64
