"""The limit: what no server can save, SRTP and Opus called from C in a loop.

A call-second is 50 packets opened and decoded and 50 frames encoded and sealed, with
the speech that all servers get. It runs on the servers' core, right before them.
"""

import time

from pylibsrtp import Policy, Session

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
