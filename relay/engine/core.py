"""A Realtime session without I/O: client events and stage results in, events out.

Verbs: `receive` (a client message), `voice` (voice activity), `heard` (text of a turn),
`say` `hold` `call` `complete` `fail` (a reply as it comes), `tick` (time). After each,
drain `take_event` (for the client) and `take_commands` (for the shell). Nothing here
reads a clock or waits.

Timeline of a spoken turn under server VAD, as OpenAI sends it:

    input_audio_buffer.speech_started       item_id is known from here on
      response.done cancelled               if one was active: barge-in
      ...input_audio_transcription.delta    only words that two hypotheses agree on
    input_audio_buffer.speech_stopped
    input_audio_buffer.committed, conversation.item.added, conversation.item.done
    response.created
    ...input_audio_transcription.completed  once the text is final; the reply begins
    the response (response.py)

One response at a time writes to the conversation; up to `MAX_SIDE_RESPONSES` others
with `conversation: "none"` may run beside it. A response waits for the text of every
turn committed before it.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import client_events, items, session_config
from .audio import Decoder, milliseconds, samples_of
from .conversation import Conversation
from .errors import ClientError, StageError
from .ids import Ids
from .intake import Intake
from .items import Item
from .options import options_of
from .ports import SAMPLE_RATE_HZ, Request, Samples
from .response import Response
from .turns import Edge
from .usage import turn_tokens
from .utterance import Listening

Json = dict[str, Any]

MAX_SIDE_RESPONSES = 4
"""Responses outside the conversation at one time."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Start hearing a turn: pull its audio until it is final."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Respond:
    """Start a reply."""

    response_id: str
    request: Request
    speaks: bool
    speed: float


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop a reply; nothing it still yields is wanted."""

    response_id: str


Command = Listen | Respond | Abort


@dataclass(slots=True, eq=False)
class _Active:
    """A response under way and what it answers to."""

    response: Response
    context: tuple[Item, ...] | None
    """Items of its own, or None: the conversation."""
    is_waiting: bool = True


class Core:
    """The state of one session."""

    def __init__(self, ids: Ids, model: str) -> None:
        self._ids = ids
        self._events: deque[Json] = deque()
        self._commands: deque[Command] = deque()
        self._session = session_config.default(ids.new("sess"), model)
        self._conversation_id = ids.new("conv")
        self._conversation = Conversation()
        self._decoder = Decoder("audio/pcm")
        self._intake = Intake(ids.new)
        self._unvoiced: list[Samples] = []
        self._listening: dict[str, Listening] = {}
        self._unheard: dict[str, Item] = {}
        self._active: dict[str, _Active] = {}
        self._main_id: str | None = None
        self._has_spoken = False
        self._playing_until = 0.0
        self._idle_at: float | None = None
        self._emit("session.created", session=self._session)

    # Out ------------------------------------------------------------------------------

    def take_event(self) -> Json | None:
        """Return the next server event to send, or None."""
        return self._events.popleft() if self._events else None

    def take_commands(self) -> list[Command]:
        """Return the work to start or stop, in order."""
        taken = list(self._commands)
        self._commands.clear()
        return taken

    def take_unvoiced(self) -> Samples:
        """Return the audio that voice activity detection has not seen."""
        taken = [np.zeros(0, np.int16), *self._unvoiced]
        self._unvoiced.clear()
        return np.concatenate(taken)

    def next_deadline(self) -> float | None:
        """Return when `tick` is due."""
        return self._idle_at

    def _emit(self, kind: str, /, **fields: Any) -> None:
        self._events.append(
            {"type": kind, "event_id": self._ids.new("event"), **fields}
        )

    # The client -----------------------------------------------------------------------

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
                turn = self._intake.commit()
                self._commit(turn, is_new=turn.item_id not in self._listening)
            case "input_audio_buffer.clear":
                self._drop_turn()
                self._emit("input_audio_buffer.cleared")
            case "response.create":
                self._create_response(event.get("response") or {})
            case "response.cancel":
                self._cancel(event.get("response_id"), now)
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
                self._emit("conversation.item.retrieved", item=item.wire())
            case "conversation.item.delete":
                self._conversation.delete(event["item_id"])
                self._emit("conversation.item.deleted", item_id=event["item_id"])
            case _:  # conversation.item.truncate
                place = {
                    key: event[key]
                    for key in ("item_id", "content_index", "audio_end_ms")
                }
                self._conversation.truncate(**place)
                self._playing_until = min(self._playing_until, now)
                self._emit("conversation.item.truncated", **place)

    def _update_session(self, update: Any) -> None:
        merged = session_config.merged(self._session, update)
        voice = merged["audio"]["output"]["voice"]
        if self._has_spoken and voice != self._session["audio"]["output"]["voice"]:
            raise ClientError(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                "session.audio.output.voice",
            )
        self._session = merged
        if session_config.turn_rules(merged) is None:
            if self._intake.turn is not None:
                self._drop_turn()
            self._idle_at = None
        self._emit("session.updated", session=merged)

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
            dropped.fail()
            self._listening.pop(dropped.item_id, None)

    def _create_item(self, wire: Json, previous_item_id: str | None) -> None:
        item, audio = items.from_client(wire, self._ids.new)
        turn = self._listening_to(item, audio)
        before = self._conversation.add(item, previous_item_id)
        self._emit("conversation.item.added", previous_item_id=before, item=item.wire())
        self._emit("conversation.item.done", previous_item_id=before, item=item.wire())
        if turn is not None:
            self._await_text(turn, item)

    def _listening_to(self, item: Item, audio: list[str]) -> Listening | None:
        """Return a finished turn of the audio inside an item, if it has any."""
        if not audio:
            return None
        decoder = Decoder(self._session["audio"]["input"]["format"]["type"])
        turn = Listening(item.id, 0)
        for piece in audio:
            pcm = decoder.decode(piece, "item.content.audio").tobytes()
            turn.extend(pcm, turn.end_samples + len(pcm))
        turn.end()
        return turn

    def _await_text(self, turn: Listening, item: Item) -> None:
        self._unheard[item.id] = item
        self._listening[item.id] = turn
        self._commands.append(Listen(item.id))

    # Turns ----------------------------------------------------------------------------

    def voice(self, probabilities: list[float], now: float) -> None:
        """Take the probability of speech of the hops that follow the last ones."""
        for probability in probabilities:
            rules = session_config.turn_rules(self._session)
            edge = self._intake.step(probability, rules)
            turn = self._intake.turn
            if rules is None or turn is None:
                continue
            if edge is Edge.STARTED:
                self._speech_started(turn, now, interrupts=rules.interrupts_response)
            elif edge is Edge.ENDED:
                self._speech_stopped(turn, creates=rules.creates_response)

    def _speech_started(self, turn: Listening, now: float, *, interrupts: bool) -> None:
        self._idle_at = None
        self._emit(
            "input_audio_buffer.speech_started",
            audio_start_ms=milliseconds(turn.start_samples),
            item_id=turn.item_id,
        )
        self._listening[turn.item_id] = turn
        self._commands.append(Listen(turn.item_id))
        if interrupts and self._main_id is not None:
            self._stop(self._main_id, "turn_detected", now)

    def _speech_stopped(self, turn: Listening, *, creates: bool) -> None:
        self._emit(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=milliseconds(turn.end_samples),
            item_id=turn.item_id,
        )
        self._intake.finish()
        self._commit(turn, is_new=False, creates=creates)

    def _commit(
        self,
        turn: Listening,
        *,
        is_new: bool,
        creates: bool = False,
        idle: bool = False,
    ) -> None:
        """Make an item of a turn; its text may still be on the way."""
        content = [{"type": "input_audio", "transcript": None}]
        item = items.message(turn.item_id, "user", content, "completed")
        self._emit(
            "input_audio_buffer.committed",
            previous_item_id=self._conversation.last_id,
            item_id=item.id,
        )
        before = self._conversation.add(item)
        self._emit("conversation.item.added", previous_item_id=before, item=item.wire())
        self._emit("conversation.item.done", previous_item_id=before, item=item.wire())
        self._unheard[item.id] = item
        self._listening[item.id] = turn
        if is_new:
            self._commands.append(Listen(item.id))
        if creates:
            self._answer_turn(idle=idle)
        if turn.is_final:
            self._settle(turn)

    def _answer_turn(self, *, idle: bool) -> None:
        try:
            self._create_response({}, idle=idle)
        except (
            ClientError
        ) as error:  # interrupt_response is off, and one is still active
            self._emit("error", error=error.body(None))

    def pull(self, item_id: str, *, stage_is_idle: bool) -> bytes | None:
        """Return audio (s16le) of a turn to be heard now, or None."""
        turn = self._listening.get(item_id)
        return turn.pull(stage_is_idle=stage_is_idle) if turn is not None else None

    def is_listening(self, item_id: str) -> bool:
        """Whether the text of a turn is still wanted."""
        return item_id in self._listening

    def heard(self, item_id: str, text: str, piece: bytes) -> None:
        """Take the text of all pulled so far of a turn; `piece` was pulled last."""
        turn = self._listening.get(item_id)
        if turn is None:
            return
        sure = turn.heard(text, piece)
        if sure and self._transcribes():
            self._transcript_delta(item_id, sure)
        if turn.is_final and item_id in self._unheard:
            self._settle(turn)

    def not_heard(self, item_id: str, error: StageError) -> None:
        """Speech to text failed for a turn: it counts as not understood."""
        turn = self._listening.get(item_id)
        if turn is None:
            return
        turn.fail()
        if item_id in self._unheard:
            del self._listening[item_id], self._unheard[item_id]
            if self._transcribes():
                kind = "conversation.item.input_audio_transcription.failed"
                self._emit(kind, item_id=item_id, content_index=0, error=error.body())
            self._release()

    def _settle(self, turn: Listening) -> None:
        """The text of a committed turn is final."""
        item = self._unheard.pop(turn.item_id)
        del self._listening[turn.item_id]
        item.heard = turn.text
        if self._transcribes():
            for part in item.body["content"]:
                if part["type"] == "input_audio":
                    part["transcript"] = turn.text
            if rest := turn.rest():
                self._transcript_delta(turn.item_id, rest)
            self._emit(
                "conversation.item.input_audio_transcription.completed",
                item_id=turn.item_id,
                content_index=0,
                transcript=turn.text,
                usage={"type": "duration", "seconds": round(turn.duration_s, 3)},
            )
        self._release()

    def _transcribes(self) -> bool:
        return self._session["audio"]["input"]["transcription"] is not None

    def _transcript_delta(self, item_id: str, delta: str) -> None:
        kind = "conversation.item.input_audio_transcription.delta"
        self._emit(kind, item_id=item_id, content_index=0, delta=delta)

    # Responses ------------------------------------------------------------------------

    def _create_response(self, overrides: Json, *, idle: bool = False) -> None:
        options = options_of(self._session, overrides, is_idle=idle)
        is_aside = overrides.get("conversation") == "none"
        self._check_free(is_aside=is_aside)
        context = self._context(overrides.get("input"))
        response = Response(
            options,
            None if is_aside else self._conversation,
            self._conversation_id,
            self._emit,
            self._ids.new,
        )
        self._active[response.id] = _Active(response, context)
        if not is_aside:
            self._main_id = response.id
            self._idle_at = None
        self._release()

    def _check_free(self, *, is_aside: bool) -> None:
        aside_count = len(self._active) - (self._main_id is not None)
        if is_aside and aside_count >= MAX_SIDE_RESPONSES:
            raise ClientError(
                "rate_limit_exceeded",
                f"Only {MAX_SIDE_RESPONSES} responses may run beside the conversation.",
            )
        if not is_aside and self._main_id is not None:
            raise ClientError(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{self._main_id}. Wait until the response is finished before creating "
                "a new one.",
            )

    def _context(self, wires: list[Json] | None) -> tuple[Item, ...] | None:
        if wires is None:
            return None
        found: list[tuple[Item, Listening | None]] = []
        for wire in wires:
            if wire["type"] == "item_reference":
                found.append((self._conversation.get(wire["id"]), None))
            else:
                item, audio = items.from_client(wire, self._ids.new)
                found.append((item, self._listening_to(item, audio)))
        for item, turn in found:
            if turn is not None:
                self._await_text(turn, item)
        return tuple(item for item, _ in found)

    def _release(self) -> None:
        """Start the replies that no longer wait for the text of a turn."""
        if self._unheard:
            return
        for active in self._active.values():
            if active.is_waiting:
                active.is_waiting = False
                self._commands.append(self._respond(active))

    def _respond(self, active: _Active) -> Respond:
        response, options = active.response, active.response.options
        turns = (
            self._conversation.turns()
            if active.context is None
            else tuple(items.turn_of(item) for item in active.context)
        )
        response.input_tokens = turn_tokens(turns)
        limit = options.max_output_tokens
        request = Request(
            turns=turns,
            instructions=options.instructions,
            tools=options.tools,
            tool_choice=options.tool_choice,
            max_output_tokens=limit if isinstance(limit, int) else None,
            directed=options.is_directed,
            idle=options.is_idle,
        )
        return Respond(response.id, request, options.speaks, options.speed)

    def say(self, response_id: str, text: str, pcm: Samples | None, now: float) -> None:
        """Take text of a reply, and its audio when the response speaks."""
        active = self._active.get(response_id)
        if active is None:
            return
        active.response.say(text, pcm)
        self._played(response_id, 0 if pcm is None else len(pcm), now)
        if active.response.is_full:
            active.response.cut()
            self._forget(response_id, now)
            self._commands.append(Abort(response_id))

    def hold(self, response_id: str, duration_ms: int, now: float) -> None:
        """Take a pause of a reply."""
        active = self._active.get(response_id)
        if active is not None:
            silence = np.zeros(samples_of(duration_ms), np.int16)
            active.response.hold(silence)
            self._played(response_id, len(silence), now)

    def call(self, response_id: str, name: str, arguments: str) -> None:
        """Take a function call of a reply."""
        active = self._active.get(response_id)
        if active is not None:
            active.response.call(name, arguments)

    def is_responding(self, response_id: str) -> bool:
        """Whether more of a reply is wanted."""
        return response_id in self._active

    def complete(self, response_id: str, now: float) -> None:
        """The reply is over."""
        active = self._active.get(response_id)
        if active is not None:
            active.response.complete()
            self._forget(response_id, now)

    def fail(self, response_id: str, error: StageError, now: float) -> None:
        """The reply failed."""
        active = self._active.get(response_id)
        if active is not None:
            active.response.fail(error.body())
            self._forget(response_id, now)

    def _played(self, response_id: str, samples: int, now: float) -> None:
        self._has_spoken = self._has_spoken or samples > 0
        if response_id == self._main_id:
            begins = max(self._playing_until, now)
            self._playing_until = begins + samples / SAMPLE_RATE_HZ

    def _cancel(self, response_id: str | None, now: float) -> None:
        wanted = response_id or self._main_id
        if wanted not in self._active:
            raise ClientError(
                "response_cancel_not_active",
                "Cancellation failed: no active response found",
            )
        self._stop(wanted, "client_cancelled", now)

    def _stop(self, response_id: str, reason: str, now: float) -> None:
        self._active[response_id].response.cancel(reason)
        self._commands.append(Abort(response_id))
        self._forget(response_id, now)

    def _forget(self, response_id: str, now: float) -> None:
        del self._active[response_id]
        if response_id == self._main_id:
            self._main_id = None
            self._arm_idle(now)

    # Time -----------------------------------------------------------------------------

    def _arm_idle(self, now: float) -> None:
        rules = session_config.turn_rules(self._session)
        if (
            rules is None
            or rules.idle_timeout_s is None
            or self._intake.turn is not None
        ):
            self._idle_at = None
        else:
            self._idle_at = max(now, self._playing_until) + rules.idle_timeout_s

    def tick(self, now: float) -> None:
        """Do what is due: prompt a caller who has been silent for the idle timeout."""
        rules = session_config.turn_rules(self._session)
        if self._idle_at is None or now < self._idle_at:
            return
        self._idle_at = None
        if rules is None or rules.idle_timeout_s is None:
            return
        end_ms = milliseconds(self._intake.end_samples)
        turn = self._intake.commit_silence()
        self._emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=max(0, end_ms - round(rules.idle_timeout_s * 1000)),
            audio_end_ms=end_ms,
            item_id=turn.item_id,
        )
        self._commit(turn, is_new=False, creates=True, idle=True)
