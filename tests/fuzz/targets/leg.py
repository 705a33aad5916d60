"""A leg's media, with lanes and without: a script of what caller and model do.

The callers and the relay here have the keys; who has none is at SRTP's door.
"""

from collections.abc import Callable
from typing import Any, Final

from proto.frames import FRAME_BYTES
from tests.fuzz.draw import Draw
from tests.fuzz.targets.greeting import changed
from tests.transceiver.lanes import compare
from tests.transceiver.leg import FRAME_S, PAYLOAD_TYPE, RED_TYPE
from tests.transceiver.script import CODINGS, MAX_KEPT, USUAL, Step, payloads
from transceiver.profile import Profile

MAX_STEPS: Final = 40
"""Of a script, for what one may cost."""

PROFILES: Final = (Profile.AUTO, Profile.AUTO, Profile.LOW_DELAY, Profile.QUALITY)
LEADS_MS: Final = (0, 0, 20, 150, 250, 2001)
EVERY_S: Final = (FRAME_S, FRAME_S, 0.0, 0.003, 0.0199, 0.0201)
TICKS: Final = (0, 960, -960, 1, 7680, 96_000, 2**31 - 1, 2**31, -(2**31))
PACKETS: Final = (0, 0, 0, 1, -1, 100, 3000, 32_768)
KINDS: Final = (PAYLOAD_TYPE, PAYLOAD_TYPE, RED_TYPE, PAYLOAD_TYPE | 0x80, 0, 191, 192)
"""From 192 on it is RTCP."""
HEADS: Final = (0x80, 0x80, 0x80, 0x81, 0x90, 0xA0, 0x40)
FRAMES_BYTES: Final = (FRAME_BYTES, FRAME_BYTES, 959, 962, 500, 0)
FORGED_BYTES: Final = (0, 1, 11, 12, 27, 28, 92, 1500, 1501)

Told = dict[str, Any]


def leg(data: bytes) -> None:
    """What a leg hands on, sends and shows is the same with lanes as without."""
    draw = Draw(data)
    profile, knows_red = draw.choice(PROFILES), draw.chance(0.5)
    script = [
        Step("report", _report(0)),  # ends the RED that a call begins with
        Step("converse", {"packets": 3, "lead_ms": 0}),
    ]
    while draw.has_more and len(script) < MAX_STEPS:
        act, tell = draw.choice(_ACTS)
        script.append(Step(act, tell(draw)))
    compare(script, profile, knows_red=knows_red)


def _seconds(draw: Draw) -> float:
    return draw.choice((0.0, 0.0005, 0.02, draw.byte() / 512))


def _coding(draw: Draw) -> Any:
    return draw.choice((USUAL, USUAL, *CODINGS))


def _report(lost: int, **told: Any) -> Told:
    usual = {"cycle": True, "behind": 0, "ago_s": None, "estimate_bps": None}
    return {"lost": lost, **usual, **told}


# The caller


def _conversed(draw: Draw) -> Told:
    return {"packets": 1 + draw.byte() % 8, "lead_ms": draw.choice(LEADS_MS)}


def _spoken(draw: Draw) -> Told:
    marker, repeats = draw.chance(0.1), draw.byte() % 4
    return {**_lost(draw), "repeats": repeats, "marker": marker}


def _lost(draw: Draw) -> Told:
    packets, every_s = 1 + draw.byte() % 8, draw.choice(EVERY_S)
    return {"packets": packets, "coding": _coding(draw), "every_s": every_s}


def _swapped(draw: Draw) -> Told:
    repeats, later_s = draw.byte() % 4, _seconds(draw)
    return {"coding": _coding(draw), "repeats": repeats, "later_s": later_s}


def _forged(draw: Draw) -> Told:
    size = draw.choice((*FORGED_BYTES, draw.byte()))
    return {"at": draw.byte(), "mask": draw.byte(), "size": size}


def _sent(draw: Draw) -> Told:
    """Draw a packet: an RTP header, and a body that may be nearly a genuine one."""
    body = draw.short()
    if draw.chance(0.5):
        genuine = payloads(*_coding(draw))
        body = changed(genuine[draw.byte() % len(genuine)], draw)
    return {"first": draw.choice(HEADS), "kind": draw.choice(KINDS), "body": body}


def _silent(draw: Draw) -> Told:
    return {"packets": 1 + draw.byte() % 5, "every_s": draw.choice(EVERY_S)}


def _repeated(draw: Draw) -> Told:
    return {
        "blocks": draw.byte() % 12,
        "length": draw.byte() % 32,
        "newest": draw.choice((PAYLOAD_TYPE, PAYLOAD_TYPE, draw.byte())),
        "cut": draw.choice((0, 0, draw.byte())),
    }


def _reported(draw: Draw) -> Told:
    return _report(
        draw.choice((0, 0, draw.byte())),
        cycle=draw.chance(0.9),
        behind=draw.byte() % 8,
        ago_s=draw.choice((None, draw.byte() / 512)),
        estimate_bps=draw.choice((None, None, 1000 * draw.byte())),
    )


# The model


def _said(draw: Draw) -> Told:
    return {
        "frames_": draw.choice((1, 1, 5, 20, 110)),
        "lead_ms": draw.choice(LEADS_MS),
        "every_s": draw.choice(EVERY_S),
        "skipped": draw.choice((0, 0, 0, 1, 5)),
        "last_bytes": draw.choice(FRAMES_BYTES),
    }


def _strayed(draw: Draw) -> Told:
    return {
        "talkspurt": draw.byte() % 4 - 1,
        "position": draw.number() * draw.choice((1, -1)),
        "lead_ms": draw.number(),
        "size": draw.choice(FRAMES_BYTES),
    }


_ACTS: Final[tuple[tuple[str, Callable[[Draw], Told]], ...]] = (
    *[("converse", _conversed)] * 4,
    *[("speak", _spoken), ("send", _sent), ("talk", _said)] * 2,
    ("wait", lambda draw: {"seconds": _seconds(draw)}),
    ("look", lambda _: {}),
    ("examine", lambda _: {}),
    ("watch", lambda _: {}),
    ("ease", lambda draw: {"eased": draw.chance(0.5)}),
    ("lose", _lost),
    ("late", lambda draw: {"back": draw.byte()}),
    ("swap", _swapped),
    ("again", lambda draw: {"back": draw.below(MAX_KEPT)}),
    ("forge", _forged),
    ("silence", _silent),
    ("repeat", _repeated),
    ("pause", lambda draw: {"ticks": draw.choice(TICKS), "seconds": _seconds(draw)}),
    (
        "jump",
        lambda draw: {"ticks": draw.choice(TICKS), "packets": draw.choice(PACKETS)},
    ),
    ("change", lambda draw: {"stream": draw.byte() % 4}),
    ("report", _reported),
    ("mutter", lambda draw: {"data": draw.short().ljust(6, b"\0")}),
    ("begin", lambda _: {}),
    ("stray", _strayed),
    ("give_up", lambda draw: {"count": draw.byte()}),
    ("flush", lambda draw: {"back": draw.byte() % 4 - 1}),
)
"""What a scene does, and what it is told; what is usual, often."""
