"""What is read of a STUN message before anybody has proved anything (RFC 8489)."""

from typing import Final

BINDING_REQUEST: Final = b"\x00\x01"
BINDING_SUCCESS: Final = b"\x01\x01"

_USERNAME: Final = 0x0006  # RFC 8489 section 18.3.1


def local_ufrag(datagram: bytes) -> str | None:
    """Return the receiver's ufrag from a STUN request's USERNAME, unverified.

    A walk over attribute headers only (RFC 8489 section 14, RFC 8445 section 7.2.2), so
    that a datagram for nobody costs no more than this.
    """
    position = 20
    end = len(datagram)
    while position + 4 <= end:
        kind = int.from_bytes(datagram[position : position + 2], "big")
        length = int.from_bytes(datagram[position + 2 : position + 4], "big")
        position += 4
        if kind == _USERNAME:
            name, colon, _ = datagram[position : position + length].partition(b":")
            return name.decode("ascii", "replace") if colon else None
        position += length + (-length % 4)
    return None
