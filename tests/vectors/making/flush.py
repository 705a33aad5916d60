"""PROTOCOL.md 8: when a FLUSH is sent, and how it is answered."""

import math
from typing import Any

from proto.events import Event, FlushDone, FlushRequested
from proto.flush import Answering, Asking
from proto.messages import Control, Flush, Flushed
from tests.vectors.making.audio import SESSION, Json, Trace


class FlushTrace(Trace):
    """Writes down flushes, their answers, and what the owners are told."""

    def send(self, message: Control) -> None:
        if isinstance(message, Flush):
            self.note(flush=message.number, talkspurt=message.talkspurt)
        elif isinstance(message, Flushed):
            self.note(
                flushed=message.number,
                talkspurt=message.talkspurt,
                heard_samples=message.heard_samples,
            )

    def emit(self, event: Event) -> None:
        if isinstance(event, FlushDone):
            self.note(done=event.talkspurt, heard_samples=event.heard_samples)
        elif isinstance(event, FlushRequested):
            self.note(requested=event.talkspurt)


def asked(trace: Json) -> list[Json]:
    """Return what the listener sends and learns in a trace."""
    notes = FlushTrace(trace["rtt_us"], trace["rtt_variation_us"])
    asking = Asking(SESSION, notes)
    for step in trace["steps"]:
        now = step["at_us"] / 1e6
        while asking.deadline <= now:
            notes.now = asking.deadline
            asking.handle_timeout(notes.now)
        notes.now = now
        if "ask" in step:
            asking.ask(step["ask"], now)
        if "flushed" in step:
            asking.receive(
                Flushed(
                    SESSION, step["flushed"], step["talkspurt"], step["heard_samples"]
                )
            )
    assert asking.deadline < math.inf or "flushed" in trace["steps"][-1]
    return notes.outcome


def answered(trace: Json) -> list[Json]:
    """Return what the dialer sends and asks of its owner in a trace."""
    notes = FlushTrace(0, 0)
    answering = Answering(SESSION, notes)
    for step in trace["steps"]:
        notes.now = step["at_us"] / 1e6
        if "flush" in step:
            answering.receive(Flush(SESSION, step["flush"], step["talkspurt"]))
        else:
            answering.answer(step["answer"], step["heard_samples"])
    return notes.outcome


def vectors() -> Json:
    return {
        "listener": [{**it, "outcome": asked(it)} for it in _listeners()],
        "dialer": [{**it, "outcome": answered(it)} for it in _dialers()],
    }


def _listeners() -> list[Json]:
    def done(at_us: int, number: int, talkspurt: int) -> dict[str, Any]:
        return {
            "at_us": at_us,
            "flushed": number,
            "talkspurt": talkspurt,
            "heard_samples": 480,
        }

    def ask(at_us: int, talkspurt: int) -> dict[str, Any]:
        return {"at_us": at_us, "ask": talkspurt}

    return [
        {"name": name, "rtt_us": 80_000, "rtt_variation_us": 5_000, "steps": steps}
        for name, steps in (
            ("answered", [ask(0, 3), done(25_000, 1, 3)]),
            ("lost, and sent again until answered", [ask(0, 3), done(400_000, 1, 3)]),
            (
                "a newer one takes its place",
                [ask(0, 3), ask(10_000, 4), done(20_000, 1, 3), done(22_000, 2, 4)],
            ),
            ("answered twice", [ask(0, 3), done(5_000, 1, 3), done(6_000, 1, 3)]),
            ("another number", [ask(0, 3), done(5_000, 9, 3), done(6_000, 1, 0)]),
        )
    ]


def _dialers() -> list[Json]:
    def flush(at_us: int, number: int, talkspurt: int) -> dict[str, Any]:
        return {"at_us": at_us, "flush": number, "talkspurt": talkspurt}

    def answer(at_us: int, talkspurt: int) -> dict[str, Any]:
        return {"at_us": at_us, "answer": talkspurt, "heard_samples": 960}

    return [
        {"name": name, "steps": steps}
        for name, steps in (
            ("asked once, answered", [flush(0, 1, 3), answer(1, 3)]),
            (
                "asked again: the same answer, the owner not asked",
                [flush(0, 1, 3), answer(1, 3), flush(30_000, 1, 3)],
            ),
            ("asked again before the answer", [flush(0, 1, 3), flush(1, 1, 3)]),
            ("an older one after a newer", [flush(0, 2, 4), flush(1, 1, 3)]),
        )
    ]
