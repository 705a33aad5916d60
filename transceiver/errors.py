"""Errors of the media path.

    MediaError
    ├── LibraryMissing     a private name of pylibsrtp is not there
    └── MalformedPacket    bytes from the caller that are no RTP or RTCP

`LibraryMissing` stops the service at start-up. `MalformedPacket` never leaves the media
path: it is counted, and the next good packet is heard. The codecs' errors are their own
(`codec.errors`).
"""


class MediaError(Exception):
    """Anything that goes wrong between a decrypted socket and the link."""


class LibraryMissing(MediaError):  # noqa: N818  # reads as what happened
    """A private name that this package leans on is not there."""


class MalformedPacket(MediaError):  # noqa: N818  # as above
    """The caller sent bytes that are no RTP or RTCP."""
