"""An ICE agent that only answers: what aioice does to find its peer is left out.

Our address is known, and the peer's candidates are not used, so there is nothing to
gather and no check to begin of ourselves: each of ours is triggered by one of the
peer's. aioice would look at all network interfaces for each call, and then look 50
times a second whether there is a check to begin, for as long as nobody comes: an
offer that is never followed up cost 12 ms of CPU in its 30 s.
"""

import asyncio
from typing import Any

import aioice
from aioice.ice import ICE_COMPLETED
from aiortc.exceptions import InvalidStateError


def only_answer(agent: aioice.Connection) -> None:
    """Have an agent, attached to its port, wait for its peer's checks."""

    async def gather() -> None:
        agent._local_candidates_start = True
        agent._local_candidates += await agent.get_component_candidates(1, [])
        agent._local_candidates_end = True

    async def connect() -> None:
        await _connected(agent)

    patched: Any = agent
    patched.gather_candidates = gather
    patched.connect = connect


async def _connected(agent: aioice.Connection) -> None:
    """Wait until the peer has nominated an address, then ask for its consent.

    What `aioice.Connection.connect` does after its own checks have been begun.

    Raises:
        InvalidStateError: The agent was closed meanwhile.
    """
    for check in agent._early_checks:
        agent.check_incoming(*check)
    agent._early_checks.clear()
    agent._early_checks_done = True
    if await agent._check_list_state.get() != ICE_COMPLETED:
        raise InvalidStateError("closed")
    for pair in agent._check_list:
        if pair.task is not None:
            pair.task.cancel()
    agent._query_consent_task = asyncio.create_task(agent.query_consent())
