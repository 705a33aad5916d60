"""Is the built-in engine there? Asked by a TCP connection every 2 s, off any call."""

import asyncio

from runtime.settings import Address

INTERVAL_S = 2.0
TIMEOUT_S = 1.0


class Probe:
    """Knows whether an address took a connection lately."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.is_reachable = False

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            self.is_reachable = await self._ask()
            await asyncio.sleep(INTERVAL_S)

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                _, writer = await asyncio.open_connection(*self._address)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True
