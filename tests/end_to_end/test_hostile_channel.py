"""A client that breaks the rules of its data channel ends its own call, and no more."""

import asyncio
import contextlib
import itertools
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import aiortc
import aiortc.rtcsctptransport as sctp
import pytest

from tests.end_to_end.test_call import ended
from tests.support.caller import Caller, calling
from tests.support.services import Stack
from tests.support.waiting import until

pytestmark = pytest.mark.interop

BEGINS = sctp.SCTP_DATA_FIRST_FRAG


async def invalid_utf8(caller: Caller, transport: Any) -> None:
    await transport._send(caller.channel.id, sctp.WEBRTC_STRING, b"\xff\xfe")


async def open_twice(caller: Caller, transport: Any) -> None:
    opening = struct.pack("!BBHLHH", sctp.DATA_CHANNEL_OPEN, 0, 0, 0, 1, 0) + b"x"
    await transport._send(caller.channel.id, sctp.WEBRTC_DCEP, opening)


async def acknowledge_nothing(_: Caller, transport: Any) -> None:
    await transport._send(77, sctp.WEBRTC_DCEP, bytes([sctp.DATA_CHANNEL_ACK]))


async def message_without_end(caller: Caller, transport: Any) -> None:
    for number in itertools.count():
        await send_chunk(transport, caller.channel.id, number, b"y" * 1_100)


async def crumbs_of_a_message(caller: Caller, transport: Any) -> None:
    for number in itertools.count():
        await send_chunk(transport, caller.channel.id, number, b"y")


async def streams_without_number(_: Caller, transport: Any) -> None:
    for stream in itertools.cycle(range(100, 1_000)):
        await send_chunk(transport, stream, 0, b"y")


async def send_chunk(
    transport: Any, stream: int | None, number: int, data: bytes
) -> None:
    """Send a piece of a message whose last piece never comes, at 5,000 a second.

    It is sent once: the kernel drops what the edge is too slow for, so there are more.
    """
    chunk = sctp.DataChunk()
    chunk.flags = BEGINS if number == 0 else 0
    chunk.tsn = transport._local_tsn
    transport._local_tsn = sctp.tsn_plus_one(chunk.tsn)
    chunk.stream_id, chunk.stream_seq = stream, 1
    chunk.protocol, chunk.user_data = sctp.WEBRTC_STRING, data
    await transport._send_chunk(chunk)
    if transport._local_tsn % 50 == 0:
        await asyncio.sleep(0.01)


async def go_on(
    misbehave: Callable[[Caller, Any], Awaitable[None]], caller: Caller
) -> None:
    with contextlib.suppress(ConnectionError):  # hung up on meanwhile
        await misbehave(caller, caller.connection.sctp)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "misbehave",
    [
        invalid_utf8,
        open_twice,
        acknowledge_nothing,
        message_without_end,
        crumbs_of_a_message,
        streams_without_number,
    ],
)
async def test_who_breaks_the_channels_rules_is_hung_up_on(
    echo_stack: Stack, misbehave: Callable[[Caller, Any], Awaitable[None]]
) -> None:
    async with calling(echo_stack.url) as bystander:
        await bystander.wait_for("session.created")
        async with calling(echo_stack.url) as caller:
            await caller.wait_for("session.created")
            async with asyncio.TaskGroup() as group:
                breaking = group.create_task(go_on(misbehave, caller))
                await caller.wait_until(
                    lambda: caller.channel.readyState == "closed", "end of the call"
                )
                breaking.cancel()
        bystander.send({"type": "session.update", "session": {"type": "realtime"}})
        await bystander.wait_for("session.updated")
    assert "Traceback" not in echo_stack.transceiver.log


@pytest.mark.asyncio
async def test_a_client_that_accepts_no_event_fills_no_log(echo_stack: Stack) -> None:
    caller = Caller()
    tiny = (await caller.offer()).replace(
        "max-message-size:262144", "max-message-size:8"
    )
    async with aiohttp.ClientSession() as http:
        url, sdp = f"{echo_stack.url}/v1/realtime/calls", "application/sdp"
        async with http.post(url, data=tiny, headers={"Content-Type": sdp}) as response:
            answer = await response.text()
    await caller.connection.setRemoteDescription(
        aiortc.RTCSessionDescription(sdp=answer, type="answer")
    )
    await caller.wait_until(lambda: caller.channel.readyState == "open", "channel")
    for _ in range(20):
        caller.channel.send("this is not JSON")
    edge, dropped = echo_stack.transceiver, "event larger than the client"
    await until(lambda: dropped in edge.log and not caller.channel.bufferedAmount)
    await caller.close()
    await ended(echo_stack)
    await until(lambda: "call ended" in edge.log)
    assert edge.log.count(dropped) == 1
