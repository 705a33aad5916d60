"""One WebRTC connection: the server's side of it.

aiortc's senders, receivers, tracks, tasks and threads are switched off: once DTLS is
up, the SRTP sessions are handed over and media goes from the port to `media` directly.
aiortc has no hooks for that, so private names are used (see `pinned`).

    new ──answer()──► negotiated ──ICE, DTLS──► connected ──► closed
                           └───────────────────────────────────┘ close(), failure
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiortc
import aiortc.exceptions
import aiortc.rtcdtlstransport as dtls
from aiortc import RTCSessionDescription

from transceiver.media import MediaKeys
from transceiver.webrtc import connection
from transceiver.webrtc.agent import only_answer
from transceiver.webrtc.certificate import Certificate
from transceiver.webrtc.channel import guard
from transceiver.webrtc.ice import IceLeg, UdpPort
from transceiver.webrtc.offer import OfferError, spoken, usable
from transceiver.webrtc.unframed import unframed

CHANNEL_LABEL = "oai-events"
"""The data channel that carries Realtime events (OpenAI Realtime over WebRTC)."""

MAX_BUFFERED_BYTES = 4 * 1024 * 1024
"""Events a client may leave unread on its data channel before the call is ended."""

_SRTP_PROFILES = [
    dtls.SRTP_AEAD_AES_128_GCM,
    dtls.SRTP_AES128_CM_SHA1_80,
    dtls.SRTP_AEAD_AES_256_GCM,
]
"""In our order of preference: one pass of AES-NI beats AES and SHA-1 in turn."""

_PARSER_ERRORS = (
    ValueError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    aiortc.exceptions.InternalError,
    aiortc.exceptions.InvalidStateError,
    aiortc.exceptions.OperationError,
)
"""What aiortc's SDP code has been seen to raise for offers it cannot use."""


class UnreadEvents(Exception):  # noqa: N818  # reads as what happened
    """The client does not read its data channel."""


def _unheard(*_: object) -> None:
    """Stand where a call would be told."""


@dataclass(frozen=True, slots=True)
class PeerCallbacks:
    """What a call wants to hear of its peer; called in the loop, must not raise."""

    connected: Callable[[MediaKeys], None]
    channel_open: Callable[[], None]
    event_received: Callable[[str], None]
    closed: Callable[[str], None]
    found: Callable[[], None] = _unheard
    """ICE has found a way to the caller; DTLS begins."""


_NOBODY = PeerCallbacks(_unheard, _unheard, _unheard, _unheard)
"""Hears of a closed peer: the call that owns it must not be held by it."""


class Peer:
    """The server's side of one WebRTC connection.

    Args:
        port: Carries it.
        callbacks: Hear of it.
        certificate: What the server is known by; None: one for this connection alone.
    """

    def __init__(
        self,
        port: UdpPort,
        callbacks: PeerCallbacks,
        certificate: Certificate | None = None,
    ) -> None:
        self._port = port
        self._callbacks = callbacks
        self._channel: aiortc.RTCDataChannel | None = None
        self._connection = connection.new_connection(
            certificate or Certificate.generateCertificate()
        )
        self._connection.on("connectionstatechange", self._state_changed)
        self._connection.on("iceconnectionstatechange", self._ice_state_changed)
        self._connection.on("datachannel", self._channel_received)
        self._dtls: Any = None
        self._closing = False
        self.leg: IceLeg | None = None
        self.has_channel = False

    @property
    def state(self) -> str:
        """The connection's state: new, connecting, connected, failed or closed."""
        return str(self._connection.connectionState)

    async def answer(self, offer: str) -> str:
        """Apply the offer and return the answer; ICE and DTLS start at once.

        The offer's candidates are not used: the caller checks our address, and we learn
        its address from that. So no offer can make us send to an address that it
        names, and no `.local` name is ever looked up.

        Raises:
            OfferError: The offer cannot be answered.
        """
        try:
            await self._connection.setRemoteDescription(
                RTCSessionDescription(sdp=usable(offer), type="offer")
            )
            audio = self._shape_media(offer)
            self._join_port()
            answer = await self._connection.createAnswer()
            await self._connection.setLocalDescription(answer)
        except _PARSER_ERRORS as error:
            raise OfferError(f"the SDP offer cannot be used: {error}") from error
        self._audio = audio
        self.has_channel = self._connection.sctp is not None
        if self.has_channel:
            guard(self._connection.sctp, self._lose)
        return str(self._connection.localDescription.sdp)

    def send_event(self, text: str) -> bool:
        """Send a Realtime event; False if it is larger than the client accepts.

        Raises:
            UnreadEvents: The client has left too much unread.
        """
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return True  # closing: nobody is left to tell
        if channel.bufferedAmount > MAX_BUFFERED_BYTES:
            raise UnreadEvents
        try:
            channel.send(text)
        except ValueError:
            return False
        return True

    async def close(self) -> None:
        """End the connection; the client sees DTLS close at once."""
        self._closing = True
        if self.leg is not None:
            self.leg.detach()
        await connection.close(self._connection)
        self._channel, self._callbacks = None, _NOBODY

    def _shape_media(self, offer: str) -> Any:
        """Keep one audio section, what we speak of it; switch the rest off."""
        audio = None
        transceivers: list[Any] = self._connection.getTransceivers()
        for transceiver in transceivers:
            transceiver.sender.send = _nothing
            transceiver.receiver.receive = _nothing
            if transceiver.kind == "audio" and audio is None:
                audio = transceiver
                transceiver.direction = "sendrecv"
                transceiver._codecs = spoken(transceiver._codecs, offer)
            else:
                transceiver.direction = "inactive"
            transceiver._headerExtensions = []
        if audio is None:
            raise OfferError("the SDP offer has no audio section")
        return audio

    def _join_port(self) -> None:
        self._dtls = self._connection.getTransceivers()[0].receiver.transport
        self._dtls._srtp_profiles = [
            profile for profile in _SRTP_PROFILES if profile in dtls.SRTP_PROFILES
        ]
        self._dtls._recv_next = unframed(self._dtls._recv_next, ConnectionError)
        agent = self._dtls.transport._connection
        agent._local_username = self._port.free_ufrag()
        self.leg = self._port.attach(agent)
        only_answer(agent)

    def _media_keys(self) -> MediaKeys:
        cname = re.search(r"cname:(\S+)", self._connection.localDescription.sdp)
        *red, opus = self._audio._codecs
        return MediaKeys(
            inbound=self._dtls._rx_srtp,
            outbound=self._dtls._tx_srtp,
            local_ssrc=self._audio.sender._ssrc,
            payload_type=opus.payloadType,
            cname=cname.group(1) if cname else "",
            red_type=red[0].payloadType if red else None,
        )

    def _state_changed(self) -> None:
        state = self.state
        if state == "connected":
            self._callbacks.connected(self._media_keys())
        elif state in {"failed", "closed"}:
            self._lose(state)

    def _ice_state_changed(self) -> None:
        if self._connection.iceConnectionState == "completed":
            self._callbacks.found()

    def _channel_received(self, channel: aiortc.RTCDataChannel) -> None:
        if channel.label != CHANNEL_LABEL or self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._message_received)
        channel.on("close", self._channel_closed)
        self._callbacks.channel_open()

    def _message_received(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._callbacks.event_received(message)

    def _channel_closed(self) -> None:
        self._lose("channel closed")

    def _lose(self, reason: str) -> None:
        if not self._closing:
            self._closing = True
            self._callbacks.closed(reason)


async def _nothing(*_: object) -> None:
    """Stand where aiortc would start a media task."""
