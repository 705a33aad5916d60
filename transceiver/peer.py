"""One WebRTC connection: the only adapter to aiortc.

aiortc keeps SDP, ICE, DTLS and SCTP. Its senders, receivers, tracks, tasks and threads
are switched off: once DTLS is up, the SRTP sessions are handed over and media goes from
the port to `media` directly. aiortc has no hooks for that, so private names are used;
`check_aiortc()` asserts them at start.

    new ──answer()──► negotiated ──ICE, DTLS──► connected ──► closed
                           └───────────────────────────────────┘ close(), failure
"""

import logging
import re
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiortc
import aiortc.exceptions
import aiortc.rtcdtlstransport as dtls
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription

from transceiver.ice import IceLeg, UdpPort
from transceiver.media import MediaKeys

log = logging.getLogger(__name__)

CHANNEL_LABEL = "oai-events"
"""The data channel that carries Realtime events (OpenAI Realtime over WebRTC)."""

MAX_BUFFERED_BYTES = 4 * 1024 * 1024
"""Events a client may leave unread on its data channel before the call is ended."""

MAX_HELD_CHUNKS = 1024
"""Pieces of messages a client may have us hold: its window of 1 MiB in whole datagrams.
aiortc goes through all of them for each that comes."""

MAX_STREAMS = 64
"""SCTP streams a client may use; it needs one."""

MAX_SECTIONS = 16
"""Media sections an offer may have: each takes aiortc 1 ms, and holds all calls up."""

UFRAG_CHARACTERS = 8
"""Length of our ICE username fragment: unique among the calls of one port."""

OPUS_PARAMETERS: dict[str, int | str | None] = {"minptime": 10, "useinbandfec": 1}
"""What we ask the caller's encoder for (RFC 7587 section 6.1); aiortc drops these."""

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


class OfferError(Exception):
    """The offer cannot be answered; the message says why, for the client to read."""


class UnreadEvents(Exception):  # noqa: N818  # reads as what happened
    """The client does not read its data channel."""


@dataclass(frozen=True, slots=True)
class PeerCallbacks:
    """What a call wants to hear of its peer; called in the loop, must not raise."""

    connected: Callable[[MediaKeys], None]
    channel_open: Callable[[], None]
    event_received: Callable[[str], None]
    closed: Callable[[str], None]


class Peer:
    """The server's side of one WebRTC connection."""

    def __init__(self, port: UdpPort, callbacks: PeerCallbacks) -> None:
        self._port = port
        self._callbacks = callbacks
        self._channel: aiortc.RTCDataChannel | None = None
        self._connection = RTCPeerConnection(
            RTCConfiguration(
                iceServers=[], bundlePolicy=aiortc.RTCBundlePolicy.MAX_BUNDLE
            )
        )
        self._connection.on("connectionstatechange", self._state_changed)
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
                RTCSessionDescription(sdp=_usable(offer), type="offer")
            )
            audio = self._shape_media()
            self._join_port()
            answer = await self._connection.createAnswer()
            await self._connection.setLocalDescription(answer)
        except _PARSER_ERRORS as error:
            raise OfferError(f"the SDP offer cannot be used: {error}") from error
        self._audio = audio
        self.has_channel = self._connection.sctp is not None
        if self.has_channel:
            self._guard(self._connection.sctp)
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
            self.leg.on_media = None
        await self._connection.close()
        if self.leg is not None:
            self.leg.detach()

    def _shape_media(self) -> Any:
        """Keep one audio section, Opus only; switch the rest off. Returns its side."""
        audio = None
        transceivers: list[Any] = self._connection.getTransceivers()
        for transceiver in transceivers:
            transceiver.sender.send = _nothing
            transceiver.receiver.receive = _nothing
            if transceiver.kind == "audio" and audio is None:
                audio = transceiver
                transceiver.direction = "sendrecv"
                transceiver._codecs = _opus_only(transceiver._codecs)
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
        connection = self._dtls.transport._connection
        connection._local_username = _free_ufrag(self._port)
        self.leg = self._port.attach(connection)

    def _media_keys(self) -> MediaKeys:
        cname = re.search(r"cname:(\S+)", self._connection.localDescription.sdp)
        return MediaKeys(
            inbound=self._dtls._rx_srtp,
            outbound=self._dtls._tx_srtp,
            local_ssrc=self._audio.sender._ssrc,
            payload_type=self._audio._codecs[0].payloadType,
            cname=cname.group(1) if cname else "",
        )

    def _state_changed(self) -> None:
        state = self.state
        if state == "connected":
            self._callbacks.connected(self._media_keys())
        elif state in {"failed", "closed"}:
            self._lose(state)

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

    def _guard(self, sctp: Any) -> None:
        """Stand between DTLS and SCTP, which trusts its peer in form and in size."""
        handle = sctp._handle_data

        async def handle_guarded(data: bytes) -> None:
            if self._closing:
                return
            try:
                await handle(data)
            except _SCTP_ERRORS:
                log.debug("SCTP failed", exc_info=True)
                self._lose("broke SCTP")
            else:
                if _holds_too_much(sctp):
                    self._lose("sent more than its window")

        sctp._handle_data = handle_guarded


async def _nothing(*_: object) -> None:
    """Stand where aiortc would start a media task."""


def _holds_too_much(sctp: Any) -> bool:
    streams = sctp._inbound_streams
    return (
        sctp._advertised_rwnd < 0
        or len(streams) > MAX_STREAMS
        or len(sctp._sack_misordered) > MAX_HELD_CHUNKS
        or sum(len(stream.reassembly) for stream in streams.values()) > MAX_HELD_CHUNKS
    )


def _opus_only(codecs: list[Any]) -> list[Any]:
    for codec in codecs:
        if codec.mimeType.lower() == "audio/opus":
            codec.parameters = dict(OPUS_PARAMETERS)
            return [codec]
    raise OfferError("the SDP offer's audio section does not offer Opus")


def _free_ufrag(port: UdpPort) -> str:
    while port.has(ufrag := secrets.token_hex(UFRAG_CHARACTERS // 2)):
        pass
    return ufrag


def _usable(offer: str) -> str:
    """Return the offer without candidates, bundle group and SSRCs.

    `MAX_BUNDLE` joins the sections anyway. Told by a group that names none of them, or
    names the first one last, aiortc would join them on no transport, or a stopped one.
    SSRCs are learnt from media; aiortc looks through all of them for each one.

    Raises:
        OfferError: aiortc would start what cannot be ended well.
    """
    dropped = ("a=candidate:", "a=end-of-candidates", "a=group:BUNDLE", "a=ssrc")
    lines = [line for line in offer.splitlines() if not line.startswith(dropped)]
    if sum(line.startswith("m=") for line in lines) > MAX_SECTIONS:
        raise OfferError(f"the SDP offer has more than {MAX_SECTIONS} media sections")
    usable = "\r\n".join([*lines, ""])
    for section in SessionDescription.parse(usable).media:
        if section.dtls is None or not section.dtls.fingerprints:
            raise OfferError("the SDP offer lacks a fingerprint or a setup role")
    return usable


def check_aiortc() -> None:
    """Assert the private names that this adapter stands on.

    Raises:
        RuntimeError: Another aiortc is installed than the one pinned.
    """
    probe = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver: Any = probe.addTransceiver("audio")
    transport: Any = transceiver.receiver.transport
    sctp: Any = aiortc.RTCSctpTransport(transport)
    wanted = [
        (
            sctp,
            [
                "_handle_data",
                "_advertised_rwnd",
                "_inbound_streams",
                "_sack_misordered",
            ],
        ),
        (transceiver, ["_codecs", "_headerExtensions"]),
        (transceiver.sender, ["_ssrc"]),
        (transport, ["_rx_srtp", "_tx_srtp", "_srtp_profiles"]),
        (transport.transport, ["_connection"]),
        (
            transport.transport._connection,
            [
                *("_local_username", "_nominated", "_protocols", "_queue"),
                *("_remote_candidates", "_check_list"),
            ],
        ),
    ]
    missing = [
        f"{type(owner).__name__}.{name}"
        for owner, names in wanted
        for name in names
        if not hasattr(owner, name)
    ]
    if missing:
        raise RuntimeError(
            f"aiortc {aiortc.__version__} lacks {', '.join(missing)}: install the "
            "version that the lock file names"
        )
