"""One connected call: its socket, its keys, and what went and came.

The whole media path of a caller. Everything is noted as numbers in arrays; sound is
kept only by calls that are sampled, and decoded when the run is over. Times are those
of the kernel's clock in nanoseconds, since it stamps what arrives: how late this
process reads its sockets is not in the figures.
"""

import socket
import struct
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from pylibsrtp import Session

from bench.load.red import RED_TYPE
from bench.load.voice import Turns, Voice
from proto.frames import FRAME_SAMPLES
from tests.support.netem import Path
from transceiver import rtcp, rtp
from transceiver.rtp import SequenceExtender
from transceiver.srtp import SrtpReceiver, SrtpSender

FRAME_TICKS = FRAME_SAMPLES * rtp.TICKS_PER_SAMPLE
COMFORT_FRAMES = 20
"""Between two packets of silence: 400 ms, as browsers send them (RFC 7587)."""

REPORT_FRAMES = 125
"""Between two RTCP reports: 2.5 s. Chromium 156 sends a report of its sender and one of
its receiver every 5 s (0.44 datagrams a second, measured)."""

STAMPED = sys.platform == "linux"
SO_TIMESTAMPNS = 35
"""Linux, asm-generic/socket.h; Python names it from 3.13 on."""

_STAMP = struct.Struct("qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_STAMP.size)
_MAX_DATAGRAM_BYTES = 2048
_NUMBERS = struct.Struct("!HI")
_RTCP_TYPES = range(192, 224)
"""Second bytes that RTP does not use beside RTCP (RFC 5761 section 4)."""


class Keys(NamedTuple):
    """What signalling and DTLS agreed on; SRTP sessions of either direction."""

    inbound: Session
    outbound: Session
    local_ssrc: int
    payload_type: int
    sends_red: bool
    cname: str


@dataclass(slots=True)
class Log:
    """What one call sent and got, in order.

    Attributes:
        sent_ns: When each frame of speech was sent.
        sent_frames: Which frame of the voice it was.
        silent_ns: When each frame of silence was sent.
        arrived_ns: When each packet came.
        sequences: Its sequence number, extended over the wrap.
        timestamps: Its RTP time, as sent.
        packets: The packet itself, of a sampled call.
    """

    sent_ns: "array[int]" = field(default_factory=lambda: array("q"))
    sent_frames: "array[int]" = field(default_factory=lambda: array("I"))
    silent_ns: "array[int]" = field(default_factory=lambda: array("q"))
    arrived_ns: "array[int]" = field(default_factory=lambda: array("q"))
    sequences: "array[int]" = field(default_factory=lambda: array("q"))
    timestamps: "array[int]" = field(default_factory=lambda: array("I"))
    packets: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """What one caller does: its place in the voice, its turns, its network."""

    first_frame: int
    turns: Turns
    up: Path | None
    down: Path | None
    is_sampled: bool


class Line:
    """Speaks and listens for one call; driven by `Pump`.

    Attributes:
        log: What it sent and got.
        unopened: Datagrams that did not authenticate or came twice.
        refused: Sends that the system refused.
        path: The emulated network on the way up; None: there is none.
    """

    def __init__(
        self,
        sock: socket.socket,
        keys: Keys,
        voice: Voice,
        part: Part,
        otherwise: Callable[[bytes], None],
    ) -> None:
        """Take over a connected socket.

        Args:
            sock: Bound, non-blocking, connected to where the server's media comes from.
            keys: From DTLS.
            voice: What to say.
            part: How to say it.
            otherwise: Takes what is not media: STUN and DTLS.
        """
        self.log = Log()
        self.unopened = self.refused = 0
        self.socket = sock
        self.path = part.up
        if STAMPED:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._keys, self._voice, self._part = keys, voice, part
        self._otherwise = otherwise
        self._sender = SrtpSender(keys.outbound)
        self._receiver = SrtpReceiver(keys.inbound)
        self._number = self._sequence = self._octets = 0
        self._spoke = False
        self._reception: rtcp.Reception | None = None
        self._extender: SequenceExtender | None = None

    def tick(self) -> bytes | None:
        """Return the next 20 ms as a datagram, if there is anything to send in them."""
        number = self._number
        self._number += 1
        if number % REPORT_FRAMES == REPORT_FRAMES - 1:
            self._report()
        part, voice = self._part, self._voice
        speaks = part.turns.speaks(number)
        frame = (part.first_frame + number) % len(voice.payloads)
        if speaks:
            payload = voice.payloads[frame]
            self.log.sent_frames.append(frame)
            self.log.sent_ns.append(time.time_ns())
        elif number % COMFORT_FRAMES == 0:
            payload = voice.comfort
            self.log.silent_ns.append(time.time_ns())
        else:
            self._spoke = False
            return None
        kind = self._keys.payload_type
        if self._keys.sends_red and speaks and self._spoke:
            kind, payload = RED_TYPE, voice.repeated[frame]
        header = rtp.build_header(
            kind,
            self._sequence,
            number * FRAME_TICKS,
            self._keys.local_ssrc,
            marker=speaks and not self._spoke,
        )
        self._spoke = speaks
        self._sequence += 1
        self._octets += len(payload)
        return self._sender.seal_rtp(header + payload)

    def send(self, datagram: bytes) -> None:
        """Send now or never."""
        try:
            self.socket.send(datagram)
        except OSError:  # full buffer, or the server's port is closed
            self.refused += 1

    def receive(self) -> None:
        """Take one datagram off the socket."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(
                _MAX_DATAGRAM_BYTES, _ANCILLARY_BYTES
            )
        except OSError:  # an ICMP error left by an earlier datagram
            self.refused += 1
            return
        if len(data) < rtp.HEADER.size or not 128 <= data[0] < 192:
            if data:
                self._otherwise(data)
        elif data[1] in _RTCP_TYPES:
            self._rtcp_received(data)
        elif ancillary:
            seconds, ns = _STAMP.unpack(ancillary[0][2])
            self._rtp_received(data, seconds * 1_000_000_000 + ns)
        else:
            self._rtp_received(data, time.time_ns())

    def _rtp_received(self, data: bytes, arrived_ns: int) -> None:
        if self._part.down is not None:
            for arrived_s in self._part.down.arrivals(arrived_ns / 1e9):
                self._note(data, round(arrived_s * 1e9))
        else:
            self._note(data, arrived_ns)

    def _note(self, data: bytes, arrived_ns: int) -> None:
        packet = self._receiver.open_rtp(data)
        if packet is None:
            self.unopened += 1
            return
        sequence, timestamp = _NUMBERS.unpack_from(packet, 2)
        if self._extender is None or self._reception is None:
            ssrc = int.from_bytes(packet[8:12])
            self._extender = SequenceExtender(sequence)
            self._reception = rtcp.Reception(ssrc, sequence, rtp.CLOCK_HZ)
        extended = self._extender.extend(sequence)
        self._reception.received(extended, timestamp, arrived_ns / 1e9)
        log = self.log
        log.arrived_ns.append(arrived_ns)
        log.sequences.append(extended)
        log.timestamps.append(timestamp)
        if self._part.is_sampled:
            log.packets.append(packet)

    def _rtcp_received(self, data: bytes) -> None:
        packet = self._receiver.open_rtcp(data)
        if packet is None:
            self.unopened += 1
            return
        feedback = rtcp.parse(packet)
        if feedback.sender is not None and self._reception is not None:
            self._reception.sender_reported(feedback.sender, time.time())

    def _report(self) -> None:
        now, keys = time.time(), self._keys
        info = rtcp.SenderInfo(
            keys.local_ssrc,
            rtcp.ntp(now),
            self._number * FRAME_TICKS & 0xFFFF_FFFF,
            self._sequence,
            self._octets,
        )
        block = None if self._reception is None else self._reception.report(now)
        report = rtcp.build_report(info, keys.cname, block, sending=True)
        sealed = self._sender.seal_rtcp(report)
        if sealed is not None:
            self.send(sealed)
