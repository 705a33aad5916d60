"""Spoken arithmetic: "what is seven times six", "20 % of 50", "5 squared plus 2".

A precedence parser over the words; a sentence without a complete sum is none of ours.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

from relay.engine.rules import numbers

_MAX_RESULT = Fraction(10**15)
"""Larger results are not spoken."""

_MAX_EXPONENT = 64

_SIGNS: dict[tuple[str, ...], str] = {
    ("plus",): "plus",
    ("+",): "plus",
    ("added", "to"): "plus",
    ("minus",): "minus",
    ("-",): "minus",
    ("take", "away"): "minus",
    ("times",): "times",
    ("time",): "times",
    ("*",): "times",
    ("\u00d7",): "times",
    ("x",): "times",
    ("multiplied", "by"): "times",
    ("divided", "by"): "divided by",
    ("divide", "by"): "divided by",
    ("over",): "divided by",
    ("/",): "divided by",
    ("\u00f7",): "divided by",
    ("to", "the", "power", "of"): "to the power of",
    ("^",): "to the power of",
    ("percent", "of"): "percent of",
    ("per", "cent", "of"): "percent of",
    ("%", "of"): "percent of",
}
_RANK = {
    "plus": 1,
    "minus": 1,
    "times": 2,
    "divided by": 2,
    "percent of": 3,
    "to the power of": 4,
}
_PAIRS = {
    "add": ("plus", False),
    "sum": ("plus", False),
    "subtract": ("minus", True),
    "difference": ("minus", False),
    "multiply": ("times", False),
    "product": ("times", False),
    "divide": ("divided by", False),
}
"""Verbs before two numbers; True when they are spoken in the other order."""

_HOMOPHONES = {"for": "four", "to": "two", "too": "two", "won": "one", "ate": "eight"}


class _NotFiniteError(Exception):
    """The sum has no value that can be spoken; the text says why."""


def answer(text: str) -> str | None:
    """Return the spoken result of the first sum in a text, or None."""
    words = numbers.tokens(text)
    misheard = [_HOMOPHONES.get(word, word) for word in words]
    try:
        for heard in (words, misheard):
            found = _pair(heard) or _chain(heard) or _root(heard)
            if found is not None:
                said, value = found
                return f"{said} is {_spoken(value)}."
    except _NotFiniteError as error:
        return str(error)
    return None


def _chain(words: Sequence[str]) -> tuple[str, Fraction] | None:
    """Find NUMBER (SIGN NUMBER)+, "squared" and "cubed" counting as signs."""
    for start in range(len(words)):
        first = numbers.read(words, start)
        if first is None:
            continue
        values, signs, end = [first[0]], [], first[1]
        while (step := _step(words, end)) is not None:
            sign, value, end = step
            signs.append(sign)
            values.append(value)
        if signs:
            return _said(values, signs), _evaluate(values, signs)
    return None


def _step(words: Sequence[str], at: int) -> tuple[str, Fraction, int] | None:
    for word, exponent in (("squared", 2), ("cubed", 3)):
        if words[at : at + 1] == [word]:
            return "to the power of", Fraction(exponent), at + 1
    for spoken, sign in _SIGNS.items():
        end = at + len(spoken)
        if tuple(words[at:end]) == spoken and (found := numbers.read(words, end)):
            return sign, found[0], found[1]
    return None


def _pair(words: Sequence[str]) -> tuple[str, Fraction] | None:
    """Find a verb and two numbers: "add 5 and 7", "subtract 3 from 10"."""
    for at, word in enumerate(words):
        if word not in _PAIRS:
            continue
        found = [numbers.read(words, index) for index in range(at + 1, len(words))]
        starts = [index + at + 1 for index, number in enumerate(found) if number]
        if not starts:
            continue
        first = numbers.read(words, starts[0])
        later = [index for index in starts if first and index >= first[1]]
        second = numbers.read(words, later[0]) if later else None
        if first is None or second is None:
            continue
        sign, is_swapped = _PAIRS[word]
        values = [second[0], first[0]] if is_swapped else [first[0], second[0]]
        return _said(values, [sign]), _evaluate(values, [sign])
    return None


def _root(words: Sequence[str]) -> tuple[str, Fraction] | None:
    for at in range(len(words)):
        if words[at : at + 3] == ["square", "root", "of"]:
            found = numbers.read(words, at + 3)
            if found is None or found[0] > _MAX_RESULT:
                return None
            root = Fraction(float(found[0]) ** 0.5).limit_denominator(10_000)
            return f"The square root of {_spoken(found[0])}", root
    return None


def _said(values: Sequence[Fraction], signs: Sequence[str]) -> str:
    parts = [_spoken(values[0])]
    for sign, value in zip(signs, values[1:], strict=True):
        parts += [sign, _spoken(value)]
    return " ".join(parts)


def _evaluate(values: Sequence[Fraction], signs: Sequence[str]) -> Fraction:
    """Apply the signs, the highest rank first, each rank from the left."""
    left, pending = list(values), list(signs)
    while pending:
        rank = max(_RANK[sign] for sign in pending)
        at = next(index for index, sign in enumerate(pending) if _RANK[sign] == rank)
        left[at : at + 2] = [_APPLY[pending.pop(at)](left[at], left[at + 1])]
    return left[0]


def _divide(one: Fraction, other: Fraction) -> Fraction:
    if other == 0:
        raise _NotFiniteError("You cannot divide by zero.")
    return one / other


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    whole = exponent.denominator == 1 and abs(exponent) <= _MAX_EXPONENT
    if not whole or abs(base) > 1_000_000 or (base == 0 and exponent < 0):
        raise _NotFiniteError("That power is beyond me.")
    return Fraction(base**exponent)


_APPLY: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "plus": lambda one, other: one + other,
    "minus": lambda one, other: one - other,
    "times": lambda one, other: one * other,
    "divided by": _divide,
    "percent of": lambda one, other: one * other / 100,
    "to the power of": _power,
}


def _spoken(value: Fraction) -> str:
    if abs(value) > _MAX_RESULT:
        raise _NotFiniteError("That is a bigger number than I can say.")
    if value.denominator == 1:
        return f"minus {-value.numerator}" if value < 0 else str(value.numerator)
    rounded = f"{float(abs(value)):.4f}".rstrip("0").rstrip(".")
    about = "" if Fraction(rounded) == abs(value) else "about "
    return f"{about}{'minus ' if value < 0 else ''}{rounded}"
