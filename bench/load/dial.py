"""Setting a call up: offer, HTTP, ICE and DTLS, by aiortc; then it is out of the way.

Each call has a socket of its own, since servers tell calls apart by where they come
from. It is first driven by the loop, for STUN and DTLS, and then by `Pump`.
"""

import asyncio
import secrets
import socket
import time
from typing import Any

import aiohttp
import aioice.ice
import aiortc
import aiortc.exceptions

from bench.load import red
from bench.load.line import Keys
from transceiver.webrtc.certificate import Certificate
from transceiver.webrtc.connection import new_connection
from transceiver.webrtc.ice import UdpPort

CONNECT_S = 15.0
"""How long a call may take to connect."""

CHANNEL_LABEL = "oai-events"

aioice.ice.CONSENT_INTERVAL = 2.6  # type: ignore[assignment]  # which it is only multiplied by
"""Between two STUN requests, seconds, as Chromium 156 makes them (measured)."""


class DialError(Exception):
    """The call did not connect; the message says how far it came."""


class Dialer:
    """One call's connection, from the offer to hanging up.

    Args:
        with_red: Whether in-band FEC and audio/red are offered.
        certificate: Shared by callers, so that each costs less; None: one of its own.

    Attributes:
        offered_ns: When the offer was sent; wall clock.
        connected_ns: When the keys were there.
        lost: Set when the server ended the call.
        location: Where the call is controlled; empty until it is answered.
        channel: Carries the events.
        leg: Its share of its own port.
    """

    def __init__(
        self, *, with_red: bool, certificate: Certificate | None = None
    ) -> None:
        self._with_red = with_red
        self.offered_ns = self.connected_ns = 0
        self.lost = asyncio.Event()
        self.location = ""
        self._connection = new_connection(
            certificate or Certificate.generateCertificate()
        )
        audio: Any = self._connection.addTransceiver("audio", "sendrecv")
        audio.sender.send = audio.receiver.receive = _nothing
        self._audio = audio
        self.channel = self._connection.createDataChannel(CHANNEL_LABEL)
        self._dtls: Any = audio.receiver.transport
        self._agent: Any = self._dtls.transport._connection
        self._port = UdpPort("0.0.0.0", 0, None, with_loopback=True)
        self.leg = self._port.attach(self._agent)
        self._connected = asyncio.Event()
        self._dtls.on("statechange", self._state_changed)

    async def prepare(self) -> None:
        """Make the offer, so that what it costs is not in the set-up time."""
        offer = await self._connection.createOffer()
        await self._connection.setLocalDescription(offer)

    async def connect(self, http: aiohttp.ClientSession, url: str) -> Keys:
        """Send the offer and wait for the keys.

        Raises:
            DialError: Refused, not understood, or nothing came.
        """
        self.offered_ns = time.time_ns()
        try:
            async with asyncio.timeout(CONNECT_S):
                answer = await self._exchange(http, url)
                await self._take(answer)
                await self._connected.wait()
        except TimeoutError:
            state = self._connection.iceConnectionState
            raise DialError(f"not connected in {CONNECT_S:g} s (ICE {state})") from None
        if self.lost.is_set():
            raise DialError(f"DTLS {self._dtls.state}")
        return Keys(
            inbound=self._dtls._rx_srtp,
            outbound=self._dtls._tx_srtp,
            local_ssrc=self._audio.sender._ssrc,
            payload_type=self._audio._codecs[0].payloadType,
            sends_red=red.prefers(answer),
            cname=secrets.token_hex(8),
        )

    def take_socket(self) -> socket.socket:
        """Take the socket from the loop, connected to where the server's media is."""
        port_socket: Any = self._port.socket
        taken: socket.socket = port_socket._socket
        asyncio.get_running_loop().remove_reader(taken.fileno())
        taken.connect(self._agent._nominated[1].remote_addr)
        return taken

    def datagram_received(self, data: bytes) -> None:
        """Take what came over that socket and is no media."""
        self._port._datagram_received(data, self._agent._nominated[1].remote_addr)

    async def close(self) -> None:
        """Hang up and close the socket."""
        await self._connection.close()
        self._port.close()

    @property
    def offer(self) -> str:
        """What is offered; SDP."""
        sdp = str(self._connection.localDescription.sdp)
        return red.offered(sdp) if self._with_red else sdp

    async def _exchange(self, http: aiohttp.ClientSession, url: str) -> str:
        try:
            async with http.post(
                f"{url}/v1/realtime/calls",
                data=self.offer,
                headers={"Content-Type": "application/sdp"},
            ) as response:
                answer = await response.text()
        except aiohttp.ClientError as error:
            raise DialError(f"HTTP: {error}") from error
        if not response.ok:
            raise DialError(f"HTTP {response.status}")
        self.location = response.headers.get("Location", "")
        return answer

    async def _take(self, answer: str) -> None:
        try:
            await self._connection.setRemoteDescription(
                aiortc.RTCSessionDescription(red.without(answer), "answer")
            )
        except (ValueError, aiortc.exceptions.InvalidStateError) as error:
            raise DialError(f"the answer cannot be used: {error}") from error

    def _state_changed(self) -> None:
        state = self._dtls.state
        if state == "connected":
            self.connected_ns = time.time_ns()
            self._connected.set()
        elif state in {"closed", "failed"}:
            self.lost.set()
            self._connected.set()


async def _nothing(*_: object) -> None:
    """Stand where aiortc would start a media task."""
