"""English numbers: from words or digits to values, and back to words."""

import re
from collections.abc import Sequence
from fractions import Fraction

_UNITS: list[str] = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen",
)
_TENS: list[str] = re.findall(
    r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety"
)
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {
    word: 20 + 10 * index for index, word in enumerate(_TENS)
}
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_TOKEN = re.compile(
    r"\d[\d,]*(?:\.\d+)?|[a-z]+|(?<![a-z])-(?![a-z])|[+*/\u00d7\u00f7^%]"
)


def tokens(text: str) -> list[str]:
    """Return lower-case words, numbers and signs of arithmetic."""
    return _TOKEN.findall(text.lower())


def read(words: Sequence[str], start: int) -> tuple[Fraction, int] | None:
    """Read the number that begins at a word.

    Returns:
        The value and the index after it, or None when no number begins there.
    """
    first = words[start] if start < len(words) else ""
    if first[:1].isdigit():
        return _scaled(Fraction(first.replace(",", "")), words, start + 1)
    return _read_words(words, start)


def _scaled(value: Fraction, words: Sequence[str], end: int) -> tuple[Fraction, int]:
    while end < len(words) and words[end] in {"hundred", *_SCALES}:
        value *= 100 if words[end] == "hundred" else _SCALES[words[end]]
        end += 1
    return value, end


def _read_words(words: Sequence[str], start: int) -> tuple[Fraction, int] | None:
    total, group, end = 0, 0, start
    fresh = True  # no unit read since the last ten, hundred or scale
    if words[end : end + 2] in (["a", "hundred"], ["a", "thousand"], ["a", "million"]):
        group, end = 1, end + 1
    while end < len(words):
        word = words[end]
        if word in _SMALL and (fresh or end == start):
            group += _SMALL[word]
            fresh = _SMALL[word] >= 20
        elif word == "hundred" and group:
            group, fresh = group * 100, True
        elif word in _SCALES and group:
            total, group, fresh = total + group * _SCALES[word], 0, True
        elif not (word == "and" and _continues(words, end)):
            break
        end += 1
    if end == start:
        return None
    return _with_decimals(Fraction(total + group), words, end)


def _continues(words: Sequence[str], end: int) -> bool:
    """Whether "and" joins parts of one number: after hundred, before a small one."""
    before, after = words[end - 1 : end], words[end + 1 : end + 2]
    return (
        before[:1] in (["hundred"], ["thousand"])
        and after[0:1] != []
        and (after[0] in _SMALL)
    )


def _with_decimals(
    value: Fraction, words: Sequence[str], end: int
) -> tuple[Fraction, int]:
    if words[end : end + 1] != ["point"]:
        return value, end
    place, next_word = Fraction(1, 10), end + 1
    while next_word < len(words) and _SMALL.get(words[next_word], 10) < 10:
        value += place * _SMALL[words[next_word]]
        place /= 10
        next_word += 1
    return (value, next_word) if next_word > end + 1 else (value, end)


def in_words(value: int) -> str:
    """Return a number from 0 to 999 in words."""
    if value >= 100:
        rest = f" {in_words(value % 100)}" if value % 100 else ""
        return f"{_UNITS[value // 100]} hundred{rest}"
    if value >= 20:
        rest = f"-{_UNITS[value % 10]}" if value % 10 else ""
        return _TENS[value // 10 - 2] + rest
    return _UNITS[value]
