"""Bodies of the kind multipart/form-data (RFC 7578), taken apart in one go.

Readers that go line by line and part by part hold up every call of the process for
seconds over half a megabyte of tiny or nested parts. Here a body that has been read
within its bound is cut at its boundaries, and one with more parts than any client
sends is refused.
"""

from email.message import Message
from email.parser import HeaderParser

MAX_PARTS = 16
"""Parts taken; a call's body has two."""

MAX_HEAD_BYTES = 8 * 1024
"""Longest headers of a part, as of a request's header line."""


def form_parts(content_type: str, body: bytes) -> dict[str, bytes]:
    """Return what each named part holds; of two with one name, the last.

    Args:
        content_type: The header, which names the boundary.
        body: All of it.

    Raises:
        ValueError: It is broken, cut off, or has too many parts.
    """
    delimiter = b"\r\n--" + _boundary(content_type)
    _, *pieces = (b"\r\n" + body).split(delimiter, MAX_PARTS + 1)
    if not pieces:
        raise ValueError("the boundary does not occur")
    *parts, end = pieces
    if not end.startswith(b"--"):
        more = "more parts than are taken" if len(parts) == MAX_PARTS else "no end"
        raise ValueError(f"it has {more}")
    named = (_part(piece) for piece in parts)
    return {name: content for name, content in named if name is not None}


def _boundary(content_type: str) -> bytes:
    head = Message()
    head["Content-Type"] = content_type
    boundary = head.get_boundary()
    if not boundary:
        raise ValueError("the content type names no boundary")
    return boundary.encode("ascii")


def _part(piece: bytes) -> tuple[str | None, bytes]:
    """Return a part's name and content; its head may be empty, its name missing."""
    padding, _, rest = piece.partition(b"\r\n")
    head, blank, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if padding.strip(b" \t") or not blank or len(head) > MAX_HEAD_BYTES:
        raise ValueError("a part has no headers that can be read")
    headers = HeaderParser().parsestr(head.decode("latin-1").lstrip("\r\n"))
    name = headers.get_param("name", header="content-disposition")
    return (name if isinstance(name, str) else None), content
