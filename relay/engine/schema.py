"""Checks of JSON from clients, composed from small functions.

A check takes a value and its path (`session.audio.input`), and returns the value, or
raises `ClientError` with the code and the wording of the Realtime API. Objects are
closed where the API refuses unknown parameters.
"""

from collections.abc import Callable, Mapping
from typing import Any

from relay.engine.errors import ClientError

Json = dict[str, Any]
"""A JSON object."""

Check = Callable[[Any, str], Any]

MAX_TEXT_CHARACTERS = 1_000_000
"""Characters in one text field; far above any prompt."""

_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    type(None): "null",
}


def _wrong_type(value: Any, path: str, expected: str) -> ClientError:
    got = _NAMES.get(type(value), "something else")
    return ClientError(
        "invalid_type",
        f"Invalid type for '{path}': expected {expected}, but got {got} instead.",
        path,
    )


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def anything(value: Any, path: str) -> Any:
    """Accept any JSON."""
    return value


def text(value: Any, path: str) -> str:
    """Accept a string up to the stated length."""
    if not isinstance(value, str):
        raise _wrong_type(value, path, "a string")
    if len(value) > MAX_TEXT_CHARACTERS:
        raise ClientError("string_above_max_length", f"'{path}' is too long.", path)
    return value


def name(value: Any, path: str) -> str:
    """Accept a short non-empty string: an id, a model, a voice."""
    if not 0 < len(text(value, path)) <= 256:
        raise ClientError(
            "invalid_value", f"'{path}' must have 1 to 256 characters.", path
        )
    return str(value)


def media(value: Any, path: str) -> str:
    """Accept a string of any length: the event's own size is its limit."""
    if not isinstance(value, str):
        raise _wrong_type(value, path, "a string")
    return value


def flag(value: Any, path: str) -> bool:
    """Accept a boolean."""
    if not isinstance(value, bool):
        raise _wrong_type(value, path, "a boolean")
    return value


def number(low: float, high: float) -> Check:
    """Accept a number from `low` to `high`."""

    def check(value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(value, path, "a decimal")
        return _within(value, low, high, path, "decimal")

    return check


def integer(low: int, high: int) -> Check:
    """Accept a whole number from `low` to `high`."""

    def check(value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(value, path, "an integer")
        return _within(value, low, high, path, "integer")

    return check


def _within(value: float, low: float, high: float, path: str, kind: str) -> float:
    if value < low:
        raise ClientError(
            f"{kind}_below_min_value",
            f"Invalid '{path}': expected at least {low}.",
            path,
        )
    if value > high:
        raise ClientError(
            f"{kind}_above_max_value",
            f"Invalid '{path}': expected at most {high}.",
            path,
        )
    return value


def one_of(*allowed: str) -> Check:
    """Accept one of these strings."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise _wrong_type(value, path, "a string")
        if value not in allowed:
            raise unsupported(value, path, allowed)
        return value

    return check


def unsupported(value: str, path: str, allowed: tuple[str, ...]) -> ClientError:
    """Return the error for a string that is none of the allowed ones."""
    listed = ", ".join(f"'{choice}'" for choice in allowed)
    return ClientError(
        "invalid_value",
        f"Invalid value: '{value[:64]}'. Supported values are: {listed}.",
        path,
    )


def nullable(check: Check) -> Check:
    """Accept null, or what `check` accepts."""
    return lambda value, path: None if value is None else check(value, path)


def either(first: type, check_first: Check, check_other: Check) -> Check:
    """Check values of type `first` one way, all others the other way."""
    return lambda value, path: (
        check_first if isinstance(value, first) else check_other
    )(value, path)


def array(check: Check, max_items: int) -> Check:
    """Accept a list of at most `max_items`."""

    def check_all(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise _wrong_type(value, path, "an array")
        if len(value) > max_items:
            raise ClientError(
                "array_above_max_length",
                f"Invalid '{path}': expected at most {max_items} items.",
                path,
            )
        return [check(item, f"{path}[{index}]") for index, item in enumerate(value)]

    return check_all


def record(fields: Mapping[str, Check], *required: str, is_open: bool = False) -> Check:
    """Accept an object with these fields; others are dropped if it is open."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong_type(value, path or "event", "an object")
        for key in required:
            if key not in value:
                raise missing(_join(path, key))
        if not is_open and (unknown := value.keys() - fields.keys()):
            where = _join(path, min(unknown))
            raise ClientError(
                "unknown_parameter", f"Unknown parameter: '{where}'.", where
            )
        return {
            key: fields[key](item, _join(path, key))
            for key, item in value.items()
            if key in fields
        }

    return check


def variant(key: str, choices: Mapping[str, Check]) -> Check:
    """Accept an object whose field `key` says which check it must pass."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong_type(value, path or "event", "an object")
        where = _join(path, key)
        if key not in value:
            raise missing(where)
        kind = one_of(*choices)(value[key], where)
        return choices[kind](value, path)

    return check


def missing(path: str) -> ClientError:
    """Return the error for a required field that is not there."""
    return ClientError(
        "missing_required_parameter", f"Missing required parameter: '{path}'.", path
    )
