"""A session core driven by hand: the client, the caller's voice, and the reply."""

import base64
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import orjson

from relay.engine.core import Core
from relay.engine.ids import Ids
from relay.engine.outbox import Abort, Listen, Respond
from relay.engine.ports import HOP_SAMPLES, Samples
from tests.support.event_rules import Rules, strict_parse

Event = dict[str, Any]

VOICED, QUIET = 0.95, 0.02
HOP_MS = 32
HOPS_TO_END = 16
"""500 ms of silence in hops of 32 ms: the default end of a turn."""


def tone(duration_ms: int) -> Samples:
    """Return audio that is not silence."""
    count = duration_ms * 24
    wave: Samples = (1000 * np.sin(np.arange(count) * 0.1)).astype(np.int16)
    return wave


class Talk:
    """Runs a core; every event is validated, `log` keeps them all."""

    def __init__(self, *, only_transcribes: bool = False, **session: Any) -> None:
        self.core = Core(
            Ids(Random(1)), "test-model", only_transcribes=only_transcribes
        )
        self.now = 100.0
        self.log: list[Event] = []
        self._rules = Rules()
        self.commands: list[Listen | Respond | Abort] = []
        self.drain()
        if session:
            self.update(**session)

    def drain(self) -> list[Event]:
        """Return the new events, validated."""
        new: list[Event] = []
        while (event := self.core.outbox.take_event()) is not None:
            sent = orjson.loads(orjson.dumps(event))
            strict_parse(sent)
            self._rules.see(sent)
            new.append(sent)
        self.log += new
        self.commands += self.core.outbox.take_commands()
        return new

    def send(self, kind: str, **fields: Any) -> list[Event]:
        """Send a client event; return what it caused."""
        return self.send_raw(orjson.dumps({"type": kind, **fields}))

    def send_raw(self, message: str | bytes) -> list[Event]:
        """Send a message as it is."""
        self.core.receive(message, self.now)
        return self.drain()

    def update(self, **session: Any) -> list[Event]:
        """Update the session."""
        kind = self.log[0]["session"]["type"]
        return self.send("session.update", session={"type": kind, **session})

    def append(self, pcm: Samples) -> list[Event]:
        """Append audio without voice activity."""
        audio = base64.b64encode(pcm.tobytes()).decode()
        return self.send("input_audio_buffer.append", audio=audio)

    def voice(self, *probabilities: float) -> list[Event]:
        """Append a hop of audio for each probability of speech, and tell it."""
        new: list[Event] = []
        for probability in probabilities:
            new += self.append(np.zeros(HOP_SAMPLES, np.int16))
            self.core.take_unvoiced()
            self.now += HOP_MS / 1000
            self.core.voice([probability], self.now)
            new += self.drain()
        return new

    def turn(self, text: str, hops: int = 20) -> list[Event]:
        """Speak a turn to its end, and hear it as `text`."""
        new = self.voice(*[VOICED] * hops, *[QUIET] * HOPS_TO_END)
        item_id = next(e["item_id"] for e in new if e["type"].endswith("committed"))
        return new + self.hear(item_id, text)

    def hear(self, item_id: str, text: str) -> list[Event]:
        """Hear all that there is of a turn."""
        transcripts = self.core.transcripts
        while (piece := transcripts.pull(item_id, stage_is_idle=True)) is not None:
            transcripts.heard(item_id, text, piece)
        return self.drain()

    def respond_command(self) -> Respond:
        """Return the newest order for a reply."""
        return [c for c in self.commands if isinstance(c, Respond)][-1]

    def say(self, text: str, duration_ms: int = 1000) -> list[Event]:
        """Give the newest reply a sentence."""
        command = self.respond_command()
        pcm = tone(duration_ms) if command.speaks else None
        self.core.replies.say(command.response_id, text, pcm, self.now)
        return self.drain()

    def complete(self) -> list[Event]:
        """End the newest reply."""
        self.core.replies.complete(self.respond_command().response_id, self.now)
        return self.drain()

    def answer(self, text: str, duration_ms: int = 1000) -> list[Event]:
        """Give the newest reply all it says."""
        return self.say(text, duration_ms) + self.complete()


def kinds(events: Sequence[Event]) -> list[str]:
    """Return the types of events, audio deltas in a row counting as one."""
    found: list[str] = []
    for event in events:
        if found[-1:] != [event["type"]] or not event["type"].endswith("audio.delta"):
            found.append(event["type"])
    return found


def only(events: Sequence[Event], kind: str) -> Event:
    """Return the one event of a type."""
    found = [event for event in events if event["type"] == kind]
    assert len(found) == 1, (kind, kinds(events))
    return found[0]


def error_of(events: Sequence[Event]) -> dict[str, Any]:
    """Return the body of the one event, an error."""
    assert kinds(events) == ["error"], kinds(events)
    body: dict[str, Any] = events[0]["error"]
    return body
