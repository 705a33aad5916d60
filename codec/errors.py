"""Errors of the codecs.

    CodecError
    ├── LibraryMissing     libopus is not there
    └── OpusError          libopus refused a payload, a frame or a setting

`LibraryMissing` stops a service at start-up. `OpusError` never leaves the media path:
it is counted, and the next good packet is heard.
"""


class CodecError(Exception):
    """Anything that goes wrong between a payload and its sound."""


class LibraryMissing(CodecError):  # noqa: N818  # reads as what happened
    """libopus is not there."""


class OpusError(CodecError):
    """libopus refused a payload, a frame or a setting."""
