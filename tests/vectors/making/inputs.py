"""Fixed inputs that the files share, chosen to be told apart at a glance."""

from typing import Final

from proto.handshake import LinkKey
from proto.wire import HEADER_BYTES

PSK: Final = bytes(range(32))
DIALER_ID: Final = 0x0A0B0C0D
DIALER_NONCE: Final = b"\xd1" * 32
LISTENER_SECRET: Final = b"\x5e" * 32
"""Of the listener's process; how it makes its nonce and id is its own business."""
NOW: Final = 1000.0
KEY: Final = LinkKey(PSK)
MAC_BYTES: Final = 32


def body(datagram: bytes) -> bytes:
    """Return what stands between header and MAC."""
    return datagram[HEADER_BYTES:-MAC_BYTES]
