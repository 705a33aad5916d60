import os

import pytest

from bench.load import options, picture


def test_without_arguments_the_edge_on_this_machine_is_called() -> None:
    assert options.parse([]) == options.Options()


def test_a_conversation_has_turns() -> None:
    assert options.parse(["--turn", "3"]).turn_s == 0
    assert options.parse(["--conversation", "--turn", "3"]).turn_s == 3


def test_an_echo_comes_at_once_unless_it_is_said_when() -> None:
    assert options.parse([]).echo_after_s == 0
    assert options.parse(["--echo-after", "3"]).echo_after_s == 3


def test_a_rough_network_is_one_that_does_anything() -> None:
    assert not options.parse([]).is_rough
    for option in ("--loss", "--loss-down", "--delay", "--jitter"):
        assert options.parse([option, "1"]).is_rough


def test_processes_are_named_one_by_one() -> None:
    own, parent = os.getpid(), os.getppid()
    asked = options.parse(["--pid", str(own), "--pid", str(parent)])
    assert asked.pids == (own, parent)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--calls", "0"], "1 or more"),
        (["--ramp", "0"], "more than 0"),
        (["--loss", "101"], "0 to 100"),
        (["--delay", "-1"], "negative"),
        (["--duration", "inf"], "negative"),
        (["--pid", "4194305"], "no process"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit):
        options.parse(arguments)
    assert complaint in capsys.readouterr().err


def test_a_picture_without_matplotlib_is_refused_before_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "python", lambda: None)
    with pytest.raises(SystemExit):
        options.parse(["--plot", "out.png"])
    assert "matplotlib" in capsys.readouterr().err
