"""The rules themselves, in order of precedence: the first that applies answers.

What was said comes from speech to text, so matching is tolerant: case, punctuation and
hyphens do not count ("Good-bye." is "good bye"), and digits are as good as words.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from relay.engine.ports import Called, Pause, Request, Returned, Said, Say, Turn
from relay.engine.rules import arithmetic, numbers

Speech = list[Say | Pause]

MAX_COUNT = 100
"""Highest number counted to: with pauses, about two minutes."""

_DEFAULT_COUNT = 10
_SLOW_PAUSE_MS, _PAUSE_MS = 700, 150

_ABILITIES = (
    "I can tell the time, do sums, count aloud, repeat after you, "
    "and remember your name."
)


class Heard(NamedTuple):
    """What a rule sees."""

    text: str
    """As transcribed or typed."""
    plain: str
    """Lower case, single spaces, no punctuation."""
    turns: Sequence[Turn]
    now: datetime


def plain(text: str) -> str:
    """Return text for matching: lower case, words and digits only."""
    joined = re.sub("[\u2019']", "'", text.lower())
    return " ".join(re.findall(r"[a-z0-9']+", joined))


def answer(request: Request, now: datetime) -> Speech:
    """Return what to say to the last thing said."""
    texts = _last_words(request.turns)
    if not texts:
        return [Say(f"Hello! I am the built-in voice of Tandem. {_ABILITIES}")]
    for text in (texts[-1], " ".join(texts)):  # alone, then with what led up to it
        heard = Heard(text.strip(), plain(text), request.turns, now)
        for rule in _RULES:
            speech = rule(heard)
            if speech is not None:
                return speech
    return _fallback(" ".join(texts).strip())


def _last_words(turns: Sequence[Turn]) -> list[str]:
    """Return what the user said since the assistant last spoke.

    If that is nothing, it is the last thing the user said at all: of two questions
    asked at once, the answer to the first comes after the second.
    """
    texts: list[str] = []
    for turn in reversed(turns):
        if isinstance(turn, Said) and turn.role == "user":
            texts.insert(0, turn.text)
        elif isinstance(turn, Called | Returned) or turn.role == "assistant":
            break
    return (
        texts
        or [
            turn.text
            for turn in turns
            if isinstance(turn, Said) and turn.role == "user"
        ][-1:]
    )


def _fallback(text: str) -> Speech:
    if not text:
        return [Say("Sorry, I did not catch that.")]
    ending = "" if text[-1] in ".!?" else "."
    return [Say(f"I heard you say: {text}{ending}")]


_AGAIN = re.compile(
    r"(repeat|say) (that|it)( again)?( please)?|(come|what was that) again|pardon"
)
_AFTER_ME = re.compile(
    r"\b(?:repeat|say|speak)(?: this)? after me\b[\s,.:;-]*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_SAY = re.compile(
    r"^\W*(?:please,? )?(?:repeat|say)(?: the words?| this)?\b[\s,:;-]+(.+)",
    re.IGNORECASE | re.DOTALL,
)


def _repeat(heard: Heard) -> Speech | None:
    if _AGAIN.fullmatch(heard.plain):
        said = [
            turn.text
            for turn in heard.turns
            if isinstance(turn, Said) and turn.role == "assistant" and turn.text
        ]
        return [Say(said[-1] if said else "I have not said anything yet.")]
    asked = _AFTER_ME.search(heard.text) or _SAY.search(heard.text)
    if asked is None:
        return None
    words = asked.group(1).strip(" \"'")
    if not words:
        return [Say("What shall I repeat?")]
    return [Say(words[:1].upper() + words[1:])]


_NAME = re.compile(
    r"\b(?:my name is|my name's|call me|i am called|i'm called)\s+"
    r"([A-Za-z][\w'-]*(?:\s+[A-Z][\w'-]*)?)",
    re.IGNORECASE,
)
_INTRODUCTION = re.compile(r"\b(?:I'm|I am|this is)\s+([A-Z][a-z]+)\b(?!\s+[a-z])")


def name_in(text: str) -> str | None:
    """Return the name that somebody gives as theirs, or None."""
    found = _NAME.search(text) or _INTRODUCTION.search(text)
    if found is None or re.search(r"\bwhat\b", text[: found.start()], re.IGNORECASE):
        return None
    return found.group(1).strip().removesuffix("'s").title()


def _known_name(turns: Sequence[Turn]) -> str | None:
    for turn in reversed(turns):
        if (
            isinstance(turn, Said)
            and turn.role == "user"
            and (name := name_in(turn.text))
        ):
            return name
    return None


def _name(heard: Heard) -> Speech | None:
    if re.search(
        r"\b(what|what's|know|remember|tell).* my name\b|who am i", heard.plain
    ):
        name = _known_name(heard.turns)
        return [
            Say(f"Your name is {name}." if name else "You have not told me your name.")
        ]
    if (name := name_in(heard.text)) is not None:
        return [Say(f"Nice to meet you, {name}.")]
    return None


def _arithmetic(heard: Heard) -> Speech | None:
    result = arithmetic.answer(heard.text)
    return None if result is None else [Say(result[:1].upper() + result[1:])]


def _count(heard: Heard) -> Speech | None:
    if not re.search(r"\bcount(s|ing)?\b", heard.plain):
        return None
    words = numbers.tokens(heard.plain)
    found = [numbers.read(words, at) for at in range(len(words))]
    values = [int(number[0]) for number in _leftmost(found) if number[0] >= 0]
    is_down = bool(re.search(r"\b(down|backwards?)\b", heard.plain))
    start, end = _range(values, is_down=is_down)
    if max(start, end) > MAX_COUNT:
        return [Say(f"That is far. I count to {MAX_COUNT} at most.")]
    is_slow = bool(re.search(r"\bslow", heard.plain))
    pause = Pause(_SLOW_PAUSE_MS if is_slow else _PAUSE_MS)
    step = 1 if end >= start else -1
    speech: Speech = []
    for value in range(start, end + step, step):
        speech += [Say(f"{numbers.in_words(value).capitalize()}. "), pause]
    return speech[:-1]


def _leftmost(
    found: Sequence[tuple[Fraction, int] | None],
) -> list[tuple[Fraction, int]]:
    """Return the numbers that do not begin inside another one."""
    kept: list[tuple[Fraction, int]] = []
    end = 0
    for at, number in enumerate(found):
        if number is not None and at >= end:
            kept.append(number)
            end = number[1]
    return kept


def _range(values: Sequence[int], *, is_down: bool) -> tuple[int, int]:
    if len(values) >= 2:
        return values[0], values[1]
    last = values[0] if values else _DEFAULT_COUNT
    return (last, 1) if is_down else (1, last)


def _time(heard: Heard) -> Speech | None:
    if re.search(
        r"\bwhat(?:'s| is)? (?:the )?time\b|\bthe time\b|time is it", heard.plain
    ):
        hour = heard.now.hour % 12 or 12
        half = "AM" if heard.now.hour < 12 else "PM"
        return [Say(f"It is {hour}:{heard.now.minute:02d} {half}.")]
    if re.search(
        r"\bwhat(?:'s| is)? (?:the |today's )?(?:day|date)\b|day is it", heard.plain
    ):
        return [Say(f"Today is {heard.now:%A, %B} {heard.now.day}.")]
    return None


def _fixed(pattern: str, *replies: str) -> Callable[[Heard], Speech | None]:
    """Return a rule that answers a pattern; `{name}` is ", Ada" once she is known."""
    compiled = re.compile(pattern)

    def rule(heard: Heard) -> Speech | None:
        if not compiled.search(heard.plain):
            return None
        name = _known_name(heard.turns)
        return [
            Say(reply.format(name=f", {name}" if name else "")) for reply in replies
        ]

    return rule


_RULES: tuple[Callable[[Heard], Speech | None], ...] = (
    _repeat,
    _name,
    _arithmetic,
    _count,
    _time,
    _fixed(
        r"\b(good ?bye|bye|bye bye|see you|farewell|good night)\b", "Goodbye{name}!"
    ),
    _fixed(r"\b(thanks|thank you)\b", "You are welcome{name}."),
    _fixed(r"\bhow are you\b", "I am well{name}, thank you. How can I help?"),
    _fixed(
        r"\bwho are you|what are you|your name|what can you do|help me\b",
        f"I am the built-in voice of Tandem. {_ABILITIES}",
    ),
    _fixed(
        r"^(hello|hi|hey|greetings|good (morning|afternoon|evening))\b",
        "Hello{name}! How can I help you?",
    ),
)
