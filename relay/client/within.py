"""JSON objects shaped inside other objects, without altering either.

A shape is a function that returns a new object, or the one it was given when nothing
has to change. What holds it is then the same one too, so `is` tells whether an event
has to be written again.
"""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
"""A JSON object."""

Shape = Callable[[Json], Json]


def within(holder: Json, key: str, shape: Shape) -> Json:
    """Shape the object in a field; anything else there stays as it is."""
    value = holder.get(key)
    if not isinstance(value, dict):
        return holder
    shaped = shape(value)
    return holder if shaped is value else {**holder, key: shaped}


def within_each(holder: Json, key: str, shape: Shape) -> Json:
    """Shape each object in the list in a field."""
    values = holder.get(key)
    if not isinstance(values, list):
        return holder
    shaped = [shape(value) if isinstance(value, dict) else value for value in values]
    is_same = all(new is old for new, old in zip(shaped, values, strict=True))
    return holder if is_same else {**holder, key: shaped}
