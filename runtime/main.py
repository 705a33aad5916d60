"""The entry of every process: arguments, settings, logs, uvloop, signals, exit code.

Where a service has workers, the process that was started forks them and stays their
supervisor; each of them goes on here.
"""

import argparse
import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import uvloop

from runtime import collector, logs, settings as environment, workers
from runtime.heart import beating
from runtime.stop import Stop
from runtime.table import Phase
from runtime.worker import ALONE, DRAIN, STOP, Share, Worker

T = TypeVar("T")
Serve = Callable[[T, Stop, Worker], Awaitable[None]]
log = logging.getLogger(__name__)

CANNOT_LISTEN = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})
"""What `bind` says when a host or port setting is at fault (bind(2))."""


def run(
    service: str,
    settings: type[T],
    serve: Callable[[T, Stop], Awaitable[None]],
    grace_s: Callable[[T], float] = lambda _: 0.0,
    *,
    what: str = "",
) -> int:
    """Load settings, then serve in this process until told to end.

    SIGINT ends the service now, SIGTERM drains it; a second SIGTERM ends it now, too.

    Args:
        service: Name in the logs and in `--help`.
        settings: A settings class with fields `log_level` and `log_format`.
        serve: Runs the service; returns after `Stop` is set and all is closed.
        grace_s: Tells from the settings how many seconds a drain may last.
        what: One sentence on the service, for `--help`.

    Returns:
        The exit code: 0 after a clean stop, 1 where an address cannot be listened on,
        2 for unusable settings.
    """
    return run_workers(
        service,
        settings,
        lambda values, stop, _: serve(values, stop),
        grace_s,
        lambda _: Share(),
        what=what,
        is_traced=False,
    )


def run_workers(  # noqa: PLR0913  # all in which services differ
    service: str,
    settings: type[T],
    serve: Serve[T],
    grace_s: Callable[[T], float],
    share: Callable[[T], Share],
    *,
    what: str,
    is_traced: bool = True,
) -> int:
    """Do as `run`, in as many processes as the settings say.

    Args:
        service: As of `run`; likewise settings, grace_s and what.
        settings: See there.
        serve: Gets this process's place among the workers, too.
        grace_s: See there.
        share: Tells from the settings how many workers there are, and what they share.
        what: See there.
        is_traced: It tells of calls as spans (`runtime.traces`).

    Returns:
        The exit code; 1 also where a worker has not ended well.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {service}",
        description=what,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="environment variables:\n" + environment.table(settings),
    )
    parser.parse_args()
    try:
        values = environment.load(settings, os.environ)
        if is_traced:
            collector.check(os.environ)
    except environment.SettingsError as error:
        sys.stderr.write(f"{service}: {error}\n")
        return 2
    name = service.rpartition(".")[2]
    _log(name, values)
    wanted = share(values)
    place = ALONE
    if wanted.workers > 1:
        try:
            outcome = workers.forked(wanted)
        except OSError as error:
            return _cannot_listen(error)
        if isinstance(outcome, int):
            return outcome
        place = outcome
        _log(name, values, place.index)
    return uvloop.run(_until_told(serve, values, grace_s(values), place))


def _log(name: str, values: Any, worker: int | None = None) -> None:
    logs.configure(name, values.log_level, values.log_format, worker)


async def _until_told(serve: Serve[T], values: T, grace_s: float, place: Worker) -> int:
    stop = Stop(grace_s)
    if place.line is None:
        _listen_to_signals(stop)
    else:
        _listen_to_supervisor(stop, place, place.line)
    code = 0
    try:
        with beating(place):
            await serve(values, stop, place)
    except* OSError as group:
        unusable, others = group.split(_is_unusable_address)
        if others is not None:
            raise others from None
        for error in _leaves(unusable):
            code = _cannot_listen(error)
    return code


def _listen_to_signals(stop: Stop) -> None:
    loop = asyncio.get_running_loop()

    def terminate() -> None:
        loop.add_signal_handler(signal.SIGTERM, stop.set)  # the next one
        stop.drain()

    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGTERM, terminate)


def _listen_to_supervisor(stop: Stop, place: Worker, line: socket.socket) -> None:
    """Do as it says; a SIGTERM of one's own drains, however often it comes."""
    loop = asyncio.get_running_loop()
    line.setblocking(False)

    def drain() -> None:
        place.enter(Phase.DRAINING)
        stop.drain()

    def ordered() -> None:
        try:
            order = line.recv(64)
        except ConnectionError:
            order = b""
        if not order:  # it is gone: nobody would end this process any more
            loop.remove_reader(line)
        if not order or STOP in order:
            stop.set()
        elif DRAIN in order:
            drain()

    loop.add_reader(line, ordered)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGTERM, drain)


def _cannot_listen(error: BaseException) -> int:
    log.error("cannot listen: %s", error)
    return 1


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    elif error is not None:
        yield error


def _is_unusable_address(error: BaseException) -> bool:
    return isinstance(error, socket.gaierror) or (
        isinstance(error, OSError) and error.errno in CANNOT_LISTEN
    )
