"""Is the built-in engine ready? Asked every 2 s, apart from any call."""

import asyncio

import aiohttp

from runtime.settings import Address

INTERVAL_S = 2.0
"""Seconds between questions: a few hundred microseconds each."""

TIMEOUT_S = 1.0
"""Seconds for an answer."""


class Probe:
    """Knows whether the engine said lately that it takes sessions."""

    def __init__(self, http: aiohttp.ClientSession, address: Address) -> None:
        self._http = http
        self._url = f"http://{address}/readyz"
        self.is_ready = False

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            self.is_ready = await self._ask()
            await asyncio.sleep(INTERVAL_S)

    async def _ask(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._http.get(self._url, timeout=timeout) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False
