"""A caller that gets as far as it is told to, and leaves as it is told to."""

import asyncio
import struct
from typing import Any

from bench.load.dial import Dialer
from bench.load.line import Keys
from transceiver import rtp

SILENCE = bytes.fromhex("f8fffe")
"""20 ms of nothing as Opus: a whole frame, so that it is decoded."""

FRAME_S = 0.02
FRAME_TICKS = rtp.CLOCK_HZ // 50


class Leaver(Dialer):
    """One call. Its parts are aiortc's; what it leaves out is taken out of them.

    Attributes:
        reached_dtls: Set when ICE has succeeded.
        began_dtls: Set when the first piece of the handshake has been answered.
        channel_open: Set when events can flow.
    """

    def __init__(self) -> None:
        super().__init__(with_red=False)
        self.reached_dtls = asyncio.Event()
        self.began_dtls = asyncio.Event()
        self.channel_open = asyncio.Event()
        self._gone = asyncio.Event()
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

    async def speak(self, keys: Keys, seconds: float) -> None:
        """Send audio for a while."""
        agent: Any = self._agent
        for number in range(round(seconds / FRAME_S)):
            head = struct.pack(
                "!BBHII",
                0x80,
                keys.payload_type,
                number,
                number * FRAME_TICKS,
                keys.local_ssrc,
            )
            await agent.send(keys.outbound.protect(head + SILENCE))
            await asyncio.sleep(FRAME_S)

    def vanish(self) -> None:
        """Close the socket: not a word more comes of this caller."""
        self._port.close()
        self._gone.set()
