"""The figures of docs/limits.md are those of the code."""

import inspect
import pathlib
import re

import pytest
from aiohttp.web_protocol import RequestHandler
from aiortc.rtcsctptransport import LOCAL_MAX_MESSAGE_SIZE

import relay.engine.client_events as engine_events
from proto import channel, frames, messages, nesting
from relay import audience, audio, door, silence, timeline
from relay.client import intake, limits
from relay.engine import (
    conversation,
    intake as listening,
    replies,
    schema,
    service as engine,
    session_schema,
)
from relay.upstream import client as upstream, connection
from transceiver import call, client_secrets, strain, voice
from transceiver.http import (
    bodies,
    client_secrets as minting,
    multipart,
    realtime,
    server,
)
from transceiver.webrtc import early, offer, peer

ROOT = pathlib.Path(__file__).parents[1]
RATE_HZ = frames.SAMPLE_RATE_HZ


def rows(text: str) -> dict[str, str]:
    """Return the rows of a document's tables of limits, by what they limit."""
    return {
        what: f"{limit} | {beyond}"
        for what, limit, beyond in re.findall(
            r"^\| (.+?) \| (.+?) \| (.+) \|$", text, re.MULTILINE
        )
        if what != "what"
    }


def size(count_bytes: int) -> str:
    """Return a size as the document writes it."""
    mib, rest = divmod(count_bytes, 1 << 20)
    return f"{count_bytes >> 10} KiB" if rest else f"{mib} MiB"


def default(parameter: str) -> int:
    """Return what aiohttp takes where it is not told."""
    return int(inspect.signature(RequestHandler).parameters[parameter].default)


FIGURES = {
    "calls and WebSocket sessions at a time": ["`TANDEM_MAX_CALLS`", "503"],
    "those of one key, and of the client secrets it minted": ["_PER_KEY`", "429"],
    "CPU of an edge's process": [
        f"more than {strain.LIMIT_SHARE:.0%} of a core".replace("%", " %"),
        f"{strain.VERY_LATE_S} s late, {strain.RISE_SECONDS} s in a row",
        f"below {strain.RELIEVED_SHARE:.0%} for".replace("%", " %"),
        f"for {strain.FALL_SECONDS} s",
        "503",
    ],
    "length of a call or a WebSocket session": ["`TANDEM_MAX_CALL_S`", "1001"],
    "servers attached to one call": [f"{audience.MAX_SIDEBANDS} |"],
    "a client secret": [
        f"{client_secrets.MAX_CHARACTERS:,} characters",
        f"{minting.MIN_EXPIRY_S} to {minting.MAX_EXPIRY_S:,} s",
    ],
    "a connection without a request": [f"{server.IDLE_S:.0f} s"],
    "a header field": [
        size(server.MAX_FIELD_BYTES),
        f"{default('max_headers')} of them",
    ],
    "name of a model, or a call's id, in the URL": [
        f"{realtime.MAX_NAME_CHARACTERS} characters"
    ],
    "a request's body": [size(bodies.MAX_BODY_BYTES), f"within {bodies.BODY_S:.0f} s"],
    "an offer": [
        f"{size(bodies.MAX_OFFER_BYTES)} of SDP with {offer.MAX_SECTIONS} media",
        f"in {multipart.MAX_PARTS} parts",
        f"a session of {size(bodies.MAX_SESSION_BYTES)}",
    ],
    "time for ICE and DTLS": [f"{call.SETUP_S:.0f} s"],
    "a caller's media before DTLS is through": [f"{early.MAX_EARLY_MEDIA} datagrams"],
    "a WebSocket client's silence": [
        f"{realtime.HEARTBEAT_S:.0f} s, then a ping, "
        f"and {realtime.HEARTBEAT_S / 2:.0f} s"
    ],
    "one event": [
        f"{size(LOCAL_MAX_MESSAGE_SIZE)} over WebRTC",  # what our answers announce
        f"over {size(intake.MAX_MEDIA_EVENT_BYTES)} ends the call",
        f"{size(intake.MAX_EVENT_BYTES)} over WebSocket",
        "1009",
    ],
    "depth of an event or a session": [f"{nesting.MAX_DEPTH} levels"],
    "brackets and commas in one event": [f"{limits.MAX_MARKS:,} |"],
    "rate of all events": [
        f"{size(limits.BYTES_PER_S)} a second, {size(limits.BURST_BYTES)} at once"
    ],
    "rate of those that are no audio": [
        f"{limits.EVENTS_PER_S} a second, {limits.EVENTS_BURST:,} at once"
    ],
    "events that are refused": [
        f"{limits.EVENTS_PER_S} a second, {limits.EVENTS_BURST:,} at once",
        "1008",
    ],
    "a binary message over WebSocket": ["1003"],
    "a caller's voice over WebRTC": [
        f"{voice.MAX_PACE} times as fast",
        f"{voice.MAX_BURST_SAMPLES // RATE_HZ} s at once",
    ],
    "silence filled in where a caller sent no audio": [
        f"{timeline.MAX_FILL_SAMPLES // RATE_HZ} s at a time"
    ],
    "silence made up while a caller sends nothing": [
        f"{timeline.ENOUGH_SAMPLES // RATE_HZ} s: each "
        f"{silence.TICKS_PER_ROUND * frames.FRAME_MS} ms, "
        f"after {timeline.NEEDED_SAMPLES // RATE_HZ} s "
        f"each {timeline.STEP_SAMPLES * 1000 // RATE_HZ} ms"
    ],
    "silence made up in whose place audio came late": [
        f"{timeline.MAX_OWED_SAMPLES // RATE_HZ} s"
    ],
    "rate of events from one client": [
        f"{size(limits.BYTES_PER_S)} and {limits.EVENTS_PER_S} without audio a second",
        f"{size(limits.BURST_BYTES)} and {limits.EVENTS_BURST:,} at once",
    ],
    "sessions of the built-in engine": [f"{engine.MAX_SESSIONS} |"],
    "one event to a WebRTC client": [f"at most {size(messages.MAX_MESSAGE_BYTES)}"],
    "events waiting for the data channel": [f"{call.MAX_WAITING_EVENTS} |"],
    "events a WebRTC client leaves unread": [size(peer.MAX_BUFFERED_BYTES)],
    "events that wait for a WebSocket client": [
        f"{door.MAX_QUEUED_MESSAGES:,} and {size(door.MAX_QUEUED_BYTES)}",
        "1013",
    ],
    "model audio waiting to be played": [
        f"{audio.MAX_QUEUED_FRAMES * frames.FRAME_SAMPLES // RATE_HZ // 60} minutes"
    ],
    "tunnels of one relay": [f"{door.MAX_TUNNELS:,} |", "503"],
    "a silent connection to a relay's port": [f"{door.IDLE_S:.0f} s"],
    "events that wait for the Realtime API": [
        f"{upstream.MAX_QUEUED_MESSAGES:,} and {size(upstream.MAX_QUEUED_BYTES)}"
    ],
    "one message of the Realtime API": [size(connection.MAX_MESSAGE_BYTES)],
    "sessions": [f"{engine.MAX_SESSIONS} |", "1013"],
    "audio not yet committed": [
        f"{listening.MAX_BUFFER_SAMPLES // RATE_HZ // 60} minutes"
    ],
    "items of a conversation": [
        f"{conversation.MAX_ITEMS:,}, and {size(conversation.MAX_CONTENT_BYTES)}"
    ],
    "audio kept for `conversation.item.retrieve`": [
        f"{size(conversation.MAX_AUDIO_BYTES)}: "
        f"{conversation.MAX_AUDIO_BYTES // frames.SAMPLE_BYTES // RATE_HZ} s"
    ],
    "responses beside the conversation": [f"{replies.MAX_SIDE_RESPONSES} |"],
    "a text field": [f"{schema.MAX_TEXT_CHARACTERS:,} characters"],
    "tools; parts of an item; items of a response's `input`": [
        f"{session_schema.MAX_TOOLS}; {engine_events.MAX_PARTS}; "
        f"{engine_events.MAX_INPUT_ITEMS} |"
    ],
}


LIMITS = rows(ROOT.joinpath("docs/limits.md").read_text())
README = rows(ROOT.joinpath("README.md").read_text().partition("## Limits")[2])


@pytest.mark.parametrize("what", FIGURES)
def test_a_limit_is_the_code_s(what: str) -> None:
    documents = [document for document in (LIMITS, README) if what in document]
    assert documents
    for document in documents:
        assert [
            figure for figure in FIGURES[what] if figure not in document[what]
        ] == []


def test_no_figure_goes_unchecked() -> None:
    status = re.compile(r"\b(4\d\d|503)\b")
    unheld = [row for what, row in LIMITS.items() if what not in FIGURES]
    assert [row for row in unheld if re.search(r"\d", status.sub("", row))] == []


def test_what_passes_the_edge_passes_the_tunnel() -> None:
    assert intake.MAX_EVENT_BYTES == channel.MAX_MESSAGE_BYTES
