"""The limit: what no server can save, SRTP and Opus called from C in a loop.

A call-second is 50 packets opened and decoded and 50 frames encoded and sealed, with
the speech that all servers get. It runs on the servers' core, in between them.
"""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pylibsrtp import Policy, Session

from bench.compare import judge
from bench.compare.pace import Pace
from bench.load import voice as voices
from bench.load.voice import Voice
from codec.opus import (
    MAX_PAYLOAD_BYTES,
    Encoder,
    Encoding,
    _ffi,
    _lib,
)
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from transceiver import rtp, srtp
from transceiver.srtp import SrtpReceiver, SrtpSender

SECONDS = 20
"""Call-seconds that are worked through for each setting."""

PACKETS_HZ = 50

PASSES = 3
"""Of each setting before each server."""

AROUND_S = 0.1
"""Before and after a pass, which leaves nothing of its core to learn its pace by."""


class _Pass(NamedTuple):
    """One measurement, and when it was made, in seconds of the wall clock."""

    cpu_ms: float
    from_s: float
    to_s: float


class Limits:
    """The limit of some settings, measured again and again on one core.

    Args:
        encodings: The settings.
        core: The servers'.
        pace: Tells which passes count.
    """

    def __init__(self, encodings: tuple[Encoding, ...], core: int, pace: Pace) -> None:
        self._encodings = encodings
        self._core = core
        self._pace = pace
        self._voice = voices.encode(voices.built_in())
        self._passes: dict[str, list[_Pass]] = defaultdict(list)

    def measure(self) -> None:
        """Make a few passes of each."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            for encoding in self._encodings * PASSES:
                self._passes[str(encoding)].append(self._pass(encoding))
        finally:
            os.sched_setaffinity(0, before)

    def cpu_ms(self) -> dict[str, float]:
        """Return the CPU of a call-second by setting: the median of what counts."""
        return {name: self._median(made) for name, made in self._passes.items()}

    def _pass(self, encoding: Encoding) -> _Pass:
        from_s = time.time()
        time.sleep(AROUND_S)
        taken_ms = cpu_ms(encoding, self._voice)
        time.sleep(AROUND_S)
        return _Pass(taken_ms, from_s, time.time())

    def _median(self, made: Sequence[_Pass]) -> float:
        """Return that of the passes in calm, or of all if the machine never was."""
        calm = [
            one
            for one in made
            if judge.is_calm(self._pace.slowness(self._core, one.from_s, one.to_s))
        ]
        return statistics.median(one.cpu_ms for one in calm or made)


def cpu_ms(encoding: Encoding, voice: Voice) -> float:
    """Return the CPU of a call-second, milliseconds."""
    datagrams = _sealed(voice)
    receiver = SrtpReceiver(_session(Policy.SSRC_ANY_INBOUND))
    sender = SrtpSender(_session(Policy.SSRC_ANY_OUTBOUND))
    error = _ffi.new("int *")
    decoder = _ffi.gc(
        _lib.opus_decoder_create(SAMPLE_RATE_HZ, 1, error), _lib.opus_decoder_destroy
    )
    speaker = Encoder(encoding)
    speaker.set_expected_loss(5 * encoding.has_fec)
    encode, encoder = speaker._encode, speaker._encoder
    pcm = _ffi.new("char[]", 5760)
    unprotect, decode = srtp._unprotect, _lib.opus_decode
    protect, cdata, length = srtp._protect, srtp._CDATA, srtp._LENGTH
    headers = [
        rtp.build_header(111, number, number * 960, 9, marker=False)
        for number in range(len(datagrams))
    ]
    before_s = time.process_time()
    for header, datagram in zip(headers, datagrams, strict=True):
        size = length[0] = len(datagram)
        srtp._BUFFER[0:size] = datagram
        unprotect(receiver._context, cdata, length)
        payload, bytes_left = cdata + 12, length[0] - 12
        decode(decoder, payload, bytes_left, pcm, FRAME_SAMPLES, 0)
        srtp._BUFFER[0:12] = header
        target = cdata + 12
        count = encode(encoder, pcm, FRAME_SAMPLES, target, MAX_PAYLOAD_BYTES)
        length[0] = 12 + count
        protect(sender._context, cdata, length)
    return 1000 * (time.process_time() - before_s) / SECONDS


def _sealed(voice: Voice) -> list[bytes]:
    sender = SrtpSender(_session(Policy.SSRC_ANY_OUTBOUND))
    datagrams = []
    for number in range(SECONDS * PACKETS_HZ):
        header = rtp.build_header(111, number, number * 960, 7, marker=False)
        payload = voice.payloads[number % len(voice.payloads)]
        datagrams.append(sender.seal_rtp(header + payload) or b"")
    return datagrams


def _session(direction: int) -> Session:
    profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    return Session(Policy(bytes(28), direction, 0, profile))
