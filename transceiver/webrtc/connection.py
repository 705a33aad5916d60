"""aiortc's connection of one call, made cheaper and quieter than it comes."""

import contextlib
from typing import Any

import aiortc
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.exceptions import InvalidStateError

from transceiver.webrtc.certificate import Certificate


def new_connection(certificate: Certificate) -> RTCPeerConnection:
    """Return a connection that asks nobody for its address and has one transport."""
    connection: Any = RTCPeerConnection(
        RTCConfiguration(
            iceServers=[], bundlePolicy=aiortc.RTCBundlePolicy.MAX_BUNDLE
        )
    )
    connection._RTCPeerConnection__certificates = [certificate]
    _end_quietly(connection)
    return connection  # type: ignore[no-any-return]  # private names were set


def _end_quietly(connection: Any) -> None:
    """Have aiortc's own task take it as it comes that the call ends during set-up.

    Nobody owns that task, so what it raises would be logged with a traceback.
    """
    connect = connection._RTCPeerConnection__connect

    async def connect_unless_closed() -> None:
        with contextlib.suppress(InvalidStateError):
            await connect()

    connection._RTCPeerConnection__connect = connect_unless_closed
