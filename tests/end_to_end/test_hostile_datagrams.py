"""Strangers' datagrams change nothing on a live call, and get no answer."""

import asyncio
import random
import socket

import aioice.stun
import numpy as np
import pytest

from tests.support.caller import Caller, calling
from tests.support.services import Stack

pytestmark = pytest.mark.interop

CLIENT_HELLO = bytes.fromhex(
    "16fefd0000000000000000002f010000230000000000000023fefd"
) + bytes(35)
FATAL_ALERT = bytes.fromhex("15fefd00000000000000000002") + b"\x02\x28"


TONE_SAMPLES = 30 * 48_000


def stun_request(username: str, password: str | None) -> bytes:
    message = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING,
        message_class=aioice.stun.Class.REQUEST,
    )
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 1
    message.attributes["USE-CANDIDATE"] = None
    if password is not None:
        message.add_message_integrity(password.encode())
    return bytes(message)


def ice_of(caller: Caller) -> tuple[str, str]:
    """Return the server's ufrag and the client's, as the caller knows them."""
    lines = caller.connection.remoteDescription.sdp.splitlines()
    theirs = next(line for line in lines if line.startswith("a=ice-ufrag:"))
    lines = caller.connection.localDescription.sdp.splitlines()
    ours = next(line for line in lines if line.startswith("a=ice-ufrag:"))
    return theirs.partition(":")[2], ours.partition(":")[2]


def hostile_datagrams(server_ufrag: str, client_ufrag: str) -> list[bytes]:
    rng = random.Random(20261121)
    known = f"{server_ufrag}:{client_ufrag}"
    truncated = stun_request(known, "wrong password of some length")
    return [
        b"",
        b"\x00",
        CLIENT_HELLO,
        FATAL_ALERT,
        bytes([128, 111]) + rng.randbytes(60),  # looks like RTP
        bytes([128, 200]) + rng.randbytes(60),  # looks like RTCP
        stun_request("nobody:here", "wrong password of some length"),
        stun_request(known, "wrong password of some length"),
        stun_request(known, None),
        truncated[:-3],
        truncated[:20] + b"\x00\x06\xff\xff" + truncated[24:],
        truncated[:20] + b"\x00\x24\x00\x02\x00\x00\x00\x00",  # PRIORITY of 2 bytes
        *(rng.randbytes(rng.randrange(1, 1400)) for _ in range(300)),
        *(bytes([rng.randrange(4)]) + rng.randbytes(40) for _ in range(300)),
    ]


async def assert_hears_itself(caller: Caller) -> None:
    """The echo returns what the microphone says, for as long as that takes."""
    before = len(caller.heard)
    caller.microphone.say(
        (12_000 * np.sin(np.arange(TONE_SAMPLES) * (2 * np.pi * 440 / 48_000))).astype(
            np.int16
        )
    )
    await caller.wait_until(
        lambda: bool((abs(caller.heard[before:].astype(int)) > 3000).sum() > 4800),
        "echo of the tone",
    )


@pytest.mark.asyncio
async def test_strangers_change_nothing_and_get_no_answer(echo_stack: Stack) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        async with calling(echo_stack.url) as caller:
            await caller.wait_for("session.created")
            for datagram in hostile_datagrams(*ice_of(caller)):
                stranger.sendto(datagram, echo_stack.udp_address)
            await assert_hears_itself(caller)
            assert caller.connection.connectionState == "connected"
            with pytest.raises(BlockingIOError):
                stranger.recv(2048)


@pytest.mark.asyncio
async def test_strangers_cannot_disturb_a_call_being_set_up(echo_stack: Stack) -> None:
    """A foreign ClientHello or alert before the real handshake does no harm."""
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        caller = Caller()

        async def harass() -> None:
            for _ in range(200):
                for datagram in (b"", CLIENT_HELLO, FATAL_ALERT):
                    stranger.sendto(datagram, echo_stack.udp_address)
                await asyncio.sleep(0.002)

        async with asyncio.TaskGroup() as group:
            group.create_task(harass())
            await caller.dial(echo_stack.url)
            await caller.wait_for("session.created")
        await assert_hears_itself(caller)
        await caller.close()
