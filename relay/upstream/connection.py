"""One WebSocket to a Realtime API: the only room that knows picows.

What comes is handed on, message by message, in the callback that reads the socket; what
is sent leaves within the call while the peer reads. No task wakes for either.

What picows leaves to its user is here: which address is dialled, messages that come in
several frames, the answers to pings, and an end that the peer cannot draw out.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Mapping
from typing import Final, NoReturn, Protocol

import aiohappyeyeballs
import picows
from picows import (
    WSCloseCode,
    WSFrame,
    WSHandshakeError,
    WSMsgType,
    WSParsedURL,
    WSProtocolError,
    WSTransport,
)

from relay.upstream import ends
from relay.upstream.fragments import Fragments
from relay.upstream.names import Names
from relay.upstream.port import UpstreamError
from runtime.closing import is_done_within

CONNECT_TIMEOUT_S = 10.0
"""Seconds for name, TCP, TLS and WebSocket together."""

CLOSE_TIMEOUT_S = 1.0
"""Seconds the peer gets to answer our close."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A retrieved item of 4 minutes of audio in base64 has 15 MB."""

UNREAD_BYTES: Final = 256 * 1024
"""The socket holds of what has come, and a turn of the loop may have to read: 2.5 MB/s
at an RTT of 100 ms, 40 times what speech takes."""

CROWD_FRAMES: Final = 256
"""Of one read; the others' turn comes before the next. uvloop would read on for as long
as the peer keeps up."""

_NEXT_ADDRESS_S: Final = 0.25
"""Seconds before the next address is tried, too (RFC 8305 section 5)."""

_NO_CODE: Final = 1005
"""Close code of a close that names none (RFC 6455 section 7.1.5)."""

_TEXT: Final = WSMsgType.TEXT

_UNHEARD: Final = logging.Logger("picows", logging.CRITICAL + 1)  # noqa: LOG001  # set up by none but us
"""What goes wrong is raised; picows would log it, too, in the peer's words."""


class Owner(Protocol):
    """Who has the connection; called in the loop."""

    def connected(self) -> None:
        """Take note that the handshake is over."""

    def message_received(self, text: bytes) -> None:
        """Take a message; what it raises ends the connection."""

    def peer_closed(self, code: int, reason: str) -> UpstreamError:
        """Return what the peer's close means."""

    def drained(self) -> None:
        """Take note that it can be written to (again)."""


class Connection(picows.WSListener):
    """A WebSocket, from the look-up of its name to its end.

    What the socket does not take the transport holds: 64 KiB, 576 under TLS, and the
    message that goes beyond. While it has that much the connection is not writable, and
    pongs are left out.

    Args:
        owner: Has it.
        names: Know where the peer is.

    Attributes:
        is_writable: It is open, and the peer reads.
        is_silent: Nothing has come since somebody set this.
    """

    def __init__(self, owner: Owner, names: Names) -> None:
        self.is_writable = False
        self.is_silent = True
        self._owner = owner
        self._names = names
        self._fragments = Fragments(MAX_MESSAGE_BYTES)
        self._frames = 0
        """In this read, so far."""
        self._socket: socket.socket | None = None
        self._transport: WSTransport | None = None
        self._failure: Exception | None = None
        self._has_failed = asyncio.Event()

    async def open(
        self, url: str, headers: Mapping[str, str], tls: ssl.SSLContext
    ) -> None:
        """Connect.

        Raises:
            UpstreamRefused: Nobody answers, or not as a WebSocket does.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await picows.ws_connect(
                    lambda: self,
                    url,
                    ssl_context=tls,
                    extra_headers=headers,
                    socket_factory=self._dial,
                    logger_name=_UNHEARD,
                    max_frame_size=MAX_MESSAGE_BYTES,
                    max_redirects=0,  # or whoever they name is shown the key
                    enable_auto_pong=False,
                    websocket_handshake_timeout=None,
                    use_aiofastnet=False,
                )
        # Without their frames: these hold the futures that raised them.
        except WSHandshakeError as error:
            head = error.raw_header or b""
            raise ends.refused(head) from error.with_traceback(None)
        except TimeoutError as error:
            raise ends.unanswered() from error.with_traceback(None)
        except socket.gaierror as error:
            raise ends.unknown() from error.with_traceback(None)
        except OSError as error:
            raise ends.unreachable() from error.with_traceback(None)
        finally:
            self._hang_up_if_unanswered()
        if self._transport is None:  # how picows tells of an end before the answer
            raise self._failure or ends.unreachable()

    async def failed(self) -> NoReturn:
        """Wait until it cannot go on, and raise why."""
        await self._has_failed.wait()
        assert self._failure is not None
        raise self._failure

    def fail(self, failure: Exception) -> None:
        """Take leave: the first reason counts, and nothing more is heard."""
        if self._failure is not None:
            return
        self._failure = failure
        self._has_failed.set()
        self.is_writable = False
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.OK)

    def send(self, text: bytes) -> None:
        """Send a message; only while it is writable. HOT PATH."""
        assert self._transport is not None
        self._transport.send(_TEXT, text)

    def ping(self) -> None:
        """Ask for a sign of life, unless what was sent is not even read."""
        if self._transport is not None and self.is_writable:
            self._transport.send_ping()

    async def close(self) -> None:
        """Take leave; where the peer does not, be gone all the same.

        The owner is not called any more, nor anything held that waits to be sent.
        """
        self.fail(ends.lost())
        transport = self._transport
        try:
            if transport is not None:
                await is_done_within(transport.wait_disconnected(), CLOSE_TIMEOUT_S)
        except WSProtocolError as error:
            error.__traceback__ = None  # what it is has been told
        finally:
            if transport is not None:
                transport.disconnect(graceful=False)
            self._transport = None
            del self._owner  # who has it has this: only a collection would free them

    async def _dial(self, url: WSParsedURL) -> socket.socket:
        self._socket = await aiohappyeyeballs.start_connection(
            await self._names.addresses(url.host, url.port),
            happy_eyeballs_delay=_NEXT_ADDRESS_S,
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        return self._socket

    def _hang_up_if_unanswered(self) -> None:
        """End what picows leaves open when it is cancelled in the handshake."""
        if self._transport is None and self._socket is not None:
            with contextlib.suppress(OSError):  # the peer was faster
                self._socket.shutdown(socket.SHUT_RDWR)

    # From picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Let the owner write, unless it has gone meanwhile."""
        if self._failure is not None:
            transport.send_close(WSCloseCode.OK)  # what comes with it is not heard
            return
        self._transport = transport
        try:
            self._owner.connected()
        except Exception as error:  # noqa: BLE001  # raised by `failed`
            self.fail(error)
        else:
            self.resume_writing()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hand a message on. HOT PATH."""
        self.is_silent = False
        self._frames += 1
        if frame.last_in_buffer:
            if self._frames > CROWD_FRAMES:
                self._let_others_read(transport)
            self._frames = 0
        text: bytes | None
        try:
            if frame.rsv1 or frame.rsv2 or frame.rsv3:  # no extension was agreed on
                raise ends.broken()
            if frame.msg_type is _TEXT and frame.fin and not self._fragments.is_waiting:
                text = frame.get_payload_as_bytes()
            else:
                text = self._take_other(transport, frame)
            # picows reads on for a moment behind what it has refused.
            if text is not None and not transport.is_close_frame_sent:
                self._owner.message_received(text)
        except Exception as error:  # noqa: BLE001  # raised by `failed`
            self.fail(error)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Take note that the socket is closed, by whomever."""
        self.fail(_refusal(transport) or ends.lost())

    def pause_writing(self) -> None:
        """Take note that the peer reads more slowly than it is written to."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """Let the owner write, for the peer reads."""
        self.is_writable = self._failure is None
        if self.is_writable:
            self._owner.drained()

    def _let_others_read(self, transport: WSTransport) -> None:
        """Read on in the loop's next turn."""
        reading = transport.underlying_transport
        reading.pause_reading()
        asyncio.get_running_loop().call_soon(reading.resume_reading)

    def _take_other(self, transport: WSTransport, frame: WSFrame) -> bytes | None:
        """Take what is no message by itself; return the message that it completes."""
        match frame.msg_type:
            case WSMsgType.TEXT | WSMsgType.CONTINUATION:
                return self._fragments.take(
                    frame.get_payload_as_bytes(),
                    is_first=frame.msg_type is _TEXT,
                    is_last=frame.fin,
                )
            case WSMsgType.BINARY:
                raise ends.binary()
            case WSMsgType.PING if self.is_writable:
                transport.send_pong(frame.get_payload_as_bytes())
            case WSMsgType.CLOSE:
                code = int(frame.get_close_code())  # type: ignore[call-overload]  # an IntEnum, not as its types say
                reason = frame.get_close_reason() or ""
                end = self._owner.peer_closed(code or _NO_CODE, reason)
                self.fail(_refusal(transport) or end)  # the close may be an answer
                transport.disconnect()
            case _:
                pass  # a sign of life, and no more
        return None


def _refusal(transport: WSTransport) -> UpstreamError | None:
    """Return what picows took its leave for, if it was the first to."""
    said = transport.close_handshake
    if said is None or said.sent is None:  # type: ignore[redundant-expr]  # nobody said anything
        return None
    if said.sent.code == WSCloseCode.MESSAGE_TOO_BIG:
        return ends.too_large(MAX_MESSAGE_BYTES)
    return ends.broken()
