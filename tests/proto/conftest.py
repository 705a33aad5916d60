"""Links as they are with lanes and without, where these were compiled."""

import pytest

from proto import link
from tests.proto.lanes import LANELESS, LANES

WAYS = [LANELESS] if LANES == LANELESS else [LANES, LANELESS]


@pytest.fixture(params=WAYS, ids=lambda way: way[0].__module__)
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with lanes, and again without; once where none were compiled."""
    sealer, opener = request.param
    monkeypatch.setattr(link, "FrameSealer", sealer)
    monkeypatch.setattr(link, "FrameOpener", opener)
