import contextlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bench.compare import judge, peer, rows, stand
from bench.compare.judge import next_load
from bench.compare.pace import Pace
from bench.compare.peer import PEERS, ROOT, SUFFIX, PeerError, Running
from bench.compare.result import Result, Step, Trial
from bench.compare.stand import Cores, Stand
from bench.compare.table import (
    HEAD,
    generator,
    held,
    markdown,
    more,
    ratios,
    searched,
)

SCRIPT = re.compile(r"^# /// script\n(.*?)^# ///$", re.MULTILINE | re.DOTALL)
RUN = {
    "calls": 10,
    "connected": 10,
    "failures": {},
    "returned": 1.0,
    "delay": {"p50": 7.0, "p99": 12.0},
    "gaps": 0,
    "longest_gap_ms": 0.0,
    "first_media": None,
    "holds": [],
    "apart": None,
    "cpu_ms": {"4711": 80.0, "4712": 20.0},
    "server_ms": 80.0,
    "others": {"0": 0.6, "1": 0.01},
    "late_ms": 1.1,
    "slowness": 1.01,
    "slowest": 1.2,
    "eased": False,
    "disturbed": "",
}


@contextlib.contextmanager
def nobody(*_: object) -> Iterator[Running]:
    """Run no server."""
    yield Running("", "its own", {"server": 4711})


def on_one_core(tell: Callable[[str], None]) -> Stand:
    """Return where no server is put under load."""
    cores = Cores(1, frozenset({0}))
    return Stand(nobody, cores, (), is_own=False, pace=Pace({}), tell=tell)


def carried(capacity: int, promised: float) -> list[int]:
    """Return the loads that are tried on a server of a known capacity."""
    tried: list[int] = []
    held = failed = None
    for _ in range(judge.MAX_STEPS):
        calls = next_load(promised, held, failed)
        if calls is None:
            break
        tried.append(calls)
        if calls <= capacity:
            held = calls
        else:
            failed = calls
    return tried


@pytest.mark.parametrize(
    ("capacity", "promised", "found"),
    [(95, 100.0, 95), (70, 100.0, 68), (300, 100.0, 105), (50, 100.0, 50), (1, 1.0, 1)],
)
def test_the_search_closes_in_on_what_a_core_carries(
    capacity: int, promised: float, found: int
) -> None:
    tried = carried(capacity, promised)
    assert len(tried) <= judge.MAX_STEPS
    held = [calls for calls in tried if calls <= capacity]
    assert max(held) == pytest.approx(found, rel=0.12)


def test_a_search_never_tries_a_load_twice() -> None:
    for capacity in range(1, 200, 7):
        tried = carried(capacity, 100.0)
        assert len(set(tried)) == len(tried)


@pytest.mark.parametrize(
    ("worse", "why"),
    [
        ({"connected": 9}, "1 calls not connected"),
        ({"failures": {"lost": 1}}, "1 x lost"),
        ({"returned": 0.98}, "98.0 % of the packets answered"),
        ({"delay": None}, "no caller heard its own voice"),
        ({"delay": {"p50": 7.0, "p99": 90.0}}, "delay p99 90 ms"),
    ],
)
def test_a_load_holds_only_if_every_caller_is_served_in_time(
    worse: dict[str, object], why: str
) -> None:
    assert not judge.failure(RUN, 12.0, may_ease=False)
    assert judge.failure(RUN | worse, 12.0, may_ease=True) == why


def test_what_is_held_against_its_limit_is_carried_with_no_encoder_eased() -> None:
    eased = RUN | {"eased": True}
    assert judge.failure(eased, 12.0, may_ease=False) == "encoders were eased"
    assert not judge.failure(eased, 12.0, may_ease=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"others": {"1": 0.15}}, "others took 15 % of the core"),
        ({"others": {}}, ""),
        ({"late_ms": 13.0}, "the generator was 13 ms late"),
        ({"slowness": 1.3}, "the core was 1.30 times as slow as at best"),
        ({"slowest": 1.4}, "the core was 1.40 times as slow for a second"),
    ],
)
def test_a_run_beside_which_the_cores_had_more_to_do_is_known(
    change: dict[str, object], why: str
) -> None:
    assert judge.disturbance(RUN | change, 1) == why


def test_a_servers_share_of_its_core_is_that_of_all_its_calls() -> None:
    assert judge.share(RUN) == pytest.approx(0.8)


def test_this_project_comes_first() -> None:
    mine = [row.peer == peer.OWN for row in rows.rows()]
    assert mine == sorted(mine, reverse=True)
    assert sum(mine) == len(rows.OWN)
    assert {row.peer for row in rows.rows(("wrtc",))} == {"wrtc"}


def test_a_peer_that_is_not_installed_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    row = rows.Row("nobody", "nobody")
    cores = Cores(0, frozenset({1}))
    result = rows.measure(row, cores, Pace({}), told.append, search=True)
    assert "compare-nobody.txt" in result.left_out
    assert "compare-nobody.txt" in markdown({}, [result])


def test_a_load_that_failed_once_gets_a_second_chance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[int, int] = {}

    def generate(_: str, __: object, options: tuple[str, ...]) -> dict[str, object]:
        calls = int(options[0].removeprefix("--calls="))
        seen[calls] = seen.get(calls, 0) + 1
        is_late = calls > 100 or (calls > 90 and seen[calls] == 1)
        return RUN | {
            "calls": calls,
            "connected": calls,
            "delay": {"p50": 7.0, "p99": 90.0 if is_late else 12.0},
            "cpu_ms": {"4711": 10.0},
            "own_cpu_ms": 1.0,
        }

    def running(*_: object) -> contextlib.AbstractContextManager[Running]:
        started.append(dict(seen))
        return nobody()

    started: list[dict[int, int]] = []
    monkeypatch.setattr(peer, "running", running)
    monkeypatch.setattr(stand, "_generate", generate)
    monkeypatch.setattr(Pace, "slowness", lambda *_: 1.0)
    monkeypatch.setattr(Pace, "slowest", lambda *_: 1.0)
    cores = Cores(1, frozenset({0}))
    row = rows.Row("nobody", "nobody")
    result = rows.measure(row, cores, Pace({}), lambda _: None, search=True)
    assert [step.calls for step in result.steps] == [80, 95, 95, 100, 100, 105, 105]
    carried = [not step.failure for step in result.steps]
    assert carried == [True, False, True, False, True, False, False]
    assert result.held is not None
    assert result.held.calls == 100
    assert result.promised == 100.0
    assert len(started) == sum(seen.values()), "each load meets a server of its own"


@pytest.mark.parametrize("failures", [1, 2])
def test_a_server_that_does_not_start_is_started_once_more(
    monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    starts = iter(range(9))

    def running() -> contextlib.AbstractContextManager[Running]:
        if next(starts) < failures:
            raise PeerError("did not get ready: address already in use")
        return nobody()

    told: list[str] = []
    monkeypatch.setattr(Pace, "slowness", lambda *_: 1.0)
    monkeypatch.setattr(Pace, "slowest", lambda *_: 1.0)
    monkeypatch.setattr(stand, "_generate", lambda *_: dict(RUN))
    table = replace(on_one_core(told.append), start=running)
    if failures == 1:
        assert not table.load(10, 1.0)["disturbed"]
    else:
        with pytest.raises(PeerError, match="in use"):
            table.load(10, 1.0)
    assert any("in use" in line for line in told)


def test_a_load_that_held_counts_and_one_that_failed_not_if_it_was_disturbed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slowness = iter([1.0, 1.5, 1.5, 1.5, 1.0, 1.0])

    def once(_: object, calls: int, *__: object) -> dict[str, object]:
        slow = next(slowness)
        late = 90.0 if calls > 90 else 12.0
        why = "slow" if slow > 1.1 else ""
        return RUN | {
            "calls": calls,
            "connected": calls,
            "delay": {"p50": 7.0, "p99": late},
            "server_ms": 10.0,
            "disturbed": why,
            "slowness": slow,
        }

    monkeypatch.setattr(Stand, "once", once)
    result = Result("nobody", "")
    table = on_one_core(lambda _: None)
    assert rows._try(table, result, 80, 12.0, may_ease=True) is not None
    assert rows._try(table, result, 80, 12.0, may_ease=True) is not None
    assert rows._try(table, result, 95, 12.0, may_ease=True) is None
    assert [step.calls for step in result.steps] == [80, 80, 95, 95, 95]


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([{"calls": 100}, {"calls": 90}], 100),
        ([{"calls": 100, "eased": True}, {"calls": 80}], 80),
        ([{"calls": 100, "disturbed": "late"}, {"calls": 80}], 80),
        ([{"calls": 100, "disturbed": "late"}], 100),
        ([{"calls": 100, "eased": True}], 6),
        ([], 6),
    ],
)
def test_what_a_call_costs_is_taken_from_many_undisturbed_with_no_encoder_eased(
    others: list[dict[str, object]], told: int
) -> None:
    few: dict[str, object] = {"calls": 6}
    runs = [RUN | run for run in (few, *others)]
    assert judge.telling(runs)["calls"] == told


def test_the_table_has_a_row_for_each_server_and_the_limit() -> None:
    measured = Result("wrtc", "its own", cpu_ms={"wrtc": 25.0}, promised=40.0)
    lines = markdown({"VOIP": 10.0}, [measured]).splitlines()
    assert len(lines) == 4
    assert all(line.count("|") == len(HEAD) + 1 for line in lines)
    assert "| 25.0 | - |" in lines[2]
    assert "| 100 |" in lines[3]


def test_a_row_is_held_against_the_limit_of_its_own_encoding() -> None:
    mine = Result("tandem", "VOIP", cpu_ms={"transceiver": 12.5, "relay": 99.0})
    other = Result("wrtc", "its own", cpu_ms={"wrtc": 25.0})
    assert "| 1.25 |" in markdown({"VOIP": 10.0}, [mine])
    assert ratios({"VOIP": 10.0}, [mine, other]).endswith("tandem: wrtc 2.0")


def test_what_a_run_has_written_is_shown_as_it_was() -> None:
    row = Result("tandem", "VOIP", cpu_ms={"transceiver": 8.0}, held=Trial.of(RUN))
    row.steps = [Step(90, "", 0.8)]
    assert Result.read(json.loads(json.dumps(row.as_json()))) == row


def test_the_readme_shows_what_the_last_run_has_written() -> None:
    written = (ROOT / "docs" / "benchmark.json").read_text(encoding="utf-8")
    figures = json.loads(written)
    results = map(Result.read, figures["rows"])
    table = markdown(figures["limits_ms"], results)
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


def test_who_protects_its_voice_is_compared_while_it_does() -> None:
    rows = [
        Result(
            name,
            codec,
            at_ease=Trial.of(RUN | {"server_ms": at_ease_ms}),
            protecting=Trial.of(RUN | {"server_ms": protecting_ms}),
        )
        for name, codec, at_ease_ms, protecting_ms in (
            ("tandem", "VOIP", 10.0, 12.0),
            ("wrtc", "its own", 20.0, 30.0),
        )
    ]
    assert [row.protection for row in rows] == [1.2, 1.5]
    told = ratios({"VOIP": 10.0}, rows)
    assert told == (
        "Times the CPU of tandem while 10 % is lost on the way down: wrtc 2.5"
    )


def test_what_callers_notice_is_told_of_every_run_there_was() -> None:
    figures = RUN | {
        "gaps": 2,
        "longest_gap_ms": 61.0,
        "first_media": {"p50": 40.0, "p99": 90.0},
    }
    heard = Trial.of(figures)
    unheard = Trial.of(figures | {"delay": None, "first_media": None, "returned": 0.5})
    row = Result("tandem", "VOIP", idle=heard, at_ease=heard, lossy=unheard)
    row.burst, row.protecting = heard, heard
    line = more([row]).splitlines()[2]
    assert line.endswith("| 7.0 / 12.0 | 2 (61) | 1.00 | 40 |")
    line = markdown({}, [row]).splitlines()[2]
    assert line.endswith("| 7.0 / 12.0 | 50 %; - |")
    row.cpu_ms = {"transceiver": 1.0}
    assert "10 served, first sound after p50 40, p99 90" in ratios({"VOIP": 1.0}, [row])


def test_a_load_carried_with_encoders_eased_says_so() -> None:
    row = Result("tandem", "VOIP", cpu_ms={"transceiver": 8.0}, promised=125.0)
    row.held = Trial.of(RUN | {"eased": True})
    assert markdown({}, [row]).splitlines()[2].endswith("| 10, eased | - | - |")


def test_why_a_load_was_not_carried_is_said_with_what_the_core_did() -> None:
    row = Result("tandem", "VOIP", at_ease=Trial.of(RUN | {"disturbed": "late"}))
    row.steps = [Step(90, "", 0.8), Step(120, "delay p99 90 ms", 1.0)]
    assert searched([row]).splitlines() == [
        "tandem, 90 calls: carried at 80 % of a core",
        "tandem, 120 calls: not carried, delay p99 90 ms at 100 % of a core",
        "tandem, at ease: late",
    ]


def test_of_loads_that_were_all_disturbed_the_one_on_the_fastest_cores_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slowness = iter([1.9, 1.2, 1.4])
    told: list[str] = []
    monkeypatch.setattr(Pace, "slowness", lambda *_: next(slowness))
    monkeypatch.setattr(Pace, "slowest", lambda *_: 1.0)
    monkeypatch.setattr(stand, "_generate", lambda *_: dict(RUN))
    table = on_one_core(told.append)
    assert table.load(10, 1.0)["slowness"] == 1.2
    assert len([line for line in told if "disturbed" in line]) == stand.ATTEMPTS


def test_what_the_load_itself_cost_is_said_beside_each_server() -> None:
    busy = Result("wrtc", "", cpu_ms={"wrtc": 20.0}, generator_ms=2.0)
    idle = Result("nobody", "", left_out="not installed")
    assert generator([busy, idle]).endswith(": wrtc 2.0 (10 %)")


@pytest.mark.parametrize("name", [n for n in peer.names() if n != peer.OWN])
def test_a_peers_lock_holds_what_its_head_asks_for(name: str) -> None:
    found = SCRIPT.search((PEERS / f"{name}{SUFFIX}.py").read_text())
    assert found is not None
    head = tomllib.loads(re.sub(r"^# ?", "", found[1], flags=re.MULTILINE))
    lock = (ROOT / "requirements" / f"compare-{name}.txt").read_text()
    for dependency in head["dependencies"]:
        package = re.split(r"[\[=<>]", dependency)[0]
        assert re.search(rf"^{package}==", lock, re.MULTILINE)
    assert "--hash=sha256:" in lock


def test_what_was_heard_while_the_kernel_held_a_core_is_said_beside_the_rest() -> None:
    apart = {"delay": {"p50": 7.0, "p99": 12.0}, "gaps": 0, "longest_gap_ms": 35.0}
    heard = {"delay": {"p50": 7.0, "p99": 95.0}, "gaps": 430, "longest_gap_ms": 64.0}
    run = RUN | heard | {"holds": [[0, 1, 30.0, "kdamond.0"]] * 2, "apart": apart}
    assert not judge.failure(run, 12.0, may_ease=False)
    row = Result("tandem", "VOIP", at_ease=Trial.of(run))
    assert "| 7.0 / 12.0 |" in markdown({}, [row])
    assert "| 0 (35) |" in more([row])
    assert held([row, Result("wrtc", "", at_ease=Trial.of(RUN))]) == (
        "tandem at 80 %: the kernel held a core 2 x, which is left out above; "
        "with it p99 95 ms, 430 gaps (64 ms)"
    )
