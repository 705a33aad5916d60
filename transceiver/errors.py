"""Errors of the media path.

    MediaError
    ├── LibraryMissing     a C library, or a private name of its binding, is not there
    ├── OpusError          libopus refused a payload, a frame or a setting
    └── MalformedPacket    bytes from the caller that are no RTP or RTCP

`LibraryMissing` stops the service at start-up. The others never leave the media path:
they are counted, and the next good packet is heard.
"""


class MediaError(Exception):
    """Anything that goes wrong between a decrypted socket and the link."""


class LibraryMissing(MediaError):  # noqa: N818  # reads as what happened
    """A C library, or a private name this package leans on, is not there."""


class OpusError(MediaError):
    """libopus refused a payload, a frame or a setting."""


class MalformedPacket(MediaError):  # noqa: N818  # as above
    """The caller sent bytes that are no RTP or RTCP."""
