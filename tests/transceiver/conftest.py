"""Legs as they are with lanes and without, where these were compiled."""

import pytest

from tests.transceiver.lanes import LANELESS, LANES, use

WAYS = [LANELESS] if LANES == LANELESS else [LANES, LANELESS]


@pytest.fixture(params=WAYS, ids=lambda way: way[0].__module__)
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with lanes, and again without; once where none were compiled."""
    use(request.param, monkeypatch)
