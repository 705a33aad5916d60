"""Opus at 24 kHz mono, straight on libopus: decode with FEC and concealment, encode.

PyAV decodes to 48 kHz only and knows neither in-band FEC nor concealment, so libopus is
bound here (cffi, ABI mode): the one in PyAV's wheel first, since it is newer than most
systems' (1.6.1 against Debian's 1.3.1), then the system's. All PCM is s16le.
"""

import ctypes.util
import enum
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cffi

from codec.errors import LibraryMissing, OpusError
from proto.frames import SAMPLE_BYTES, SAMPLE_RATE_HZ

GRAIN_SAMPLES = SAMPLE_RATE_HZ // 400
"""2.5 ms, of which every Opus duration is a multiple (RFC 6716 section 2.1.4)."""

MAX_PACKET_SAMPLES = SAMPLE_RATE_HZ * 120 // 1000
"""The longest packet: 120 ms (RFC 6716 section 3.2.5)."""

MAX_PAYLOAD_BYTES = 1275
"""The longest Opus frame (RFC 6716 section 3.2.1)."""

FIRST_CELT_CONFIGURATION = 16
"""TOC configurations from here on are CELT, which carries no in-band FEC (table 2)."""

_FRAMES_OF_CODE = (1, 2, 2, 0)
"""Frames in a packet, by the last bits of its first byte; 0: the next byte says."""

_FRAME_SAMPLES = tuple(
    GRAIN_SAMPLES * grains
    for durations, modes in (
        ((4, 8, 16, 24), 3),  # SILK: 10, 20, 40, 60 ms; narrow, medium, wide band
        ((4, 8), 2),  # hybrid: 10, 20 ms; super-wide, full band
        ((1, 2, 4, 8), 4),  # CELT: 2.5, 5, 10, 20 ms; four bandwidths
    )
    for _ in range(modes)
    for grains in durations
)
"""Samples of one frame, by TOC configuration (RFC 6716 table 2)."""

SET_BITRATE = 4002  # the numbers of opus_defines.h, from here to RESET_STATE
SET_COMPLEXITY = 4010
SET_INBAND_FEC = 4012
SET_PACKET_LOSS_PERC = 4014
RESET_STATE = 4028


SAMPLES = tuple(
    _FRAMES_OF_CODE[head & 0b11] * _FRAME_SAMPLES[head >> 3] for head in range(256)
)
"""Samples of a packet, by its first byte; 0: that does not say."""


class Application(enum.IntEnum):
    """What an encoder is made for (opus_defines.h); cannot be changed later.

    Two cold encoders in turn click, so a stream keeps the one that it began with.

    Attributes:
        VOIP: SILK and hybrid: in-band FEC, 6.5 ms of look-ahead.
        LOW_DELAY: CELT alone: no FEC, 2.5 ms, a third to a fifth of the CPU.
    """

    VOIP = 2048
    LOW_DELAY = 2051


class Encoding(NamedTuple):
    """How frames are encoded.

    Attributes:
        bitrate_bps: Target, without RTP, SRTP, UDP and IP.
        complexity: 0 to 10: CPU for quality.
        has_fec: Repeats the packet before, coarsely, when loss is expected.
    """

    application: Application
    bitrate_bps: int
    complexity: int
    has_fec: bool

    def __str__(self) -> str:
        """Return it as tables of measurements name it."""
        name = "VOIP" if self.application is Application.VOIP else "low delay"
        said = f"{name}, {self.bitrate_bps // 1000} kbit/s, complexity"
        return f"{said} {self.complexity}{', in-band FEC' * self.has_fec}"


VOICE = Encoding(Application.VOIP, 32_000, complexity=5, has_fec=True)
"""176 us a frame of 20 ms; 58 at complexity 0, where low delay takes 19 (1.6.1)."""

# PCM is declared as bytes so that cffi takes and gives bytes objects without a copy.
DECLARATIONS = """
typedef struct OpusDecoder OpusDecoder;
typedef struct OpusEncoder OpusEncoder;
const char *opus_strerror(int error);
const char *opus_get_version_string(void);
OpusDecoder *opus_decoder_create(int32_t rate, int channels, int *error);
void opus_decoder_destroy(OpusDecoder *decoder);
int opus_decode(OpusDecoder *decoder, const char *payload, int32_t payload_bytes,
                char *pcm, int samples, int fec);
OpusEncoder *opus_encoder_create(int32_t rate, int channels, int app, int *error);
void opus_encoder_destroy(OpusEncoder *encoder);
int opus_encoder_ctl(OpusEncoder *encoder, int request, ...);
int32_t opus_encode(OpusEncoder *encoder, const char *pcm, int samples,
                    char *payload, int32_t payload_bytes);
"""


def _candidates() -> Iterator[str]:
    spec = importlib.util.find_spec("av")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        yield from map(str, (package.parent / "av.libs").glob("libopus*.so*"))  # Linux
        yield from map(str, (package / ".dylibs").glob("libopus*.dylib"))  # macOS
    system = ctypes.util.find_library("opus")
    if system is not None:
        yield system


def _load(ffi: cffi.FFI) -> Any:  # the library's functions, typed by DECLARATIONS
    tried = list(_candidates())
    for name in tried:
        try:
            return ffi.dlopen(name)
        except OSError:
            continue
    raise LibraryMissing(
        "libopus not found: neither in the av package's wheel nor in the system"
        f" (tried: {', '.join(tried) or 'nothing to try'}); install `av` from a wheel,"
        " or the system's libopus"
    )


_ffi = cffi.FFI()
_ffi.cdef(DECLARATIONS)
_lib = _load(_ffi)

# Where libopus writes. A service codes in one thread, one packet after the other, and
# buffers of each call's own would be cold whenever its turn came.
_PCM = _ffi.new("char[]", MAX_PACKET_SAMPLES * SAMPLE_BYTES)
_PAYLOAD = _ffi.new("char[]", MAX_PAYLOAD_BYTES)
_PCM_VIEW, _PAYLOAD_VIEW = _ffi.buffer(_PCM), _ffi.buffer(_PAYLOAD)


DECODE_ADDRESS, ENCODE_ADDRESS = (
    int(_ffi.cast("uintptr_t", function))
    for function in (_lib.opus_decode, _lib.opus_encode)
)
"""Of the library's functions, for compiled callers."""


def address(coder: "Decoder | Encoder") -> int:
    """Return where libopus keeps the state of a coder, for compiled callers."""
    state = coder._decoder if isinstance(coder, Decoder) else coder._encoder
    return int(_ffi.cast("uintptr_t", state))


def version() -> str:
    """Return libopus's own version string."""
    return bytes(_ffi.string(_lib.opus_get_version_string())).decode()


def packet_samples(payload: bytes) -> int:
    """Return the duration of a packet at 24 kHz; 0: it is none.

    Read from its first two bytes (RFC 6716 section 3.1, requirements R1, R5 of 3.4).
    """
    if not payload:
        return 0
    configuration, frames = payload[0] >> 3, _FRAMES_OF_CODE[payload[0] & 0b11]
    if not frames:
        frames = payload[1] & 0x3F if len(payload) > 1 else 0
    samples = frames * _FRAME_SAMPLES[configuration]
    return samples if samples <= MAX_PACKET_SAMPLES else 0


def carries_fec(payload: bytes) -> bool:
    """Return whether a packet repeats the one before it (SILK's LBRR flag, mono).

    Read as libopus's `opus_packet_has_lbrr` does, which older versions lack: the first
    bits of a SILK frame are one voice flag per 20 ms, then this flag (RFC 6716 section
    4.2.3). Only packets of one frame or of equal frames are looked into: no browser
    sends others.
    """
    if len(payload) < 2 or payload[0] & 0b10:
        return False
    configuration = payload[0] >> 3
    if configuration >= FIRST_CELT_CONFIGURATION:
        return False
    silk = configuration < 12  # the others, hybrid, are at most 20 ms
    voice_flags = max(1, configuration % 4) if silk else 1
    return bool(payload[1] >> (7 - voice_flags) & 1)


class Decoder:
    """One caller's voice: payloads of any duration, mono or stereo, to 24 kHz mono.

    For one thread of the process only, and the same as all others and all encoders.
    A refused payload raises and leaves the state as it was: the next good one is heard.
    """

    __slots__ = ("_decode", "_decoder")

    def __init__(self) -> None:
        error = _ffi.new("int *")
        decoder = _lib.opus_decoder_create(SAMPLE_RATE_HZ, 1, error)
        _check(error[0])
        self._decoder = _ffi.gc(decoder, _lib.opus_decoder_destroy)
        self._decode = _lib.opus_decode

    def decode(self, payload: bytes) -> bytes:
        """Decode one payload; an empty one holds no audio.

        One byte is silence by the sender's own choice (DTX): it gives comfort noise.

        Raises:
            OpusError: No Opus packet.
        """
        if not payload:
            return b""
        count = self._decode(
            self._decoder, payload, len(payload), _PCM, MAX_PACKET_SAMPLES, 0
        )
        if count < 0:
            _check(count)
        return _PCM_VIEW[0 : count * SAMPLE_BYTES]  # type: ignore[no-any-return]  # bytes

    def decode_fec(self, next_payload: bytes, samples: int) -> bytes:
        """Decode what `next_payload` repeats of the lost packet before it.

        Args:
            next_payload: The packet after the lost one; decode it afterwards, too.
            samples: Duration of the lost packet, a multiple of 2.5 ms.

        Raises:
            OpusError: No Opus packet, or an impossible duration.
        """
        return self._run(next_payload, samples, fec=1)

    def conceal(self, samples: int) -> bytes:
        """Continue the voice over a loss; it fades the longer this goes on.

        Args:
            samples: Duration to make up, a multiple of 2.5 ms, at most 120 ms.

        Raises:
            OpusError: An impossible duration.
        """
        return self._run(_ffi.NULL, samples, fec=0)

    def _run(self, payload: Any, samples: int, fec: int) -> bytes:
        if samples > MAX_PACKET_SAMPLES:
            raise OpusError("longer than any Opus packet")
        size = len(payload) if payload else 0
        count = self._decode(self._decoder, payload, size, _PCM, samples, fec)
        if count < 0:
            _check(count)
        return _PCM_VIEW[0 : count * SAMPLE_BYTES]  # type: ignore[no-any-return]  # bytes


class Encoder:
    """The agent's voice, 24 kHz mono, to Opus; in the thread of all decoders."""

    __slots__ = ("_encode", "_encoder")

    def __init__(self, encoding: Encoding = VOICE) -> None:
        """Create an encoder."""
        error = _ffi.new("int *")
        encoder = _lib.opus_encoder_create(
            SAMPLE_RATE_HZ, 1, encoding.application, error
        )
        _check(error[0])
        self._encoder = _ffi.gc(encoder, _lib.opus_encoder_destroy)
        self._encode = _lib.opus_encode
        self._set(SET_INBAND_FEC, encoding.has_fec)
        self.set_bitrate(encoding.bitrate_bps)
        self.set_complexity(encoding.complexity)

    def encode(self, pcm: bytes) -> bytes:
        """Encode one frame of 2.5, 5, 10, 20, 40 or 60 ms.

        Raises:
            OpusError: Another duration.
        """
        samples = len(pcm) // SAMPLE_BYTES
        size = self._encode(self._encoder, pcm, samples, _PAYLOAD, MAX_PAYLOAD_BYTES)
        if size < 0:
            _check(size)
        return _PAYLOAD_VIEW[0:size]  # type: ignore[no-any-return]  # bytes

    def reset(self) -> None:
        """Forget what was encoded: nothing of it leaks into what comes next."""
        _check(_lib.opus_encoder_ctl(self._encoder, RESET_STATE))

    def set_bitrate(self, bits_per_second: int) -> None:
        """Set the target bitrate, without RTP, SRTP, UDP and IP (57 bytes a packet)."""
        self._set(SET_BITRATE, bits_per_second)

    def set_complexity(self, complexity: int) -> None:
        """Trade CPU for quality: 0 to 10."""
        self._set(SET_COMPLEXITY, complexity)

    def set_expected_loss(self, percent: int) -> None:
        """Tell how many of 100 packets get lost: 0 switches the repeats of FEC off."""
        self._set(SET_PACKET_LOSS_PERC, percent)

    def _set(self, request: int, value: int) -> None:
        _check(_lib.opus_encoder_ctl(self._encoder, request, _ffi.cast("int", value)))


def _check(code: int) -> None:
    if code < 0:
        raise OpusError(bytes(_ffi.string(_lib.opus_strerror(code))).decode())
