"""Which of the client's functions was meant, with which arguments, and what came back.

A function is meant when a word of its name was said, or two of its description. Its
arguments are taken from the words as far as the JSON schema of its parameters tells
what to look for: a listed value, a number, a place after "in", the whole sentence.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from relay.engine.rules import numbers

Json = Mapping[str, Any]

_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and are at be by can could do does for from get give has have how i in "
        "is it its me my of on or please set tell that the this to use user want was "
        "what when where which who will with would you your fetch look lookup find "
        "call function returns return given current information",
    )
)
"""Words that say nothing about which function is meant."""

_STEM_CHARACTERS = 5
"""Words that share this many first letters count as one ("weather", "weathers")."""

_DAY = re.compile(
    r"\b(today|tonight|tomorrow|yesterday|monday|tuesday|wednesday|thursday|friday"
    r"|saturday|sunday)\b"
)
_AFTER: tuple[tuple[str, str], ...] = (
    (r"city|location|place|country|town|where|address", r"in|at|near|for|to|of"),
    (r"name|person|contact|recipient|who|guest", r"named|called|for|to|with|name is"),
    (r"", r"about|for|on|of|in|to|at|with|called|named|that"),
)
"""Names of parameters, and the words after which their values stand."""

_STOP = r"(?=\s+(?:please|and|for|on|at|in|to|with|from|today|tomorrow)\b|[.?!,;]|$)"


def meant(text: str, tools: Sequence[Json]) -> Json | None:
    """Return the function that a text asks for, or None."""
    words = set(_words(text))
    best, best_score = None, 0
    for tool in tools:
        if tool.get("type") != "function":
            continue
        score = _score(words, tool)
        if score > best_score:
            best, best_score = tool, score
    return best if best_score >= 2 else None


def _score(words: set[str], tool: Json) -> int:
    in_name = _matches(words, _words(_spaced(tool["name"])))
    in_description = _matches(words, _words(tool.get("description") or ""))
    return 2 * in_name + in_description


def _spaced(name: str) -> str:
    return re.sub(r"[^A-Za-z]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+", text.lower()) if word not in _COMMON]


def _matches(words: set[str], wanted: Sequence[str]) -> int:
    return sum(any(_alike(one, other) for one in words) for other in set(wanted))


def _alike(one: str, other: str) -> bool:
    shared = min(len(one), len(other))
    return one == other or (
        shared >= _STEM_CHARACTERS and one[:shared] == other[:shared]
    )


def arguments(text: str, tool: Json) -> str:
    """Return JSON arguments for a function, filled from a text as far as possible."""
    schema = tool.get("parameters") or {}
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return "{}"
    required = schema.get("required")
    spoken_numbers = _numbers(text)
    found: dict[str, Any] = {}
    for name, wanted in properties.items():
        is_required = isinstance(required, list) and name in required
        rules = wanted if isinstance(wanted, Mapping) else {}
        value = _value(name, rules, text, spoken_numbers, is_required=is_required)
        if value is not None:
            found[name] = value
    return orjson.dumps(found).decode()


def _value(
    name: str, rules: Json, text: str, spoken: Iterator[float], *, is_required: bool
) -> Any:
    if isinstance(rules.get("enum"), list):
        return _listed(rules["enum"], text, is_required=is_required)
    match rules.get("type"):
        case "integer":
            value = next(spoken, None)
            return None if value is None else round(value)
        case "number":
            return next(spoken, None)
        case "boolean":
            is_denied = re.search(r"\b(no|not|off|don't|without)\b", text.lower())
            return is_denied is None if is_required else None
        case "string" | None:
            return _phrase(name, text, is_required=is_required)
        case _:
            return None


def _listed(choices: Sequence[Any], text: str, *, is_required: bool) -> Any:
    lowered = text.lower()
    for choice in choices:
        if re.search(rf"\b{re.escape(str(choice).lower())}\b", lowered):
            return choice
    return choices[0] if is_required and choices else None


def _phrase(name: str, text: str, *, is_required: bool) -> str | None:
    if re.search(r"date|day|when", name, re.IGNORECASE):
        day = _DAY.search(text.lower())
        return day.group(1) if day else (text.strip() if is_required else None)
    for names, openers in _AFTER:
        if not re.search(names, name, re.IGNORECASE):
            continue
        found = re.search(
            rf"\b(?:{openers})\s+(?:the\s+)?(\S.*?){_STOP}", text, re.IGNORECASE
        )
        if found:
            return found.group(1).strip(" ,.?!")
    return text.strip(" .?!") if is_required else None


def _numbers(text: str) -> Iterator[float]:
    words = numbers.tokens(text)
    at = 0
    while at < len(words):
        found = numbers.read(words, at)
        if found is None:
            at += 1
        else:
            yield float(found[0])
            at = found[1]


_PLAIN_KEYS = frozenset({"result", "output", "message", "text", "answer", "content"})


def spoken_output(output: str) -> str:
    """Return what a function gave back as a sentence."""
    try:
        value = orjson.loads(output)
    except orjson.JSONDecodeError:
        value = output
    said = _spoken(value).strip()
    if not said:
        return "Done."
    return said if said[-1] in ".!?" else f"{said}."


def _spoken(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    match value:
        case None:
            return ""
        case dict():
            return _spoken_object(value)
        case list():
            return ", ".join(_spoken(entry) for entry in value)
        case _:
            return str(value)


def _spoken_object(value: dict[str, Any]) -> str:
    if len(value) == 1 and next(iter(value)) in _PLAIN_KEYS:
        return _spoken(next(iter(value.values())))
    return ", ".join(
        f"{_spaced(key).strip().lower()} is {_spoken(entry)}"
        for key, entry in value.items()
    )
