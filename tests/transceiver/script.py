"""A call as a script: what a caller, its path and the model do, to be played again.

`scripts` draws one, `Scene` plays it on a leg and keeps all that can be seen of the leg
from outside. Two legs that are the same show the same.
"""

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pylibsrtp
from hypothesis import strategies as st

from codec.opus import VOICE, Application, Encoder, Encoding
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_BYTES, DownFrame, UpFrame
from proto.messages import MAX_INT
from tests.transceiver.leg import (
    CALLER_SSRC,
    FRAME_S,
    FRAME_TICKS,
    OUR_SSRC,
    PAYLOAD_TYPE,
    RED_TYPE,
    Leg,
    voice,
)
from transceiver import red, rtcp, rtp
from transceiver.media import Media
from transceiver.profile import Plan, Profile
from transceiver.sight import DOWNLINK, UPLINK, Sight
from transceiver.voice import Decoded

VOIP, LOW_DELAY = Application.VOIP, Application.LOW_DELAY
USUAL = (VOIP, FRAME_SAMPLES)
CODINGS = (
    *((LOW_DELAY, samples) for samples in (60, 120, 240, 480)),
    *((VOIP, samples) for samples in (240, 480, 960, 1440)),
)
"""Encoder, and samples of a packet: 2.5 to 60 ms."""

POOL = 12
"""Payloads and frames made of each kind, which then come again."""

MAX_KEPT = 300
"""Datagrams that may come late or again; beyond SRTP's window of 128."""


@functools.cache
def payloads(application: Application, samples: int) -> tuple[bytes, ...]:
    """Return consecutive packets of a voice."""
    has_fec = application is VOIP
    encoder = Encoder(
        VOICE._replace(application=application, complexity=0, has_fec=has_fec)
    )
    encoder.set_expected_loss(20)
    pieces = (voice(i * samples, samples) for i in range(POOL))
    return tuple(map(encoder.encode, pieces))


@functools.cache
def frames() -> tuple[bytes, ...]:
    """Return consecutive frames of a voice, as PCM."""
    return tuple(voice(i * FRAME_SAMPLES, FRAME_SAMPLES) for i in range(POOL))


def protecting(repeats: int, bitrate_bps: int = 80_000) -> Plan:
    """Return a plan of a repeat for each percent of loss, up to so many."""
    return Plan(
        Encoding(LOW_DELAY, bitrate_bps, complexity=0, has_fec=False),
        least_bps=8_000,
        red_percents=tuple(range(1, repeats + 1)),
    )


class Step(NamedTuple):
    """A method of `Scene`, and what it is told."""

    act: str
    told: dict[str, Any]


Script = list[Step]


class Stream:
    """What one SSRC of the caller's sends next."""

    def __init__(self, number: int) -> None:
        self.ssrc = CALLER_SSRC + number
        self.sequence = 65_530  # soon over its wrap
        self.timestamp = 2**32 - 5 * FRAME_TICKS
        self.before: deque[tuple[int, bytes]] = deque(maxlen=3)


class RecordedLeg(Leg):
    """A leg that keeps its datagrams as they are.

    Attributes:
        datagrams: With the time of each.
        passed_up: Frames of the caller's that a lane handed on.
        passed_down: Packets that a lane sent.
    """

    def __init__(self, profile: Profile, *, knows_red: bool) -> None:
        self.datagrams: list[tuple[float, bytes]] = []
        self.passed_up = self.passed_down = 0
        super().__init__(profile=profile, knows_red=knows_red)

    def _datagram_sent(self, data: bytes) -> None:
        self.passed_down += self.media._down.is_on  # one is left for all that it is not
        self.datagrams.append((self.loop.now, data))
        super()._datagram_sent(data)

    def _frame_up(self, frame: UpFrame) -> None:
        self.passed_up += self.media._up.is_on  # likewise
        super()._frame_up(frame)


class Scene:
    """A leg, between a caller and a model that follow a script."""

    def __init__(self, profile: Profile = Profile.AUTO, *, knows_red: bool) -> None:
        self.leg = RecordedLeg(profile, knows_red=knows_red)
        self.read: list[object] = []
        """What could be read of the leg, each time it was looked at."""
        self._streams = [Stream(number) for number in range(4)]
        self._stream = self._streams[0]
        self._made = 0
        self._kept: deque[bytes] = deque(maxlen=MAX_KEPT)
        self._lost: deque[bytes] = deque(maxlen=MAX_KEPT)
        self._talkspurt = self._position = self._cycles = 0

    def play(self, script: Script) -> None:
        """Follow a script to its end, and then hang up."""
        leg = self.leg
        for act, told in script:
            getattr(self, act)(**told)
            self.read.append((leg.loop.now, leg.media._alarm.deadline))
        self.look()
        leg.media.close()
        self.converse(packets=2, lead_ms=0)
        leg.run(3.0)

    def seen(self) -> tuple[list[Any], ...]:
        """Return all that was seen of the leg, with its times."""
        return self.read, self.leg.up, self.leg.datagrams

    # Both

    def converse(self, packets: int, lead_ms: int) -> None:
        """Have caller and model speak at once, as they should."""
        for _ in range(packets):
            self.speak(1, USUAL, repeats=0, every_s=0.0, marker=False)
            self.talk(1, lead_ms, every_s=FRAME_S, skipped=0, last_bytes=FRAME_BYTES)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.leg.run(seconds)

    def look(self) -> None:
        """Read what metrics show."""
        media = self.leg.media
        self.read += [media.waiting_frames, media.counts(), media.waiting_frames]
        self.read += [media.complexity, media.reports.rtt_s]
        self.read.append(media.adaptation.loss_percent)

    def examine(self) -> None:
        """Read all figures of the leg, to their last bit: no lane has them then."""
        media = self.leg.media
        media._leave_lanes()
        self.read += map(_figures, _parts(media))

    def watch(self) -> None:
        """Have delays measured, from now on."""
        stages = {UPLINK: self._observed("up"), DOWNLINK: self._observed("down")}
        unheard = self._observed("unheard")
        clock = self.leg.loop.time
        self.leg.media.watched_by(Sight(stages, clock=clock, unheard=unheard))

    def ease(self, eased: bool) -> None:
        """Change the encoder's complexity, where a profile allows it."""
        self.leg.media.ease(eased=eased)

    def _observed(self, what: str) -> Callable[[float], None]:
        return lambda seconds: self.read.append((self.leg.loop.now, what, seconds))

    # The caller

    def speak(
        self,
        packets: int,
        coding: tuple[Application, int],
        repeats: int,
        every_s: float,
        marker: bool,
    ) -> None:
        """Send packets in order, as RED if they repeat others."""
        for _ in range(packets):
            self._arrive(self._next(coding, repeats, marker=marker))
            self.leg.run(every_s)

    def lose(
        self, packets: int, coding: tuple[Application, int], every_s: float
    ) -> None:
        """Have packets not come, unless `late` brings them."""
        for _ in range(packets):
            self._lost.append(self._next(coding, 0, marker=False))
            self.leg.run(every_s)

    def late(self, back: int) -> None:
        """Have a packet come that was lost."""
        if self._lost:
            del_at = -1 - back % len(self._lost)
            datagram = self._lost[del_at]
            del self._lost[del_at]
            self._arrive(datagram)

    def swap(
        self, coding: tuple[Application, int], repeats: int, later_s: float
    ) -> None:
        """Have two packets change places."""
        first = self._next(coding, 0, marker=False)
        self._arrive(self._next(coding, repeats, marker=False))
        self.leg.run(later_s)
        self._arrive(first)

    def again(self, back: int) -> None:
        """Send a datagram once more, or one that is long past."""
        if self._kept:
            self.leg.receive(self._kept[-1 - back % len(self._kept)])

    def forge(self, at: int, mask: int, size: int) -> None:
        """Send the next datagram changed, cut off or stretched, before it comes."""
        stream = self._stream
        header = rtp.build_header(
            PAYLOAD_TYPE, stream.sequence, stream.timestamp, stream.ssrc, marker=False
        )
        datagram = bytearray((header + bytes(80)).ljust(size, b"\0")[:size])
        if datagram:
            datagram[at % len(datagram)] ^= mask
        self.leg.receive(bytes(datagram))

    def send(self, first: int, kind: int, body: bytes) -> None:
        """Send a packet of any kind: with CSRCs, an extension, padding, or broken."""
        self._arrive(self._packet(body, 0, kind=kind, first=first))

    def silence(self, packets: int, every_s: float) -> None:
        """Send what DTX does: packets of one byte."""
        for _ in range(packets):
            head = payloads(*USUAL)[0][:1]
            self._arrive(self._packet(head, FRAME_SAMPLES))
            self.leg.run(every_s)

    def repeat(self, blocks: int, length: int, newest: int, cut: int) -> None:
        """Send RED of so many blocks, which may be too many, or cut off."""
        coding = payloads(*USUAL)
        data = coding[1][:length].ljust(length, b"\0") * blocks + coding[2]
        headers = b"".join(
            ((0x80 | PAYLOAD_TYPE) << 24 | i * FRAME_TICKS << 10 | length).to_bytes(4)
            for i in range(blocks, 0, -1)
        )
        body = headers + bytes([newest]) + data
        body = body[: len(body) - cut]
        self._arrive(self._packet(body, FRAME_SAMPLES, kind=RED_TYPE))

    def pause(self, ticks: int, seconds: float) -> None:
        """Send nothing for a time, which is no loss."""
        self._stream.timestamp += ticks
        self.leg.run(seconds)

    def jump(self, ticks: int, packets: int) -> None:
        """Have the caller's clock or its numbers jump."""
        self._stream.timestamp += ticks
        self._stream.sequence += packets

    def change(self, stream: int) -> None:
        """Go on with another SSRC, or go back to it."""
        self._stream = self._streams[stream]

    def report(
        self,
        lost: int,
        cycle: bool,
        behind: int,
        ago_s: float | None,
        estimate_bps: int | None,
    ) -> None:
        """Say what came of ours, when, and what may; then our sender's report."""
        leg, now = self.leg, self.leg.loop.now
        newest = leg.sent[-1].sequence if leg.sent else 0
        self._cycles += cycle
        highest = self._cycles << 16 | (newest - behind & 0xFFFF)
        echoed = 0 if ago_s is None else rtcp.ntp_short(now - ago_s)
        block = rtcp.ReportBlock(OUR_SSRC, lost, 0, highest, 0, echoed, 0)
        stream = self._stream
        info = rtcp.SenderInfo(
            stream.ssrc, rtcp.ntp(now), stream.timestamp & 0xFFFFFFFF, 1, 1
        )
        data = rtcp.build_report(info, "caller", block, sending=True)
        if estimate_bps is not None:
            data += _estimate(stream.ssrc, estimate_bps)
        leg.receive(leg.protect.protect_rtcp(data))

    def mutter(self, data: bytes) -> None:
        """Send RTCP that is none, sealed."""
        data = bytes([0x80, 201]) + data
        self.leg.receive(self.leg.protect.protect_rtcp(data))

    def _next(
        self, coding: tuple[Application, int], repeats: int, *, marker: bool
    ) -> bytes:
        pool, stream = payloads(*coding), self._stream
        payload = pool[self._made % POOL]
        self._made += 1
        kind, body = PAYLOAD_TYPE, payload
        if repeats:
            now = stream.timestamp
            before = [each for each in stream.before if each[0] <= now][:repeats]
            kind = RED_TYPE
            body = red.build(PAYLOAD_TYPE, payload, now, before)
        stream.before.appendleft((stream.timestamp, payload))
        return self._packet(body, coding[1], kind=kind | marker << 7)

    def _packet(
        self, body: bytes, samples: int, kind: int = PAYLOAD_TYPE, first: int = 0x80
    ) -> bytes:
        """Return the next datagram; empty: libsrtp does not seal that."""
        stream = self._stream
        header = rtp.HEADER.pack(
            first,
            kind,
            stream.sequence & 0xFFFF,
            stream.timestamp & 0xFFFFFFFF,
            stream.ssrc,
        )
        stream.sequence += 1
        stream.timestamp += samples * rtp.TICKS_PER_SAMPLE
        with contextlib.suppress(pylibsrtp.Error):
            return self.leg.protect.protect(header + body)
        return b""

    def _arrive(self, datagram: bytes) -> None:
        self._kept.append(datagram)
        self.leg.receive(datagram)

    # The model

    def begin(self) -> None:
        """Begin a talkspurt."""
        self._talkspurt += 1
        self._position = 0

    def talk(
        self, frames_: int, lead_ms: int, every_s: float, skipped: int, last_bytes: int
    ) -> None:
        """Go on with a talkspurt, after what was lost of it."""
        self._talkspurt = max(self._talkspurt, 1)
        self._position += skipped * FRAME_SAMPLES
        for i in range(frames_):
            size = last_bytes if i == frames_ - 1 else FRAME_BYTES
            pcm = frames()[i % POOL][:size].ljust(size, b"\0")
            frame = DownFrame(self._talkspurt, self._position, lead_ms, pcm)
            self.leg.play(frame)
            self._position += size // SAMPLE_BYTES
            self.leg.run(every_s)

    def stray(self, talkspurt: int, position: int, lead_ms: int, size: int) -> None:
        """Have a frame come that is out of place, or of another length."""
        place = max(self._talkspurt + talkspurt, 1), max(self._position + position, 0)
        place = place[0], min(place[1], MAX_INT)
        self.leg.play(DownFrame(*place, lead_ms, bytes(size)))

    def give_up(self, count: int) -> None:
        """Have the link give frames up."""
        self.leg.media.frames_lost(count, self.leg.loop.now)

    def flush(self, back: int) -> None:
        """Interrupt this talkspurt, or one before it or behind it."""
        answer = self.leg.media.flush(max(self._talkspurt - back, 0), self.leg.loop.now)
        self.read.append(answer)


def _parts(media: Media) -> Iterator[object]:
    """Yield what has the state of a leg, while no lane has."""
    ordered, playout = media._depacketizer, media._playout
    voice, stream = ordered._voice, ordered._stream
    assert isinstance(voice, Decoded)
    yield from (voice, voice._voice, voice._places, voice._allowance)
    yield from (ordered, ordered.window, media.reports)
    yield from (playout, playout._newest, playout._playhead, media._packetizer)
    watches = ordered.timed, media._timed_down
    yield from (watch for watch in watches if watch._observe is not None)
    if stream is not None:
        yield from (stream, stream.reception, stream.extender)


def _figures(part: object) -> dict[str, float]:
    slots = (getattr(kind, "__slots__", ()) for kind in type(part).__mro__)
    values = {name: getattr(part, name) for names in slots for name in names}
    return {name: it for name, it in values.items() if isinstance(it, int | float)}


def _estimate(ssrc: int, bps: int) -> bytes:
    """Return REMB (draft-alvestrand-rmcat-remb-03 section 2.2), bps below 2**18."""
    body = rtcp.U32.pack(ssrc) + bytes(4) + b"REMB"
    body += rtcp.U32.pack(1 << 24 | bps) + rtcp.U32.pack(ssrc)
    head = 0x80 | rtcp.APPLICATION_LAYER_FEEDBACK
    return rtcp.HEADER.pack(head, rtcp.PAYLOAD_FEEDBACK, len(body) // 4) + body


def _step(act: Callable[..., None], **told: st.SearchStrategy[Any]) -> Any:
    return st.builds(Step, st.just(act.__name__), st.fixed_dictionaries(told))


_seconds = st.sampled_from((0.0, 1e-9, 1e-4, 5e-4, 0.005, 0.02, 0.06, 0.5)) | st.floats(
    0, 0.5, allow_nan=False
)
_every_s = st.sampled_from((FRAME_S, FRAME_S, 0.0, 0.003, 0.0199, 0.0201, 0.04))
_codings = st.just(USUAL) | st.sampled_from(CODINGS)
_leads_ms = st.sampled_from((0, 0, 20, 100, 150, 250)) | st.integers(0, 250)
_ticks = st.sampled_from(
    (0, 1, -1, 960, -960, 7680, 96_000, -96_000, 2**31 - 1, 2**31, -(2**31), 2**31 + 7)
)
_bodies = (
    st.binary(max_size=20)
    | st.sampled_from(payloads(*USUAL)[:3])
    | st.sampled_from(
        (
            b"",
            bytes(4) + payloads(*USUAL)[0],
            b"\xbe\xde\0\1\x10\xff\0\0" + payloads(*USUAL)[0],
            payloads(*USUAL)[0] + b"\0\0\3",
            payloads(*USUAL)[0] + b"\xff",
            bytes(1276),
        )
    )
)

_converse = _step(Scene.converse, packets=st.integers(1, 12), lead_ms=_leads_ms)
_talk = _step(
    Scene.talk,
    frames_=st.integers(1, 30),
    lead_ms=_leads_ms,
    every_s=_every_s,
    skipped=st.sampled_from((0, 0, 0, 1, 5)),
    last_bytes=st.sampled_from((FRAME_BYTES, FRAME_BYTES, 120, 500)),
)
_model_s = (
    _step(Scene.wait, seconds=_seconds),
    _step(Scene.look),
    _step(Scene.examine),
    _step(Scene.watch),
    _step(Scene.ease, eased=st.booleans()),
    _step(
        Scene.report,
        lost=st.sampled_from((0, 0, 0, 3, 10, 20, 30, 50, 120)),
        cycle=st.booleans(),
        behind=st.integers(0, 5),
        ago_s=st.none() | st.floats(0, 0.4),
        estimate_bps=st.sampled_from((None, None, None, 20_000, 70_000, 250_000)),
    ),
    _step(Scene.begin),
    _talk,
    _step(
        Scene.talk,  # more than can wait
        frames_=st.integers(95, 120),
        lead_ms=st.integers(100, 250),
        every_s=st.just(0.0),
        skipped=st.just(0),
        last_bytes=st.just(FRAME_BYTES),
    ),
    _step(
        Scene.stray,
        talkspurt=st.integers(-1, 2),
        position=st.sampled_from((0, 1, -1, 480, -480, 24_000, 2**53, MAX_INT)),
        lead_ms=st.sampled_from((0, 100, 2001, 60_000)),
        size=st.sampled_from((0, 1, 2, 958, 959, 960, 961, 962, 2000)),
    ),
    _step(Scene.give_up, count=st.integers(1, 9)),
    _step(Scene.flush, back=st.integers(-1, 2)),
)
_caller_s = (
    _step(
        Scene.speak,
        packets=st.integers(1, 12),
        coding=_codings,
        repeats=st.integers(0, 3),
        every_s=_every_s,
        marker=st.booleans(),
    ),
    _step(
        Scene.lose,
        packets=st.integers(1, 9) | st.just(40),
        coding=_codings,
        every_s=_every_s,
    ),
    _step(Scene.late, back=st.integers(0, 9)),
    _step(Scene.swap, coding=_codings, repeats=st.integers(0, 3), later_s=_seconds),
    _step(Scene.again, back=st.integers(0, 9) | st.integers(0, MAX_KEPT)),
    _step(
        Scene.forge,
        at=st.integers(0, 91),
        mask=st.integers(0, 255),
        size=st.sampled_from((0, 1, 11, 12, 27, 28, 92, 1500, 1501)),
    ),
    _step(
        Scene.send,
        first=st.sampled_from((0x80, 0x80, 0x81, 0x90, 0xA0, 0xB1, 0x00, 0x40)),
        kind=st.sampled_from((PAYLOAD_TYPE, RED_TYPE, 0, 13, 126, 239)),
        body=_bodies,
    ),
    _step(Scene.silence, packets=st.integers(1, 5), every_s=_every_s),
    _step(
        Scene.repeat,
        blocks=st.integers(0, 11),
        length=st.sampled_from((0, 1, 20)),
        newest=st.sampled_from((PAYLOAD_TYPE, PAYLOAD_TYPE, RED_TYPE, 0)),
        cut=st.sampled_from((0, 0, 0, 1, 90, 200)),
    ),
    _step(Scene.pause, ticks=st.sampled_from((960, 9600, 96_000)), seconds=_seconds),
    _step(
        Scene.jump,
        ticks=_ticks,
        packets=st.sampled_from((0, 0, 0, 1, 100, -100, 3000)),
    ),
    _step(Scene.change, stream=st.integers(0, 3)),
    _step(Scene.mutter, data=st.binary(min_size=6, max_size=20)),
)

scripts = st.lists(
    st.one_of(_converse, _converse, *_caller_s, *_model_s), min_size=20, max_size=100
)
"""20 to 100 steps."""

monologues = st.lists(
    st.one_of(_talk, _talk, _talk, *_model_s), min_size=10, max_size=50
)
"""10 to 50 steps of the model's and of reports, without a word of the caller's."""

plans = st.builds(
    protecting,
    st.sampled_from((*range(1, red.MAX_REPEATS + 2), 0)),
    st.sampled_from((16_000, 32_000, 80_000, 160_000, 510_000)),
)
"""Repeats of which all have room in a packet, or some, or none; or too many of them."""
