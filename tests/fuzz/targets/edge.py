"""What callers, clients and the upstream send: media, offers, Realtime events."""

import contextlib
import copy
from typing import Any

import orjson

from proto.messages import MAX_MESSAGE_BYTES
from relay.client import beta
from relay.client.bound import Bound
from relay.client.intake import ClearPlayback, Forward, Intake, Refused
from relay.client.limits import Limits, is_too_deep
from relay.upstream import protocol
from relay.upstream.deltas import Deltas
from relay.upstream.events import AudioDelta
from tests.fuzz.draw import Draw
from transceiver import (
    red as red_packets,
    rtcp as rtcp_packets,
    rtp as rtp_packets,
)
from transceiver.errors import MalformedPacket
from transceiver.webrtc.offer import OfferError, max_event_bytes, usable
from transceiver.webrtc.peer import _PARSER_ERRORS

NOW = 1000.0

CLIENT_TYPES = (
    *("session.update", "response.create", "conversation.item.create"),
    *("input_audio_buffer.append", "output_audio_buffer.clear", "of.tomorrow"),
)

SERVER_TYPES = (
    *("response.output_audio.delta", "response.audio.delta", "response.created"),
    *("response.output_audio.done", "response.done", "session.created", "error"),
    *("input_audio_buffer.speech_started", "session.updated", "of.tomorrow"),
    *("conversation.item.added", "conversation.item.done"),
)

WORDS = (
    *("type", "event_id", "session", "response", "item", "audio", "input", "output"),
    *("format", "rate", "audio/pcm", "pcm16", "g711_ulaw", "voice", "id", "speed"),
    *("turn_detection", "server_vad", "interrupt_response", "modalities", "text"),
    *("output_modalities", "tools", "function", "tool_choice", "name", "content"),
    *("input_audio_format", "max_response_output_tokens", "temperature", "delta"),
    *("noise_reduction", "transcription", "input_audio_transcription", "realtime"),
    *("instructions", "response_id", "item_id", "content_index", "AAAA", "error"),
    *("code", "conversation_id", "output_text", "part", "tandem_relay_1", ""),
)

BOUND = {
    "instructions": "x",
    "voice": "y",
    "tools": [],
    "audio": {"input": {"turn_detection": {"type": "server_vad"}}, "output": None},
}


OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111 63
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2122260223 192.0.2.1 51000 typ host
a=end-of-candidates
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 %s
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:- track
a=rtcp-mux
a=rtcp-fb:111 transport-cc
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=ssrc:1 cname:x
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 %s
a=setup:actpass
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
""" % ((":".join(["AB"] * 32),) * 2)
"""As a browser writes it; the fingerprints are made up."""


def rtp(data: bytes) -> None:
    """An RTP packet parses to one no longer than it."""
    with contextlib.suppress(MalformedPacket):
        packet = rtp_packets.parse(data)
        assert len(packet.payload) <= len(data) - rtp_packets.HEADER.size


def red(data: bytes) -> None:
    """RED holds no more than it is long, or is malformed; its repeats fit in time."""
    try:
        kind, payload = red_packets.newest(data)
    except MalformedPacket:
        return
    later_ticks = 0
    held = len(payload)
    for repeat in red_packets.repeats(data, kind):
        assert repeat.offset_ticks > later_ticks
        later_ticks = repeat.offset_ticks
        held += len(repeat.payload)
    assert held < len(data)


def rtcp(data: bytes) -> None:
    """A compound RTCP packet parses to no more than is in it."""
    try:
        feedback = rtcp_packets.parse(data)
    except MalformedPacket:
        return
    assert len(feedback.blocks) * rtcp_packets.BLOCK.size <= len(data)
    assert len(feedback.leaving) * 4 <= len(data)
    for block in feedback.blocks:
        rtcp_packets.round_trip_s(block, NOW)


def offer(data: bytes) -> None:
    """An SDP offer is used without what it may not say, or refused."""
    _check_offer(data.decode(errors="replace"))
    _check_offer(_offer_like(Draw(data)))


def _offer_like(draw: Draw) -> str:
    """Return the browser's offer with lines missing, doubled, moved or misspelt."""
    lines = OFFER.splitlines()
    while draw.has_more:
        at, other = draw.byte() % len(lines), draw.byte() % len(lines)
        words = lines[at].split(" ")
        match draw.byte() % 5:
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(other, lines[at])
            case 2:
                words[draw.byte() % len(words)] = draw.choice(lines[other].split(" "))
                lines[at] = " ".join(words)
            case 3:
                lines[at] = lines[at][: draw.byte()]
            case _:
                words[draw.byte() % len(words)] = str(draw.number())
                lines[at] = " ".join(words)
    return "\r\n".join(lines)


def _check_offer(text: str) -> None:
    assert 0 < max_event_bytes(text) <= MAX_MESSAGE_BYTES
    try:
        taken = usable(text)
    except (OfferError, *_PARSER_ERRORS):  # the peer makes an OfferError of the latter
        return
    assert "\na=candidate:" not in taken
    assert usable(taken) == taken


def intake(data: bytes) -> None:
    """A client's events go on as JSON objects, or come back as refusals."""
    draw = Draw(data)
    options = draw.byte()
    reader = Intake(
        limits=Limits(),
        bound=Bound(BOUND if options & 1 else None),
        speaks_beta=bool(options & 2),
        has_media=bool(options & 4),
        binds=bool(options & 8),
    )
    for number, text in enumerate((*_events(draw, CLIENT_TYPES), data[1:])):
        match reader.read(text, NOW + number):
            case Forward(payload):
                assert isinstance(orjson.loads(payload)["type"], str)
            case Refused(code, message):
                assert code
                assert message
            case ClearPlayback():
                assert options & 4
            case _:
                pass


def upstream(data: bytes) -> None:
    """What an upstream sends is read to an event, whatever it is.

    An audio delta that is not parsed says what its parse would.
    """
    deltas = Deltas()
    for text in (data, *_events(Draw(data), SERVER_TYPES)):
        event = protocol.read_upstream(text)
        assert event is not None
        assert deltas.read(text) in (None, event)
        if isinstance(event, AudioDelta):
            deltas.learn(text, event)
            assert deltas.read(text) in (None, event)


def translation(data: bytes) -> None:
    """Beta's shapes and GA's: no input raises, none is altered."""
    draw = Draw(data)
    texts = (*_events(draw, CLIENT_TYPES + SERVER_TYPES), data)
    for text in texts:
        with contextlib.suppress(orjson.JSONDecodeError):
            event = orjson.loads(text)
            if isinstance(event, dict):
                beta.server_event_to_beta(event)
                if not is_too_deep(text, event):  # a client's is refused before
                    _translate(event)


def _translate(event: dict[str, Any]) -> None:
    before = copy.deepcopy(event)
    ga = beta.client_event_to_ga(event)
    beta.server_event_to_beta(event)
    assert beta.session_to_ga(beta.session_to_ga(event)) == beta.session_to_ga(event)
    assert beta.client_event_to_ga(ga) == ga
    assert event == before


def _events(draw: Draw, types: tuple[str, ...]) -> list[bytes]:
    """Return up to four events drawn from the bytes."""
    return [
        orjson.dumps({"type": draw.choice(types), **draw.object(WORDS)})
        for _ in range(1 + draw.byte() % 4)
    ]
