"""Stands between DTLS and SCTP, which trusts its peer in form and in size."""

import contextlib
import logging
import struct
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL

log = logging.getLogger(__name__)

MAX_HELD_CHUNKS = 1024
"""Pieces of messages a client may have us hold: its window of 1 MiB in whole datagrams.
aiortc goes through all of them for each that comes."""

MAX_STREAMS = 64
"""SCTP streams a client may use; it needs one."""

_SCTP_ERRORS = (
    ValueError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
)
"""What aiortc's SCTP has been seen to raise for chunks out of place; it would end the
DTLS transport's task, and be logged with a traceback."""


def guard(sctp: Any, lose: Callable[[str], None]) -> None:
    """Bound what one client may have aiortc's SCTP hold and go through.

    Args:
        sctp: The `RTCSctpTransport`.
        lose: Ends the connection, for a reason; from then on nothing is taken.
    """
    handle = sctp._handle_data
    lost = False

    async def handle_guarded(data: bytes) -> None:
        nonlocal lost
        if lost:
            return
        try:
            await handle(data)
        except _SCTP_ERRORS:
            log.debug("SCTP failed", exc_info=True)
            lost = True
            lose("broke SCTP")
        else:
            if _holds_too_much(sctp):
                lost = True
                lose("sent more than its window")

    sctp._handle_data = handle_guarded
    _say_nothing_once_closed(sctp)


def _say_nothing_once_closed(sctp: Any) -> None:
    """Have nothing raised that is still to be sent when the connection is gone.

    aiortc sends from tasks that nobody owns, so it would be logged with a traceback.
    """
    send = sctp._send_chunk

    async def send_while_connected(chunk: object) -> None:
        with contextlib.suppress(ConnectionError, SSL.Error):
            await send(chunk)

    sctp._send_chunk = send_while_connected


def _holds_too_much(sctp: Any) -> bool:
    streams = sctp._inbound_streams
    return (
        sctp._advertised_rwnd < 0
        or len(streams) > MAX_STREAMS
        or len(sctp._sack_misordered) > MAX_HELD_CHUNKS
        or sum(len(stream.reassembly) for stream in streams.values()) > MAX_HELD_CHUNKS
    )
