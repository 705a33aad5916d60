"""What a run is asked to do: the command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import picture
from bench.load.cpu import NoSuchProcess, spent

EXAMPLES = """
examples:
  python -m bench.load --url http://localhost:8080 --calls 20 --duration 30
  python -m bench.load --calls 200 --ramp 20 --conversation --json out.json
  python -m bench.load --calls 10 --loss 5 --delay 40 --jitter 10 --pid 4711

Delay is measured where the far end plays the caller's own voice back
(TANDEM_UPSTREAM=echo). Where it does not, set-up, loss and gaps are. A conversation
in turns with oneself: TANDEM_UPSTREAM=echo:5 there, here --conversation --echo-after 5.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """One run.

    Attributes:
        ramp: Calls begun in a second.
        duration_s: How long all calls are held once the last one has connected.
        turn_s: Length of a turn in a conversation; 0: all speak all the time.
        echo_after_s: How much later than it hears something the far end says it back;
            no part of the delay.
        loss, loss_down: Percent of media datagrams lost to and from the server.
        delay_ms, jitter_ms: Of each way; jitter is added, from 0 to this.
        sampled: Calls whose sound is kept, to find the delay.
        with_red: Whether in-band FEC and audio/red are offered, as Chromium does.
    """

    url: str = "http://127.0.0.1:8080"
    key: str = ""
    calls: int = 10
    ramp: float = 10.0
    duration_s: float = 30.0
    speech: Path | None = None
    turn_s: float = 0.0
    echo_after_s: float = 0.0
    loss: float = 0.0
    loss_down: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    seed: int = 1
    sampled: int = 8
    with_red: bool = True
    pids: tuple[int, ...] = ()
    json: Path | None = None
    plot: Path | None = None

    @property
    def is_rough(self) -> bool:
        """Whether a network is emulated."""
        return any((self.loss, self.loss_down, self.delay_ms, self.jitter_ms))

    @property
    def echo_after_ns(self) -> int:
        """`echo_after_s` in the unit of what a call logs."""
        return round(self.echo_after_s * 1e9)


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a mistake ends the process with its usage."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.plot is not None and picture.python() is None:
        parser.error(f"--plot needs {picture.NEEDED}")
    for pid in given.pid:
        try:
            spent(pid)
        except NoSuchProcess as error:
            parser.error(str(error))
    return Options(
        url=given.url.rstrip("/"),
        key=given.key,
        calls=given.calls,
        ramp=given.ramp,
        duration_s=given.duration,
        speech=given.speech,
        turn_s=given.turn if given.conversation else 0.0,
        echo_after_s=given.echo_after,
        loss=given.loss,
        loss_down=given.loss_down,
        delay_ms=given.delay,
        jitter_ms=given.jitter,
        seed=given.seed,
        sampled=given.sampled,
        with_red=not given.no_red,
        pids=tuple(given.pid),
        json=given.json,
        plot=given.plot,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load",
        description="Place many WebRTC calls and measure what becomes of them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, default = parser.add_argument, Options()
    add("--url", default=default.url, help="the edge (default: %(default)s)")
    add("--key", default="", help="API key or client secret")
    add("--calls", type=_at_least_one, default=default.calls, help="default: 10")
    add("--ramp", type=_positive, default=default.ramp, help="calls a second: 10")
    add("--duration", type=_positive, default=30.0, help="seconds at full load: 30")
    add("--speech", type=Path, help="16-bit WAV to say, 5 s at least, in a loop")
    add("--conversation", action="store_true", help="speak every other turn only")
    add("--turn", type=_positive, default=5.0, help="seconds a turn: 5")
    add(
        "--echo-after",
        type=_not_negative,
        default=0.0,
        metavar="SECONDS",
        help="the far end waits so long (its TANDEM_UPSTREAM is echo:SECONDS)",
    )
    add("--loss", type=_percent, default=0.0, help="percent lost on the way up")
    add("--loss-down", type=_percent, default=0.0, help="percent lost on the way down")
    add("--delay", type=_not_negative, default=0.0, help="ms added to each way")
    add("--jitter", type=_not_negative, default=0.0, help="ms added at most, at random")
    add("--seed", type=int, default=1, help="of all that is random")
    add("--sampled", type=_at_least_one, default=8, help="calls that are listened to")
    add("--no-red", action="store_true", help="offer plain Opus, without FEC and RED")
    add("--pid", type=int, action="append", default=[], help="report its CPU; repeat")
    add("--json", type=Path, metavar="FILE", help="write the results")
    add("--plot", type=Path, metavar="FILE.png", help="draw them (needs matplotlib)")
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _positive(text: str) -> float:
    number = _not_negative(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


def _percent(text: str) -> float:
    number = _not_negative(text)
    if number > 100:
        raise argparse.ArgumentTypeError("must be 0 to 100")
    return number
