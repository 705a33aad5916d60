"""Control of a live call by its id, wherever it is held.

A call of this process is ended by it, whatever becomes of the relays: one that hangs,
or whose link is lost, does not answer, and none knows a call that is being moved to it.
All other calls are looked for at the relays.
"""

from collections.abc import Mapping
from typing import Any, Protocol


class Holds(Protocol):
    """The calls of this process."""

    def hang_up(self, call_id: str, tenant: str) -> bool:
        """End a call of a tenant; False: it is not held here."""


class Reaches(Protocol):
    """The relays: see `transceiver.tunnel.Tunnels`."""

    async def hang_up(self, call_id: str, tenant: str) -> None:
        """End a call of a tenant."""

    async def describe(self, call_id: str, tenant: str) -> Mapping[str, Any]:
        """Return how a call of a tenant stands."""


class Control:
    """Reaches calls here and behind the relays.

    Both raise `transceiver.tunnel.Refusal`: 404 where the tenant has no such call; 503
    where it is not held here and no relay can be asked.
    """

    def __init__(self, here: Holds, relays: Reaches) -> None:
        self._here = here
        self._relays = relays

    async def hang_up(self, call_id: str, tenant: str) -> None:
        """End a call of a tenant."""
        if not self._here.hang_up(call_id, tenant):
            await self._relays.hang_up(call_id, tenant)

    async def describe(self, call_id: str, tenant: str) -> Mapping[str, Any]:
        """Return how a call of a tenant stands: its relay knows."""
        return await self._relays.describe(call_id, tenant)
