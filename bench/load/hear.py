"""What came back of what was said, and how much later. Pure.

The far end may decode and encode anew, so sound is compared with sound. What comes back
is decoded half a second at a time and looked for in what was said in the 3 s before:
each packet's delay is the time from the sending of a sound to the arrival of the packet
that holds it. So the far end's look-ahead is in the figures, the caller's codec is not.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.load import red
from bench.load.line import Log
from bench.load.voice import Voice
from codec.errors import OpusError
from codec.opus import Decoder, packet_samples
from proto.frames import FRAME_MS, FRAME_SAMPLES
from tests.support.ear import find
from tests.support.sound import Pcm
from transceiver import rtp
from transceiver.errors import MalformedPacket
from transceiver.rtp import signed_distance

WINDOW_SAMPLES = 25 * FRAME_SAMPLES
"""Half a second: long enough to be like nothing else that was said."""

SEARCHED_NS = 3_000_000_000
"""How far back a sound is looked for: the longest delay that is found."""

ALIKE = 0.5
"""Least correlation of a sound with what it is taken for; a chance is below 0.2."""

PAUSE_TICKS = rtp.CLOCK_HZ // 5
"""Longer holes in RTP time are pauses between talkspurts, not gaps: 200 ms."""

FRAME_NS = FRAME_MS * 1_000_000
PAUSE_NS = 60_000_000
"""Between two frames sent; after longer ones the caller had been silent."""

EVER_NS = 1 << 62
"""Later than any time of the wall clock."""

LOUDER = 10.0
"""Most that the energy of 20 ms may differ from what was said: 10 dB."""

GAP_MS = 40.0
"""Between two packets; longer ones are counted. A caller's jitter buffer holds it."""

Delays = NDArray[np.float64]
"""Rows of (seconds of the wall clock, delay in milliseconds)."""

Waits = NDArray[np.float64]
"""Rows of (seconds of the wall clock at the end of a wait, its milliseconds)."""


class Flow(NamedTuple):
    """How one call's packets came.

    Attributes:
        received: Packets, each counted once.
        expected: By their sequence numbers.
        waits: From each to the next, while there was something to hear.
    """

    received: int
    expected: int
    waits: Waits


class _Piece(NamedTuple):
    """A packet's sound, and when it came."""

    arrived_ns: int
    ticks: int
    pcm: Pcm


def flow(log: Log, from_ns: int, to_ns: int, echo_ns: int | None = None) -> Flow:
    """Count what came between two moments.

    Args:
        log: Of one call.
        from_ns: The first of them.
        to_ns: The other.
        echo_ns: How much later the caller's own voice comes back: then something is to
            be heard when it had spoken. None: another one speaks, whose talkspurts only
            RTP tells apart, by its time.
    """
    arrived = np.array(log.arrived_ns, np.int64)
    inside = (arrived >= from_ns) & (arrived < to_ns)
    sequences, first = np.unique(
        np.array(log.sequences, np.int64)[inside], return_index=True
    )
    if not len(sequences):
        return Flow(0, 0, np.zeros((0, 2)))
    order = np.sort(first)
    ends_ns = arrived[inside][order]
    waits = np.stack([ends_ns[1:] / 1e9, np.diff(ends_ns) / 1e6], axis=1)
    if echo_ns is None:
        steps = np.diff(np.array(log.timestamps, np.uint32)[inside][order])
        waits = waits[(steps < PAUSE_TICKS) | (steps > 1 << 31)]
    else:
        waits[:, 1] -= np.diff(_silence_ns(log, ends_ns, echo_ns)) / 1e6
    return Flow(len(sequences), int(sequences[-1] - sequences[0]) + 1, waits)


def _silence_ns(
    log: Log, until_ns: NDArray[np.int64], echo_ns: int
) -> NDArray[np.float64]:
    """Return how long, up to some moments, an echo had nothing to say.

    A pause comes back as one: from the end of the last frame spoken to the next one.
    Silence is told of in packets of its own, so a pause may be several waits.
    """
    sent_ns = np.array(log.sent_ns, np.int64)
    spoken_ns = np.concatenate([[-FRAME_NS], sent_ns, [EVER_NS]])
    last = np.flatnonzero(np.diff(spoken_ns) > PAUSE_NS)
    begun_ns, over_ns = spoken_ns[last] + FRAME_NS, spoken_ns[last + 1]
    silent_ns = np.cumsum(over_ns - begun_ns)
    edges_ns = np.stack([begun_ns, over_ns], axis=1).reshape(-1) + echo_ns
    totals_ns = np.stack([silent_ns - (over_ns - begun_ns), silent_ns], axis=1)
    return np.asarray(np.interp(until_ns, edges_ns, totals_ns.reshape(-1)))


def sent_between(log: Log, from_ns: int, to_ns: int, *, silence: bool = True) -> int:
    """Return how many frames were sent between two moments, of speech and silence.

    Args:
        log: Of one call.
        from_ns: The first of them.
        to_ns: The other.
        silence: Whether packets of silence count.
    """
    sent = np.array(log.sent_ns, np.int64)
    if silence:
        sent = np.concatenate([sent, log.silent_ns])
    return int(((sent >= from_ns) & (sent < to_ns)).sum())


def delays(log: Log, voice: Voice, after_ns: int = 0) -> Delays:
    """Return when each packet came whose sound was found, and how late.

    Args:
        log: Of a sampled call.
        voice: What was said.
        after_ns: How long the far end waited on purpose; no part of the delay.
    """
    sent_ns = np.array(log.sent_ns, np.int64)
    frames = np.array(log.sent_frames, np.int64)
    found = [np.zeros((0, 2))]
    for window in _windows(_decoded(log)):
        first_ns, last_ns = window[0].arrived_ns, window[-1].arrived_ns
        start = np.searchsorted(sent_ns, first_ns - after_ns - SEARCHED_NS)
        end = np.searchsorted(sent_ns, last_ns - after_ns)
        if end > start:
            said = voice.heard[frames[start:end]].reshape(-1)
            found.append(_matched(window, said, sent_ns[start:end] + after_ns))
    return np.concatenate(found)


def _decoded(log: Log) -> Iterator[_Piece]:
    """Yield the sound of each packet in RTP's order; what is no Opus is left out."""
    decoder = Decoder()
    origin = log.timestamps[0] if len(log.timestamps) else 0
    seen: set[int] = set()
    packets = zip(log.sequences, log.arrived_ns, log.packets, strict=False)
    for sequence, arrived_ns, data in sorted(packets, key=lambda one: one[0]):
        if sequence in seen:
            continue
        seen.add(sequence)
        try:
            packet = rtp.parse(data)
            is_red = packet.payload_type == red.RED_TYPE
            payload = red.primary(packet.payload) if is_red else packet.payload
            if packet_samples(payload) == 0:
                continue
            pcm = np.frombuffer(decoder.decode(payload), np.int16)
        except (MalformedPacket, OpusError):
            continue
        ticks = signed_distance(packet.timestamp, origin, 32)
        yield _Piece(arrived_ns, ticks, pcm)


def _windows(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """Group pieces to half seconds of one talkspurt."""
    window: list[_Piece] = []
    for piece in pieces:
        if window and not 0 <= piece.ticks - window[-1].ticks < PAUSE_TICKS:
            window = []
        window.append(piece)
        span = (piece.ticks - window[0].ticks) // rtp.TICKS_PER_SAMPLE
        if span + len(piece.pcm) >= WINDOW_SAMPLES:
            yield window
            window = []


def _matched(window: list[_Piece], said: Pcm, sent_ns: NDArray[np.int64]) -> Delays:
    """Return the delays of a window's packets; none if it is like nothing said."""
    starts = np.array([piece.ticks - window[0].ticks for piece in window])
    starts //= rtp.TICKS_PER_SAMPLE
    back = np.zeros(starts[-1] + len(window[-1].pcm), np.int16)
    for start, piece in zip(starts, window, strict=True):
        back[start : start + len(piece.pcm)] = piece.pcm[: len(back) - start]
    if len(said) <= len(back):
        return np.zeros((0, 2))
    place = find(back, said)
    if _correlation(back, said[place : place + len(back)]) < ALIKE:
        return np.zeros((0, 2))
    at = (starts + place) / FRAME_SAMPLES
    frames = at.astype(int)
    part_ns = (at - frames) * FRAME_MS * 1e6
    arrived_ns = np.array([piece.arrived_ns for piece in window])
    late_ms = (arrived_ns - sent_ns[frames] - part_ns) / 1e6
    rows = np.stack([arrived_ns / 1e9, late_ms], axis=1)
    spoken = np.append(np.diff(sent_ns) < PAUSE_NS, True)[frames]
    loud = [
        _as_loud(piece.pcm, said[start + place : start + place + len(piece.pcm)])
        for start, piece in zip(starts, window, strict=True)
    ]
    return np.asarray(rows[spoken & np.array(loud)])


def _as_loud(one: Pcm, other: Pcm) -> bool:
    """Tell sound from the comfort noise that fills a pause in its place."""
    a, b = (float(np.square(pcm, dtype=np.float64).sum()) for pcm in (one, other))
    return max(a, b) <= LOUDER * min(a, b)


def _correlation(one: Pcm, other: Pcm) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    energy = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / energy) if energy else 0.0
