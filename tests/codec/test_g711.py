"""G.711 at the rate of the link."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from codec.g711 import RATIO, Narrow, Wide, codes, levels
from proto.frames import FRAME_BYTES, SAMPLE_BYTES, SAMPLE_RATE_HZ
from proto.payload import Payload
from relay.engine import audio as engine
from tests.support.sound import lag_samples
from tests.transceiver.leg import voice

LAWS = [Payload.PCMU, Payload.PCMA]
SILENCE = {Payload.PCMU: 0xFF, Payload.PCMA: 0xD5}


@pytest.mark.parametrize("law", LAWS)
def test_the_laws_are_those_of_the_engine(law: Payload) -> None:
    name = f"audio/{law.name.lower()}"
    assert levels(law) == tuple(engine._G711[name].tolist())
    assert len(codes(law)) == 65536
    assert codes(law)[32768] == SILENCE[law] or levels(law)[codes(law)[32768]] in (
        0,
        -8,
    )


@pytest.mark.parametrize("law", LAWS)
def test_what_goes_in_comes_out_as_long_2_ms_later(law: Payload) -> None:
    narrow, wide = Narrow(law), Wide(law)
    said = voice(0, 100 * 480)
    heard = b""
    for start in range(0, len(said), FRAME_BYTES):
        payload = narrow.encode(said[start : start + FRAME_BYTES])
        assert len(payload) == 160
        heard += wide.decode(payload)
    one, two = np.frombuffer(said, "<i2"), np.frombuffer(heard, "<i2")
    assert len(one) == len(two)
    lag = lag_samples(one, two)
    assert 0 <= lag <= SAMPLE_RATE_HZ * 0.005
    assert np.corrcoef(one[: len(one) - lag], two[lag:])[0, 1] > 0.99


@pytest.mark.parametrize("law", LAWS)
@given(sizes=st.lists(st.integers(0, 160), max_size=20))
def test_any_sizes_keep_step(law: Payload, sizes: list[int]) -> None:
    narrow, wide = Narrow(law), Wide(law)
    for size in sizes:
        payload = narrow.encode(bytes(size * RATIO * SAMPLE_BYTES))
        assert len(payload) == size
        assert len(wide.decode(payload)) == size * RATIO * SAMPLE_BYTES
