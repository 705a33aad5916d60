"""The limit: what no server can save, SRTP and Opus called from C in a loop.

A call-second is 50 packets opened and decoded and 50 frames encoded and sealed, with
the speech that all servers get. It runs on the servers' core, right before them.
"""

import time
from typing import Any, NamedTuple

from pylibsrtp import Policy, Session

from bench.load.voice import Voice
from codec.opus import MAX_PAYLOAD_BYTES, _check, _ffi, _lib
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from transceiver import rtp, srtp
from transceiver.srtp import SrtpReceiver, SrtpSender

SECONDS = 20
"""Call-seconds that are worked through for each setting."""

PACKETS_HZ = 50
APPLICATION_VOIP, APPLICATION_LOW_DELAY = 2048, 2051
SET_BITRATE, SET_COMPLEXITY, SET_INBAND_FEC, SET_LOSS = 4002, 4010, 4012, 4014
"""opus_defines.h."""


class Encoding(NamedTuple):
    """How frames are encoded."""

    name: str
    application: int
    bitrate_bps: int
    complexity: int
    fec: int


ENCODINGS = (
    Encoding(
        "VOIP, 32 kbit/s, complexity 5, in-band FEC", APPLICATION_VOIP, 32_000, 5, 1
    ),
    Encoding("low delay, 48 kbit/s, complexity 0", APPLICATION_LOW_DELAY, 48_000, 0, 0),
)


def cpu_ms(encoding: Encoding, voice: Voice) -> float:
    """Return the CPU of a call-second, milliseconds."""
    datagrams = _sealed(voice)
    receiver = SrtpReceiver(_session(Policy.SSRC_ANY_INBOUND))
    sender = SrtpSender(_session(Policy.SSRC_ANY_OUTBOUND))
    error = _ffi.new("int *")
    decoder = _ffi.gc(
        _lib.opus_decoder_create(SAMPLE_RATE_HZ, 1, error), _lib.opus_decoder_destroy
    )
    encoder = _encoder(encoding)
    pcm = _ffi.new("char[]", 5760)
    unprotect, decode = srtp._unprotect, _lib.opus_decode
    encode, protect = _lib.opus_encode, srtp._protect
    headers = [
        rtp.build_header(111, number, number * 960, 9, marker=False)
        for number in range(len(datagrams))
    ]
    before_s = time.process_time()
    for header, datagram in zip(headers, datagrams, strict=True):
        size = receiver._length[0] = len(datagram)
        receiver._buffer[0:size] = datagram
        unprotect(receiver._context, receiver._cdata, receiver._length)
        payload, bytes_left = receiver._cdata + 12, receiver._length[0] - 12
        decode(decoder, payload, bytes_left, pcm, FRAME_SAMPLES, 0)
        sender._buffer[0:12] = header
        target = sender._cdata + 12
        count = encode(encoder, pcm, FRAME_SAMPLES, target, MAX_PAYLOAD_BYTES)
        sender._length[0] = 12 + count
        protect(sender._context, sender._cdata, sender._length)
    return 1000 * (time.process_time() - before_s) / SECONDS


def _encoder(encoding: Encoding) -> Any:
    error = _ffi.new("int *")
    encoder = _lib.opus_encoder_create(SAMPLE_RATE_HZ, 1, encoding.application, error)
    _check(error[0])
    for request, value in (
        (SET_BITRATE, encoding.bitrate_bps),
        (SET_COMPLEXITY, encoding.complexity),
        (SET_INBAND_FEC, encoding.fec),
        (SET_LOSS, 5 * encoding.fec),
    ):
        _check(_lib.opus_encoder_ctl(encoder, request, _ffi.cast("int", value)))
    return _ffi.gc(encoder, _lib.opus_encoder_destroy)


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
