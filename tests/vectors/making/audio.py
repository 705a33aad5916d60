"""PROTOCOL.md 6: which frames are handed over, given up and asked for, and when."""

import math
from typing import Any

from proto.audio import Audio
from proto.errors import LocalError
from proto.events import Event
from proto.frames import DownFrame, UpFrame
from proto.messages import Control, Down, Last, Message, Nack, Up
from proto.port import Role, Speaker
from proto.sharing import Sharing
from proto.stats import Rtt
from proto.wire import decode, encode_down, encode_up

SESSION = 1
PCM = b"\x01\x02"
Json = dict[str, Any]


class Trace:
    """A link and a sink that write down what they are told."""

    def __init__(self, rtt_us: int, variation_us: int) -> None:
        self.rtt = Rtt()
        self.sharing = Sharing()
        self.asked_at = -math.inf
        if rtt_us:
            self.rtt.smoothed_s = rtt_us / 1e6
            self.rtt.variation_s = variation_us / 1e6
        self.now = 0.0
        self.outcome: list[Json] = []

    def note(self, **what: Any) -> None:
        self.outcome.append({"at_us": round(self.now * 1e6), **what})

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        self.note(delivered=frame.position_samples)

    def failed(self, error: Exception) -> None:
        raise error

    def frames_lost(self, count: int) -> None:
        self.note(given_up=count)

    def send(self, message: Control) -> None:
        if isinstance(message, Nack):
            self.note(nack=list(message.seqs))

    def seal_frame(self, session: int, seq: int, frame: UpFrame | DownFrame) -> bytes:
        if isinstance(frame, UpFrame):
            return encode_up(session, seq, frame)
        return encode_down(session, seq, frame)

    def transmit(self, datagram: bytes) -> None:
        message: Message = decode(datagram)
        if isinstance(message, Up):
            self.note(frame=message.seq)
        elif isinstance(message, Down):
            self.note(frame=message.seq, lead_ms=message.frame.lead_ms)

    def spoke(self, speaker: Speaker, now: float) -> None:
        """LAST is not traced."""

    def emit(self, event: Event) -> None:
        raise LocalError("audio emits nothing")


def received(trace: Json) -> list[Json]:
    """Return what a receiver does with the arrivals of a trace."""
    notes = Trace(trace["rtt_us"], trace["rtt_variation_us"])
    is_uplink = trace["direction"] == "uplink"
    audio = Audio(SESSION, Role.LISTENER if is_uplink else Role.DIALER, notes)
    audio.is_open, audio.sink = True, notes
    for arrival in trace["arrivals"]:
        now = arrival["at_us"] / 1e6
        _wait(audio, notes, now)
        notes.now = now
        seq, lead_ms = arrival["seq"], arrival.get("lead_ms", 0)
        if arrival["message"] == "LAST":
            audio.receive_last(Last(SESSION, seq, lead_ms), now)
        elif is_uplink:
            audio.receive_frame(seq, UpFrame(seq, 0, 0, PCM), now)
        else:
            audio.receive_frame(seq, DownFrame(1, seq, lead_ms, PCM), now)
    _wait(audio, notes, math.inf)
    return notes.outcome


def _wait(audio: Audio, notes: Trace, until: float) -> None:
    while audio.deadline <= until and audio.deadline < math.inf:
        notes.now = audio.deadline
        audio.deliver(notes.now)


def resent(trace: Json) -> list[Json]:
    """Return what a sender sends again in a trace."""
    notes = Trace(0, 0)
    is_uplink = trace["direction"] == "uplink"
    audio = Audio(SESSION, Role.DIALER if is_uplink else Role.LISTENER, notes)
    audio.is_open = True
    for step in trace["steps"]:
        notes.now = now = step["at_us"] / 1e6
        if "nack" in step:
            audio.receive_nack(Nack(SESSION, tuple(step["nack"])), now)
        for seq in step.get("frames", ()):
            frame = (
                UpFrame(seq, 0, 0, PCM)
                if is_uplink
                else DownFrame(1, seq, step["lead_ms"], PCM)
            )
            audio.seal_frame(frame, now)
    return notes.outcome


def vectors() -> Json:
    return {
        "receiver": [{**it, "outcome": received(it)} for it in _received_traces()],
        "sender": [{**it, "outcome": resent(it)} for it in _resent_traces()],
    }


def _received_traces() -> list[Json]:
    paced = [_frame(n, 20_000 * n) for n in range(1, 5)]
    lead = 160
    return [
        _up("in order: each at once", paced),
        _up(
            "one late: what comes behind it waits",
            [_frame(1, 0), _frame(3, 40_000), _frame(2, 45_000), _frame(4, 60_000)],
        ),
        _up("one lost: asked for, then given up", [_frame(1, 0), _frame(3, 40_000)]),
        _up(
            "one lost and repaired",
            [_frame(1, 0), _frame(3, 40_000), _frame(2, 81_000)],
        ),
        _up(
            "given up, then it comes after all",
            [_frame(2, 0), _frame(1, 200_000), _frame(3, 201_000)],
        ),
        _up("twice each", [_frame(n, n * 1000) for n in (1, 1, 3, 3, 2, 2)]),
        _up("a tail that only LAST shows", [_frame(1, 0), _last(3, 50_000)]),
        _up("LAST that shows nothing new", [_frame(1, 0), _last(1, 50_000)]),
        _up("the first of a session is lost", [_frame(2, 0)]),
        _up("far away: the wait is bounded", [_frame(2, 0)], rtt_us=300_000),
        _up("jitter lengthens the wait", [_frame(2, 0)], rtt_variation_us=10_000),
        _up("next door: the wait is bounded below", [_frame(2, 0)], rtt_us=1_000),
        _up("a gap longer than the depth", [_frame(1, 0), _frame(100, 1_000)]),
        _up(
            "the depth pushes an old gap out",
            [_frame(2, 0), _frame(64, 1_000), _frame(66, 2_000)],
        ),
        _down("in order: each at once", [_frame(n, n * 20_000, lead) for n in (1, 2)]),
        _down(
            "due before the frame that showed the loss",
            [_frame(1, 0, lead), _frame(4, 60_000, lead)],
        ),
        _down("no lead: given up at once", [_frame(1, 0, 0), _frame(3, 40_000, 0)]),
        _down("a lead shorter than one round trip", [_frame(2, 0, 50)]),
        _down("a tail", [_frame(1, 0, lead), _last(2, 50_000, 130)]),
    ]


def _resent_traces() -> list[Json]:
    def trace(name: str, direction: str, *steps: Json) -> Json:
        return {"name": name, "direction": direction, "steps": list(steps)}

    def said(at_us: int, first: int, last: int, lead_ms: int = 0) -> Json:
        return {
            "at_us": at_us,
            "frames": list(range(first, last + 1)),
            "lead_ms": lead_ms,
        }

    def asked(at_us: int, *seqs: int) -> Json:
        return {"at_us": at_us, "nack": list(seqs)}

    return [
        trace("asked for once", "uplink", said(0, 1, 3), asked(50_000, 2)),
        trace(
            "at most three times",
            "uplink",
            said(0, 1, 1),
            *(asked(n * 10_000, 1) for n in range(1, 6)),
        ),
        trace("never sent", "uplink", said(0, 1, 2), asked(10_000, 0, 3, 9)),
        trace("only the last 16", "uplink", said(0, 1, 18), asked(10_000, 1, 2, 3, 18)),
        trace("one twice in a NACK", "uplink", said(0, 1, 1), asked(10_000, 1, 1)),
        trace(
            "with the lead that is left",
            "downlink",
            said(0, 1, 2, 160),
            asked(60_000, 1),
            asked(200_000, 2),
        ),
    ]


def _frame(seq: int, at_us: int, lead_ms: int | None = None) -> Json:
    return _arrival("frame", seq, at_us, lead_ms)


def _last(seq: int, at_us: int, lead_ms: int | None = None) -> Json:
    return _arrival("LAST", seq, at_us, lead_ms)


def _arrival(message: str, seq: int, at_us: int, lead_ms: int | None) -> Json:
    lead = {} if lead_ms is None else {"lead_ms": lead_ms}
    return {"at_us": at_us, "message": message, "seq": seq, **lead}


def _up(
    name: str, arrivals: list[Json], rtt_us: int = 40_000, rtt_variation_us: int = 0
) -> Json:
    return _trace("uplink", name, arrivals, rtt_us, rtt_variation_us)


def _down(name: str, arrivals: list[Json]) -> Json:
    return _trace("downlink", name, arrivals, 40_000, 0)


def _trace(
    direction: str,
    name: str,
    arrivals: list[Json],
    rtt_us: int,
    rtt_variation_us: int,
) -> Json:
    return {
        "name": name,
        "direction": direction,
        "rtt_us": rtt_us,
        "rtt_variation_us": rtt_variation_us,
        "arrivals": arrivals,
    }
