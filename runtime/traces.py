"""What a call went through, as spans: how services tell of it, whoever listens.

Spans are objects that are handed on: no context variable knows which one is under way,
since callbacks of many calls take turns in one thread. A call's spans in both services
make one trace, because the request for a session carries a W3C `traceparent`.

Whether anybody listens is `runtime.collector`'s business.
"""

import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

_TRACEPARENT: Final = re.compile(
    "(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
"""W3C Trace Context section 3.2; what later versions may add to it is not taken."""

Fields = Mapping[str, str | bool | int | float]
"""Attributes: ids and figures; never content, keys or transcripts."""

_NONE: Final[Fields] = {}


class Span(Protocol):
    """Something that took time. After its end nothing more can be told of it."""

    @property
    def traceparent(self) -> str | None:
        """What makes a span elsewhere its child (W3C Trace Context); None: nothing."""

    def child(self, name: str, fields: Fields = _NONE) -> "Span":
        """Begin a part of it."""

    def tell(self, fields: Fields) -> None:
        """Add attributes, or change them."""

    def note(self, name: str) -> None:
        """Write down that something happened now."""

    def end(self, error: str | None = None) -> None:
        """End it now; `error` is a code, where it failed."""


class Tracer(Protocol):
    """Begins traces, or goes on with those of others."""

    def begin(
        self, name: str, fields: Fields = _NONE, parent: str | None = None
    ) -> Span:
        """Begin a span.

        Args:
            name: One of few.
            fields: Its first attributes.
            parent: The `traceparent` it came with; one that is not valid is as none.
        """


class _Untold:
    """A span that nobody hears of."""

    traceparent = None

    def child(self, name: str, fields: Fields = _NONE) -> "_Untold":
        del name, fields
        return self

    def tell(self, fields: Fields) -> None:
        pass

    def note(self, name: str) -> None:
        pass

    def end(self, error: str | None = None) -> None:
        pass


class _Silent:
    """Begins nothing."""

    def begin(
        self, name: str, fields: Fields = _NONE, parent: str | None = None
    ) -> Span:
        del name, fields, parent
        return UNTOLD


UNTOLD: Final[Span] = _Untold()
SILENT: Final[Tracer] = _Silent()


class Steps:
    """A span, and its named parts that are under way.

    As a context manager it ends with the block; what the block raises is its error.

    Args:
        span: The whole.

    Attributes:
        error: What it has failed of, so far: a code.
    """

    def __init__(self, span: Span = UNTOLD) -> None:
        self.span = span
        self.error: str | None = None
        self._parts: dict[str, Span] = {}

    def begin(self, name: str, fields: Fields = _NONE) -> None:
        """Begin a part; one of that name that is under way has failed."""
        self.end(name, error="begun again")
        self._parts[name] = self.span.child(name, fields)

    def end(self, name: str, error: str | None = None) -> None:
        """End a part, if it is under way."""
        part = self._parts.pop(name, None)
        if part is not None:
            part.end(error)

    def close(self) -> None:
        """End the whole, and the parts that are under way."""
        for name in tuple(self._parts):
            self.end(name, self.error)
        self.span.end(self.error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.error = kind.__name__
        self.close()


def traceparent(headers: Sequence[str]) -> str | None:
    """Return what a stranger's request is part of.

    Args:
        headers: All of that name.
    """
    if len(headers) == 1 and _TRACEPARENT.fullmatch(headers[0].strip()):
        return headers[0].strip()
    return None
