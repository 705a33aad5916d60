"""Where a name leads: looked up once for all sessions that ask.

A resolver may take seconds, and a loop asks few questions at a time (libuv two): each
session with a question of its own would wait for those before it, until its time to
connect is over.
"""

import asyncio
import functools
import socket
from collections.abc import Callable, Sequence
from typing import Final

from aiohappyeyeballs import AddrInfoType

KEPT_S: Final = 10.0
"""Seconds from the question that an answer is used; as aiohttp's `ttl_dns_cache`."""

Addresses = Sequence[AddrInfoType]
"""As `socket.getaddrinfo` returns them."""


def _in_a_thread(host: str, port: int) -> asyncio.Future[Addresses]:
    ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    return asyncio.get_running_loop().run_in_executor(None, ask)


class Names:
    """All that were asked for: those of the settings, so few.

    One question about a name is under way at a time. What failed is not kept.

    Args:
        look_up: Asks for the addresses of a host and port.
    """

    def __init__(
        self, look_up: Callable[[str, int], asyncio.Future[Addresses]] = _in_a_thread
    ) -> None:
        self._look_up = look_up
        self._asked: dict[tuple[str, int], tuple[float, asyncio.Future[Addresses]]] = {}

    async def addresses(self, host: str, port: int) -> Addresses:
        """Return all addresses of a name.

        Raises:
            OSError: It has none, or nobody who knows can be asked.
        """
        now = asyncio.get_running_loop().time()
        asked_at, answer = self._asked.get((host, port), (now, None))
        if answer is None or (
            answer.done() and (answer.exception() or now - asked_at >= KEPT_S)
        ):
            answer = self._look_up(host, port)
            self._asked[host, port] = now, answer
        return await asyncio.shield(answer)  # others wait for it, too
