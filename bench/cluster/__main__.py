"""`python -m bench.cluster`: make the network, run the scenario in it, judge.

The scenario runs in the client's namespace, as a process of its own; this one makes the
network and removes it, whatever happens.
"""

import argparse
import contextlib
import signal
import subprocess
import sys

import uvloop

from bench.cluster.callers import calling
from bench.cluster.network import CLIENT, Network, NetworkError, network
from bench.cluster.scenario import Scenario
from bench.cluster.services import Services

END_S = 20.0
"""How long an interrupted scenario may take to stop its services."""

INTERRUPTED = 130
"""Exit code, as shells say it of SIGINT."""


def run_in_namespaces(args: argparse.Namespace) -> int:
    """Make the network and run the scenario in it; return its exit code.

    Raises:
        NetworkError: There can be no network here.
    """
    with network() as made:
        command = (*made.on(CLIENT), sys.executable, "-m", "bench.cluster")
        process = subprocess.Popen((*command, *sys.argv[1:], f"--within={made.prefix}"))
        try:
            return process.wait()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # what was made is removed now
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            return INTERRUPTED


async def run_scenario(args: argparse.Namespace) -> int:
    """Run the scenario; return 0 if all that has to hold does."""
    made = Network(args.within)
    services = Services(made)
    try:
        async with calling() as callers:
            scenario = Scenario(
                made, services, callers, args.hold_s, args.moved_s, _tell
            )
            await scenario.run(args.calls)
    except Exception:
        sys.stderr.write(services.log)
        raise
    finally:
        await services.stop()
    if scenario.broken:
        sys.stderr.write(services.log)
    for claim in scenario.broken:
        _tell(f"DOES NOT HOLD: {claim}")
    return 1 if scenario.broken else 0


def _tell(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Return the exit code: 0 if all holds, 1 if not, 2 if it cannot be run here."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.cluster",
        description="Roll, drain and kill the services of a cluster under live calls, "
        "in network namespaces (Linux, root).",
    )
    parser.add_argument("--calls", type=int, default=20, help="at least 4 (20)")
    parser.add_argument(
        "--hold-s", type=float, default=8.0, help="seconds after each event (8)"
    )
    parser.add_argument(
        "--moved-s",
        type=float,
        default=1.0,
        help="within which new calls must be served after the loss of a relay (1)",
    )
    parser.add_argument("--within", help=argparse.SUPPRESS)
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if args.within is not None:
        try:
            return uvloop.run(run_scenario(args))
        except KeyboardInterrupt:
            return INTERRUPTED
    if args.calls < 4:
        parser.error("--calls: at least 4, so that each service has some")
    try:
        return run_in_namespaces(args)
    except NetworkError as error:
        sys.stderr.write(f"cluster: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
