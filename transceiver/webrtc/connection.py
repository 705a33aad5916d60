"""aiortc's connection of one call, made cheaper and quieter than it comes."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final

import aiortc
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.exceptions import InvalidStateError

from transceiver.webrtc.certificate import Certificate

TURNS: Final = 10
"""Of the loop, for aiortc's own tasks to end in; the longest chain of them takes 4."""


def new_connection(certificate: Certificate) -> RTCPeerConnection:
    """Return a connection that asks nobody for its address and has one transport."""
    connection: Any = RTCPeerConnection(
        RTCConfiguration(iceServers=[], bundlePolicy=aiortc.RTCBundlePolicy.MAX_BUNDLE)
    )
    connection._RTCPeerConnection__certificates = [certificate]
    _end_quietly(connection)
    return connection  # type: ignore[no-any-return]  # private names were set


async def close(connection: RTCPeerConnection) -> None:
    """Close a connection and take it apart.

    Its 260 objects know each other in circles, so none would go before a collection of
    all that lives, which stops the process: for 0.15 s with 250 calls.
    """
    if not vars(connection):
        return  # closed before
    await connection.close()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    for part in list(_parts(connection)):
        vars(part).clear()


def _parts(connection: RTCPeerConnection) -> Iterator[object]:
    transceivers: list[Any] = connection.getTransceivers()
    for transceiver in transceivers:
        yield from (transceiver, transceiver.sender, transceiver.receiver)
    sctp: Any = connection.sctp
    users = [transceiver.receiver for transceiver in transceivers]
    if sctp is not None:
        users.append(sctp)
        yield sctp
    for transport in {user.transport for user in users}:
        ice = transport.transport
        yield from (transport, ice, ice.iceGatherer, ice._connection)
    yield connection


def _end_quietly(connection: Any) -> None:
    """Have aiortc's own task take it as it comes that the call ends during set-up.

    Nobody owns that task, so what it raises would be logged with a traceback.
    """
    connect = connection._RTCPeerConnection__connect

    async def connect_unless_closed() -> None:
        with contextlib.suppress(InvalidStateError):
            await connect()

    connection._RTCPeerConnection__connect = connect_unless_closed
