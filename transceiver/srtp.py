"""SRTP and SRTCP of one leg, in place.

pylibsrtp's public calls check types and allocate for each packet (1.45 us against 0.8);
here its C functions are called directly. That leans on private names, which are
asserted when this module is imported. All calls are worked on in one thread, and share
one buffer: that of each would be cold whenever its turn came.

What does not authenticate is counted and gives None: strangers can send as much of it
as they like, so it must cost no exception.
"""

from typing import Any

from pylibsrtp import Session

from transceiver.errors import LibraryMissing

try:
    from pylibsrtp._binding import ffi as _ffi, lib as _lib

    _OK: int = _lib.srtp_err_status_ok
    _protect, _unprotect = _lib.srtp_protect, _lib.srtp_unprotect
    _protect_rtcp, _unprotect_rtcp = _lib.srtp_protect_rtcp, _lib.srtp_unprotect_rtcp
    _probe = Session()
    _probe._srtp[0]
except (ImportError, AttributeError) as missing:
    raise LibraryMissing(
        f"pylibsrtp has changed inside ({missing}); the pinned version is 1.0"
    ) from missing

UNPROTECT_ADDRESS, PROTECT_ADDRESS = (
    int(_ffi.cast("uintptr_t", _ffi.addressof(_lib, name)))
    for name in ("srtp_unprotect", "srtp_protect")
)
"""Of the library's functions, for compiled callers."""

MAX_TRAILER_BYTES = 4 + 16 + 128
"""Most that protection appends: SRTCP index, tag, MKI (libsrtp's srtp.h)."""

MAX_DATAGRAM_BYTES = 1500
"""Longest datagram taken or made: what Ethernet carries."""

_CDATA = _ffi.new("char[]", MAX_DATAGRAM_BYTES + MAX_TRAILER_BYTES)
_BUFFER = _ffi.buffer(_CDATA)
_LENGTH = _ffi.new("int *")

del _probe

REPLAY_FAIL = 9
REPLAY_OLD = 10
"""srtp_err_status_replay_fail and _old (libsrtp's srtp.h): authentic, seen before."""

MAX_STREAMS = 32
"""SSRCs a caller may use in one call: libsrtp keeps a record of each for good."""

RTP_HEADER_BYTES = 12
RTCP_HEADER_BYTES = 8


def address(end: "SrtpReceiver | SrtpSender") -> int:
    """Return where libsrtp keeps the state of an end, for compiled callers."""
    return int(_ffi.cast("uintptr_t", end._context))


class SrtpReceiver:
    """Opens what the caller sends.

    Attributes:
        auth_failures: Datagrams that are not the caller's, or damaged.
        replays: Authentic datagrams that came before, or too late to tell.
    """

    __slots__ = ("_context", "_session", "_streams", "auth_failures", "replays")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._context = session._srtp[0]
        self._streams: set[bytes] = set()
        self.auth_failures = 0
        self.replays = 0

    def open_rtp(self, datagram: bytes) -> bytes | None:
        """Return the RTP packet, or None if it is not authentic and new."""
        if len(datagram) < RTP_HEADER_BYTES:
            self.auth_failures += 1
            return None
        return self._open(datagram, datagram[8:12], _unprotect)

    def open_rtcp(self, datagram: bytes) -> bytes | None:
        """Return the compound RTCP packet, or None if it is not authentic and new."""
        if len(datagram) < RTCP_HEADER_BYTES:
            self.auth_failures += 1
            return None
        return self._open(datagram, datagram[4:8], _unprotect_rtcp)

    def _open(self, datagram: bytes, ssrc: bytes, unprotect: Any) -> bytes | None:
        size = len(datagram)
        known = ssrc in self._streams
        if size > MAX_DATAGRAM_BYTES or not (known or len(self._streams) < MAX_STREAMS):
            self.auth_failures += 1
            return None
        length = _LENGTH
        length[0] = size
        _BUFFER[0:size] = datagram
        status = unprotect(self._context, _CDATA, length)
        if status != _OK:
            self._count(status)
            return None
        if not known:
            self._streams.add(ssrc)
        return _BUFFER[0 : length[0]]  # type: ignore[no-any-return]  # bytes

    def _count(self, status: int) -> None:
        if status in {REPLAY_FAIL, REPLAY_OLD}:
            self.replays += 1
        else:
            self.auth_failures += 1


class SrtpSender:
    """Seals what we send.

    Attributes:
        failures: Packets libsrtp refused to seal (too long, or its key is used up).
    """

    __slots__ = ("_context", "_session", "failures")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._context = session._srtp[0]
        self.failures = 0

    def seal_rtp(self, packet: bytes) -> bytes | None:
        """Return the datagram for an RTP packet, or None if it cannot be sealed."""
        return self._seal(packet, _protect)

    def seal_rtcp(self, packet: bytes) -> bytes | None:
        """Return the datagram for an RTCP packet, or None if it cannot be sealed."""
        return self._seal(packet, _protect_rtcp)

    def _seal(self, packet: bytes, protect: Any) -> bytes | None:
        size = len(packet)
        if size > MAX_DATAGRAM_BYTES:
            self.failures += 1
            return None
        length = _LENGTH
        length[0] = size
        _BUFFER[0:size] = packet
        if protect(self._context, _CDATA, length) != _OK:
            self.failures += 1
            return None
        return _BUFFER[0 : length[0]]  # type: ignore[no-any-return]  # bytes
