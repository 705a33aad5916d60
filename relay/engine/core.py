"""A Realtime session without I/O: client events and stage results in, events out.

Verbs: `receive` (a client message), `voice` (voice activity), `tick` (time); those of
`transcripts` (the text of turns); those of `replies` (an answer). After each, drain
`outbox`. Nothing here reads a clock or waits.

Timeline of a spoken turn under server VAD, as OpenAI sends it:

    input_audio_buffer.speech_started       item_id is known from here on
      response.done cancelled               if one was active: barge-in
      ...input_audio_transcription.delta    only words that two hypotheses agree on
    input_audio_buffer.speech_stopped
    input_audio_buffer.committed, conversation.item.added, conversation.item.done
    response.created
    ...input_audio_transcription.completed  once the text is final; the reply begins
    the response (response.py)
"""

from typing import Any

import numpy as np

from relay.engine import client_events, item_audio, items, mcp, session_config
from relay.engine.audio import Decoder, milliseconds
from relay.engine.conversation import Conversation
from relay.engine.errors import ClientError
from relay.engine.ids import Ids
from relay.engine.intake import Intake
from relay.engine.items import Item
from relay.engine.options import options_of
from relay.engine.outbox import Outbox
from relay.engine.ports import Samples
from relay.engine.replies import Replies
from relay.engine.schema import Json
from relay.engine.session_config import TurnRules
from relay.engine.transcripts import Transcripts
from relay.engine.turns import Edge
from relay.engine.utterance import Listening


class Core:
    """The state of one session."""

    def __init__(self, ids: Ids, model: str, *, only_transcribes: bool = False) -> None:
        self.outbox = Outbox(ids)
        self._emit = self.outbox.emit
        self._only_transcribes = only_transcribes
        new = (
            session_config.transcription if only_transcribes else session_config.default
        )
        self._session = new(ids.new("sess"), model)
        self._conversation = Conversation()
        self.replies = Replies(self.outbox, self._conversation, ids.new("conv"))
        self.transcripts = Transcripts(self.outbox, self._release)
        self.transcripts.are_shown = only_transcribes
        self._decoder = Decoder("audio/pcm")
        self._intake = Intake(ids.new)
        self._unvoiced: list[Samples] = []
        self._emit("session.created", session=self._session)

    def take_unvoiced(self) -> Samples:
        """Return the audio that voice activity detection has not seen."""
        taken = [np.zeros(0, np.int16), *self._unvoiced]
        self._unvoiced.clear()
        return np.concatenate(taken)

    # The client -------------------------------------------------------------------

    def receive(self, message: str | bytes, now: float) -> None:
        """Take one client message; what is wrong with it is answered, never raised."""
        event_id = None
        try:
            raw = client_events.decode(message)
            event_id = client_events.event_id_of(raw)
            self._obey(client_events.checked(raw), now)
        except ClientError as error:
            self._emit("error", error=error.body(event_id))

    def _obey(self, event: Json, now: float) -> None:
        match event["type"]:
            case "session.update":
                self._update_session(event["session"])
            case "input_audio_buffer.append":
                self._append(event["audio"])
            case "input_audio_buffer.commit":
                self._commit(self._intake.commit())
            case "input_audio_buffer.clear":
                self._drop_turn()
                self._emit("input_audio_buffer.cleared")
            case "response.create":
                self._create_response(event.get("response") or {})
            case "response.cancel":
                self.replies.cancel(event.get("response_id"), now)
            case "output_audio_buffer.clear":
                pass  # for WebRTC and SIP, whose playing is not ours
            case _:
                self._obey_item(event, now)

    def _obey_item(self, event: Json, now: float) -> None:
        match event["type"]:
            case "conversation.item.create":
                self._create_item(event["item"], event.get("previous_item_id"))
            case "conversation.item.retrieve":
                item = self._conversation.get(event["item_id"])
                found = item_audio.whole(item, self._session)
                self._emit("conversation.item.retrieved", item=found)
            case "conversation.item.delete":
                self._conversation.delete(event["item_id"])
                self._emit("conversation.item.deleted", item_id=event["item_id"])
            case _:  # conversation.item.truncate
                names = ("item_id", "content_index", "audio_end_ms")
                place = {name: event[name] for name in names}
                self._conversation.truncate(**place)
                self.replies.silenced(now)
                self._emit("conversation.item.truncated", **place)

    def _update_session(self, update: Any) -> None:
        merged = session_config.merged(self._session, update)
        is_new_voice = _voice(merged) != _voice(self._session)
        if self.replies.has_spoken and is_new_voice:
            raise ClientError(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                "session.audio.output.voice",
            )
        asked = mcp.new_servers(_tools(self._session), _tools(merged))
        self._session = merged
        self.transcripts.are_shown = (
            merged["audio"]["input"]["transcription"] is not None
        )
        if self._rules() is None and self._intake.turn is not None:
            self._drop_turn()
        self._emit("session.updated", session=merged)
        mcp.decline(asked, self._conversation, self.outbox)

    def _append(self, audio: str) -> None:
        format_type = self._session["audio"]["input"]["format"]["type"]
        if self._decoder.format_type != format_type:
            self._decoder = Decoder(format_type)
        pcm = self._decoder.decode(audio)
        self._intake.append(pcm)
        self._unvoiced.append(pcm)

    def _drop_turn(self) -> None:
        dropped = self._intake.clear()
        if dropped is not None:
            self.transcripts.drop(dropped)

    # Items ------------------------------------------------------------------------

    def _create_item(self, wire: Json, previous_item_id: str | None) -> None:
        item, turn = self._item(wire)
        self._add(item, previous_item_id)
        if turn is not None:
            self.transcripts.expect(turn, item)

    def _add(self, item: Item, previous_item_id: str | None = None) -> None:
        before = self._conversation.add(item, previous_item_id)
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._emit(kind, previous_item_id=before, item=item.wire())

    def _item(self, wire: Json) -> tuple[Item, Listening | None]:
        """Return an item of the client's, and a complete turn of the audio in it."""
        item, audio = items.from_client(wire, self.outbox.new_id)
        return item, item_audio.keep(item, audio, self._session)

    # Turns ------------------------------------------------------------------------

    def voice(self, probabilities: list[float], now: float) -> None:
        """Take the probability of speech of the hops that follow the last ones."""
        rules = self._rules()
        for probability in probabilities:
            edge = self._intake.step(probability, rules)
            turn = self._intake.turn
            if rules is None or turn is None:
                continue
            if edge is Edge.STARTED:
                self._speech_started(turn, rules, now)
            elif edge is Edge.ENDED:
                self._speech_stopped(turn, rules)

    def _speech_started(self, turn: Listening, rules: TurnRules, now: float) -> None:
        self.replies.stir()
        self._emit(
            "input_audio_buffer.speech_started",
            audio_start_ms=milliseconds(turn.start_samples),
            item_id=turn.item_id,
        )
        self.transcripts.listen(turn)
        if rules.interrupts_response:
            self.replies.interrupt(now)

    def _speech_stopped(self, turn: Listening, rules: TurnRules) -> None:
        self._emit(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=milliseconds(turn.end_samples),
            item_id=turn.item_id,
        )
        self._intake.finish()
        self._commit(turn, creates_response=rules.creates_response)

    def _commit(
        self, turn: Listening, *, creates_response: bool = False, is_idle: bool = False
    ) -> None:
        """Make an item of a turn; its text may still be on the way."""
        content = [{"type": "input_audio", "transcript": None}]
        item = items.message(turn.item_id, "user", content, "completed")
        self._emit(
            "input_audio_buffer.committed",
            previous_item_id=self._conversation.last_id,
            item_id=item.id,
        )
        self._add(item)
        self._conversation.record(item, turn.recording)
        self.transcripts.expect(turn, item)
        if creates_response:
            self._answer_turn(is_idle=is_idle)
        self.transcripts.settle(turn)

    def _answer_turn(self, *, is_idle: bool) -> None:
        try:
            self._create_response({}, is_idle=is_idle)
        except ClientError as error:  # one is still active: interrupt_response is off
            self._emit("error", error=error.body(None))

    # Responses --------------------------------------------------------------------

    def _create_response(self, overrides: Json, *, is_idle: bool = False) -> None:
        if self._only_transcribes:
            raise ClientError(
                "invalid_session_type",
                "A transcription session takes no response.create; open a realtime "
                "session for responses.",
                "type",
            )
        options = options_of(self._session, overrides, is_idle=is_idle)
        found = self._context(overrides.get("input"))
        context = None if found is None else tuple(item for item, _ in found)
        is_aside = overrides.get("conversation") == "none"
        self.replies.create(options, context, is_aside=is_aside)
        asked = mcp.new_servers(_tools(self._session), overrides.get("tools") or ())
        mcp.decline(asked, self._conversation, self.outbox)
        for item, turn in found or ():
            if turn is not None:
                self.transcripts.expect(turn, item)
        self._release()

    def _context(
        self, wires: list[Json] | None
    ) -> list[tuple[Item, Listening | None]] | None:
        """Return the items given with `response.create`, or None: the conversation."""
        if wires is None:
            return None
        return [
            (self._conversation.get(wire["id"]), None)
            if wire["type"] == "item_reference"
            else self._item(wire)
            for wire in wires
        ]

    def _release(self) -> None:
        """Start the replies that wait, once every committed turn has its text."""
        if self.transcripts.are_settled:
            self.replies.release()

    # Time -------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Return when `tick` is due."""
        rules, quiet_since = self._rules(), self.replies.quiet_since
        if rules is None or rules.idle_timeout_s is None or quiet_since is None:
            return None
        if self._intake.turn is not None:
            return None
        return quiet_since + rules.idle_timeout_s

    def tick(self, now: float) -> None:
        """Prompt a caller who has been silent for the idle timeout."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        silence_s = now - (self.replies.quiet_since or now)
        self.replies.stir()
        end_ms = milliseconds(self._intake.end_samples)
        turn = self._intake.commit_silence()
        self._emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=max(0, end_ms - round(silence_s * 1000)),
            audio_end_ms=end_ms,
            item_id=turn.item_id,
        )
        self._commit(turn, creates_response=True, is_idle=True)

    def _rules(self) -> TurnRules | None:
        return session_config.turn_rules(self._session)


def _voice(session: Json) -> Any:
    """Return the voice of a session, None when it does not speak."""
    return session["audio"].get("output", {}).get("voice")


def _tools(session: Json) -> list[Json]:
    found: list[Json] = session.get("tools", [])
    return found
