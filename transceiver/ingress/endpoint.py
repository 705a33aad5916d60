"""An IP address and port as 18 bytes, however a socket spells it."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

ENDPOINT_BYTES: Final = 18

MAPPED: Final = bytes(10) + b"\xff\xff"
"""What an IPv4 address follows in 16 bytes (RFC 4291 section 2.5.5.2)."""

Endpoint = tuple[str, int]


def pack(endpoint: Endpoint) -> bytes:
    """Return 16 bytes of address, IPv4 as mapped to IPv6, then the port."""
    ip = ip_address(endpoint[0])
    packed = ip.packed if ip.version == 6 else MAPPED + ip.packed
    return packed + endpoint[1].to_bytes(2, "big")


def unpack(packed: bytes, *, wide: bool = False) -> Endpoint:
    """Return the endpoint of 18 bytes.

    Args:
        packed: What `pack` made.
        wide: For a socket of IPv6, which takes IPv4 in its mapped form only.
    """
    port = int.from_bytes(packed[16:], "big")
    if packed.startswith(MAPPED):
        text = str(IPv4Address(packed[12:16]))
        return f"::ffff:{text}" if wide else text, port
    return str(IPv6Address(packed[:16])), port
