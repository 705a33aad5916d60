"""An edge that did not run for a while has links that are dead, and new callers."""

import asyncio
import signal

import pytest

from proto.liveness import DEAD_AFTER_S
from tests.support.caller import calling, goes_on
from tests.support.services import running_stack


@pytest.mark.asyncio
async def test_who_calls_an_edge_that_sleeps_is_heard_when_it_wakes() -> None:
    async with running_stack("echo") as stack:
        stack.transceiver.send(signal.SIGSTOP)
        waking = asyncio.get_running_loop().call_later(
            2 * DEAD_AFTER_S, stack.transceiver.send, signal.SIGCONT
        )
        try:
            async with calling(stack.url) as caller:
                await goes_on(caller)
        finally:
            waking.cancel()
            stack.transceiver.send(signal.SIGCONT)
