"""The entry of every process: arguments, settings, logs, uvloop, signals, exit code."""

import argparse
import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import uvloop

from runtime import logs, settings as environment
from runtime.stop import Stop

T = TypeVar("T")
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
    """Load settings, then serve until told to end.

    SIGINT ends the service now, SIGTERM drains it; a second SIGTERM ends it now, too.

    Args:
        service: Name in the logs and in `--help`.
        settings: A settings class with a `log_level` field.
        serve: Runs the service; returns after `Stop` is set and all is closed.
        grace_s: Tells from the settings how many seconds a drain may last.
        what: One sentence on the service, for `--help`.

    Returns:
        The exit code: 0 after a clean stop, 1 where an address cannot be listened on,
        2 for unusable settings.
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
    except environment.SettingsError as error:
        sys.stderr.write(f"{service}: {error}\n")
        return 2
    logs.configure(service.rpartition(".")[2], values.log_level)  # type: ignore[attr-defined]  # by contract
    return uvloop.run(_until_signal(serve, values, grace_s(values)))


async def _until_signal(
    serve: Callable[[T, Stop], Awaitable[None]], values: T, grace_s: float
) -> int:
    stop = Stop(grace_s)
    loop = asyncio.get_running_loop()

    def terminate() -> None:
        loop.add_signal_handler(signal.SIGTERM, stop.set)  # the next one
        stop.drain()

    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGTERM, terminate)
    code = 0
    try:
        await serve(values, stop)
    except* OSError as group:
        unusable, others = group.split(_is_unusable_address)
        if others is not None:
            raise others from None
        for error in _leaves(unusable):
            log.error("cannot listen: %s", error)  # noqa: TRY400  # one line: no bug of ours
        code = 1
    return code


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
