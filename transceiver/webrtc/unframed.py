"""Errors that hold none of the frames they came through.

What a future raises holds the frames that waited for it, and those hold the future: all
that they knew of a call that is over would stay until the next collection.
"""

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def unframed(
    call: Callable[P, Coroutine[Any, Any, T]], error: type[Exception]
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return the same coroutine function, but that such errors begin here."""

    async def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await call(*args, **kwargs)
        except error as raised:
            raise raised.with_traceback(None)  # noqa: B904  # the very same

    return called
