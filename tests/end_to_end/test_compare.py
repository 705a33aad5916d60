"""Peers of the comparison as processes: a small stand-in for an echo server."""

import os
import sys
from pathlib import Path

import pytest

from bench.compare import peer
from bench.compare.peer import PeerError

GREETING = """
import json, os, signal, sys
print("a library's own words")
print(json.dumps({"codec": sys.argv[1], "pids": {"stand-in": os.getpid()}}), flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(peer, "PEERS", tmp_path)
    monkeypatch.setattr(peer, "python", lambda name: Path(sys.executable))
    return tmp_path


def test_a_peer_runs_on_its_core_until_it_is_told_to_stop(peers: Path) -> None:
    (peers / "stand_in_echo.py").write_text(GREETING)
    core = max(os.sched_getaffinity(0))
    assert peer.names() == ["stand_in"]
    with peer.running("stand_in", {}, core) as running:
        pid = running.pids["stand-in"]
        assert running.url.endswith(f":{running.codec}")
        assert os.sched_getaffinity(pid) == {core}
        peer.move(pid, os.sched_getaffinity(0))
        assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)
    assert not Path(f"/proc/{pid}").exists()


def test_a_peer_that_fails_is_told_by_its_last_words(peers: Path) -> None:
    (peers / "broken_echo.py").write_text("import nothing_of_this_name")
    with (
        pytest.raises(PeerError, match="nothing_of_this_name"),
        peer.running("broken", {}, max(os.sched_getaffinity(0))),
    ):
        pytest.fail("it is not ready")
