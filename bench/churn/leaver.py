"""A caller that gets as far as it is told to, and leaves as it is told to."""

import asyncio
import struct
import time
from collections.abc import Iterable
from typing import Any

from bench.load.dial import Dialer
from bench.load.line import Keys
from transceiver import rtp
from transceiver.webrtc.certificate import Certificate

FRAME_S = 0.02
FRAME_TICKS = rtp.CLOCK_HZ // 50


class Leaver(Dialer):
    """One call. Its parts are aiortc's; what it leaves out is taken out of them.

    Attributes:
        reached_dtls: Set when ICE has succeeded.
        began_dtls: Set when the first piece of the handshake has been answered.
        channel_open: Set when events can flow.
        heard: Set when the first media has come.
        heard_ns: When that was; wall clock.
    """

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(with_red=False, certificate=certificate)
        self.reached_dtls = asyncio.Event()
        self.began_dtls = asyncio.Event()
        self.channel_open = asyncio.Event()
        self.heard_ns = 0
        self.heard = asyncio.Event()
        self._gone = asyncio.Event()
        self.leg.on_media = self._media_received
        self.channel.on("open", self.channel_open.set)

    def without_dtls(self) -> None:
        """Have the call stop short of DTLS."""

        async def start(_: object) -> None:
            self.reached_dtls.set()

        self._dtls.start = start

    def with_half_a_handshake(self) -> None:
        """Have the call fall silent after its first word of DTLS."""
        receive = self._dtls._recv_next
        words = 0

        async def receive_once() -> None:
            nonlocal words
            if words == 1:
                self.began_dtls.set()
                await self._gone.wait()
                raise ConnectionError
            words += 1
            await receive()

        self._dtls._recv_next = receive_once

    async def speak(self, keys: Keys, payloads: Iterable[bytes]) -> None:
        """Send audio, a frame of Opus each 20 ms."""
        agent: Any = self._agent
        for number, payload in enumerate(payloads):
            head = struct.pack(
                "!BBHII",
                0x80,
                keys.payload_type,
                number,
                number * FRAME_TICKS,
                keys.local_ssrc,
            )
            await agent.send(keys.outbound.protect(head + payload))
            await asyncio.sleep(FRAME_S)

    def vanish(self) -> None:
        """Close the socket: not a word more comes of this caller."""
        self._port.close()
        self._gone.set()

    def _media_received(self, _: bytes, __: float) -> None:
        if not self.heard.is_set():
            self.heard_ns = time.time_ns()
            self.heard.set()
