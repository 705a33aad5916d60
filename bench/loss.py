"""What the link makes of a bad network, simulated by a seed: `python -m bench.loss`.

200 conversations on one link in virtual time at 80 ms round trip, as the services hold
them: microphones always open, the model's replies sent by the relay's own clock, with
the lead that it has (`relay.pacer`) and with a longer one. No real clock is read, so a
row is repeated exactly by its seed.

    in time     share of frames there by their deadline (`tests.support.conversing`);
                the others were given up, or came too late
    delay       added to frames that were not lost, by waiting for ones that were
    more        datagrams sent beyond those of the row without loss

The second table puts the link through events; that no frame came twice or out of order
is asserted for all of both tables.
"""

import argparse
import contextlib
import dataclasses
import functools
import io
import math
import sys
from collections.abc import Callable

from proto.events import LinkDown
from relay.pacer import LEAD_S
from tests.support.conversing import Conversations, Tally
from tests.support.netem import Lab

LONGER_LEAD_S = 0.2


@dataclasses.dataclass(frozen=True)
class Weather:
    """A row of the first table: share of datagrams lost, how many together, the lead.

    At least `target` of the frames must be in time; 0: no such aim.
    """

    name: str
    loss: float = 0.0
    burst: int = 1
    lead_s: float = LEAD_S
    target: float = 0.0


ROWS = (
    Weather("no loss", target=1.0),
    Weather("1 % at random", 0.01, target=0.9999),
    Weather("5 % at random", 0.05),
    Weather("5 % in bursts of 3", 0.05, 3, target=0.999),
    Weather("1 %, 200 ms lead", 0.01, lead_s=LONGER_LEAD_S),
    Weather("bursts, 200 ms lead", 0.05, 3, LONGER_LEAD_S),
)


def progress(text: str) -> None:
    """Show how far it is, where a person looks on."""
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)


def connected(seed: int, **path: float) -> Lab:
    """Return a lab whose link has been up for a second."""
    with contextlib.redirect_stdout(io.StringIO()):  # the seed stands in the heading
        lab = Lab(seed, **path)
    lab.connect()
    lab.run(1.0)
    return lab


def converse(
    weather: Weather, args: argparse.Namespace
) -> tuple[Conversations, tuple[int, int]]:
    """Hold the conversations of a row; return them, and datagrams sent up and down."""
    lab = connected(args.seed, loss=weather.loss, burst=weather.burst)
    talks = Conversations(lab, args.sessions, weather.lead_s)
    paths = lab.edge.path, lab.relay.path
    before = [path.sent for path in paths]
    left = iter(range(args.seconds, 0, -1))
    talks.hold(args.seconds, lambda: progress(f"{weather.name}: {next(left)} s left"))
    up, down = (path.sent - b for path, b in zip(paths, before, strict=True))
    return talks, (up, down)


def weathers(args: argparse.Namespace) -> bool:
    """Print the first table; return whether all targets were reached."""
    print(f"{'':21}{'':6}{'in time':>10}{'aim':>9}{'given up':>10}{'late':>6}", end="")
    print(f"{'delay: median':>15}{'99 %':>8}{'more':>8}")
    plain: tuple[int, int] = (0, 0)
    reached = True
    for row in ROWS:
        talks, sent = converse(row, args)
        plain = plain if row.loss else sent
        for name, tally, count, least in zip(
            ("up", "down"), (talks.up, talks.down), sent, plain, strict=True
        ):
            reached &= not tally.share_in_time < row.target
            title = f"{row.name:21}" if name == "up" else " " * 21
            print(title + f"{name:6}" + _figures(tally, row.target, count / least - 1))
    return reached


def _figures(tally: Tally, target: float, more: float) -> str:
    aim = f"{target:.2%}" if target else ""
    return (
        f"{_percent(tally.share_in_time)}{aim:>9}{tally.given_up:10}{tally.late:6}"
        f"{tally.delay_s(0.5) * 1000:12.1f} ms{tally.delay_s(0.99) * 1000:5.0f} ms"
        f"{more:8.1%}"
    )


def reorder(lab: Lab) -> None:
    """Delay each datagram by up to 30 ms more."""
    for end in (lab.edge, lab.relay):
        end.path.jitter_s = 0.03


def double(lab: Lab) -> None:
    """Have one datagram in five arrive twice."""
    for end in (lab.edge, lab.relay):
        end.path.duplicate = 0.2


def drift(lab: Lab) -> None:
    """Have the relay's clock run 200 ppm fast."""
    lab.relay.clock_rate = 1.0002


def black_out(lab: Lab, seconds: float) -> None:
    """Lose everything for a while, from 2 s on."""
    for end in (lab.edge, lab.relay):
        end.path.cut = (lab.now + 2.0, lab.now + 2.0 + seconds)


def restart(lab: Lab) -> None:
    """Have the relay forget all, 2 s from now."""
    lab.at(lab.now + 2.0, lab.restart_relay)


EVENTS: tuple[tuple[str, Callable[[Lab], None]], ...] = (
    ("reordering within 30 ms", reorder),
    ("one in five doubled", double),
    ("clocks 200 ppm apart", drift),
    ("blackout of 0.5 s", functools.partial(black_out, seconds=0.5)),
    ("blackout of 2 s", functools.partial(black_out, seconds=2.0)),
    ("relay restarted", restart),
)


def events(args: argparse.Namespace) -> None:
    """Print the second table."""
    count, seconds = max(1, args.sessions // 10), max(10, args.seconds // 3)
    print(f"\n{f'heard, of {count} sessions':26}{'up':>9}{'down':>10}", end="")
    print(f"{'delay that stays':>18}  link")
    for name, strike in EVENTS:
        progress(name)
        lab = connected(args.seed)
        strike(lab)
        talks = Conversations(lab, count)
        talks.hold(seconds)
        print(_event_row(name, talks) + "  " + ("lost" if is_lost(lab) else "held"))
        if is_lost(lab):
            lab.edge.told.clear()
            lab.connect()
            talks = Conversations(lab, count)
            talks.hold(seconds)
            print(_event_row("  dialled again", talks) + "  held")


def is_lost(lab: Lab) -> bool:
    """Tell whether the edge has lost its link."""
    return bool(lab.edge.events(LinkDown))


def _event_row(name: str, talks: Conversations) -> str:
    up, down = _percent(talks.up.share_heard), _percent(talks.down.share_heard)
    return f"{name:25}{up}{down}{talks.standing_delay_s * 1000:15.1f} ms"


def _percent(share: float) -> str:
    """Return a share as a column; of a few sessions some models have said nothing."""
    return f"{'-':>10}" if math.isnan(share) else f"{share:10.4%}"


def main() -> int:
    """Print both tables; 1: a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    print(
        f"seed {args.seed}, {args.sessions} sessions, {args.seconds} s, RTT 80 ms, "
        f"lead of the relay's clock {LEAD_S * 1000:.0f} ms\n"
    )
    reached = weathers(args)
    events(args)
    print("\nall targets reached" if reached else "\nA TARGET WAS MISSED")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
