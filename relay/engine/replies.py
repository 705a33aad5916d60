"""The responses under way: who may start, who waits, what the reply adds, how they end.

One response at a time writes to the conversation; up to `MAX_SIDE_RESPONSES` others
with `conversation: "none"` may run beside it. A response waits for the text of every
turn committed before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relay.engine import items
from relay.engine.audio import samples_of
from relay.engine.conversation import Conversation
from relay.engine.errors import ClientError, StageError
from relay.engine.items import Item
from relay.engine.outbox import Abort, Outbox, Respond
from relay.engine.ports import SAMPLE_RATE_HZ, Request, Samples
from relay.engine.response import Options, Response
from relay.engine.usage import turn_tokens

MAX_SIDE_RESPONSES = 4
"""Responses outside the conversation at one time."""


@dataclass(slots=True, eq=False)
class _Active:
    """A response under way."""

    response: Response
    context: tuple[Item, ...] | None
    """The items it answers to, or None: the conversation."""
    is_waiting: bool = True


class Replies:
    """Responses from their creation to their end."""

    def __init__(
        self, outbox: Outbox, conversation: Conversation, conversation_id: str
    ) -> None:
        self._outbox = outbox
        self._conversation = conversation
        self._conversation_id = conversation_id
        self._active: dict[str, _Active] = {}
        self._playing_until = 0.0
        self.main_id: str | None = None
        self._talked_over_id: str | None = None
        """What the caller's speech has stopped, until the next response."""
        self.has_spoken = False
        self._ended_at: float | None = None

    @property
    def quiet_since(self) -> float | None:
        """When the last answer has been played, if nothing happened since its end."""
        if self._ended_at is None:
            return None
        return max(self._ended_at, self._playing_until)

    def stir(self) -> None:
        """Note that it is quiet no longer: the caller speaks, or is prompted."""
        self._ended_at = None

    def create(
        self, options: Options, context: tuple[Item, ...] | None, *, is_aside: bool
    ) -> None:
        """Begin a response; `release` starts its reply.

        Raises:
            ClientError: Too many are active.
        """
        self._check_room(is_aside=is_aside)
        response = Response(
            options,
            None if is_aside else self._conversation,
            self._conversation_id,
            self._outbox.emit,
            self._outbox.new_id,
        )
        self._active[response.id] = _Active(response, context)
        if not is_aside:
            self.main_id = response.id
            self._talked_over_id = None
            self._ended_at = None

    def _check_room(self, *, is_aside: bool) -> None:
        aside_count = len(self._active) - (self.main_id is not None)
        if is_aside and aside_count >= MAX_SIDE_RESPONSES:
            raise ClientError(
                "rate_limit_exceeded",
                f"Only {MAX_SIDE_RESPONSES} responses may run beside the conversation.",
            )
        if not is_aside and self.main_id is not None:
            raise ClientError(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{self.main_id}. Wait until the response is finished before creating "
                "a new one.",
            )

    def release(self) -> None:
        """Start the replies that waited for the text of turns."""
        for active in self._active.values():
            if active.is_waiting:
                active.is_waiting = False
                self._outbox.order(self._respond(active))

    def _respond(self, active: _Active) -> Respond:
        response, options = active.response, active.response.options
        turns = (
            self._conversation.turns()
            if active.context is None
            else items.turns_of(active.context)
        )
        response.input_tokens = turn_tokens(turns)
        limit = options.max_output_tokens
        request = Request(
            turns=turns,
            instructions=options.instructions,
            tools=options.tools,
            tool_choice=options.tool_choice,
            max_output_tokens=limit if isinstance(limit, int) else None,
            is_directed=options.is_directed,
            is_idle=options.is_idle,
        )
        return Respond(response.id, request, options.speaks, options.speed)

    def is_active(self, response_id: str) -> bool:
        """Whether more of a reply is wanted."""
        return response_id in self._active

    def say(self, response_id: str, text: str, pcm: Samples | None, now: float) -> None:
        """Take text of a reply, and its audio when the response speaks."""
        active = self._active.get(response_id)
        if active is None:
            return
        active.response.say(text, pcm)
        self._played(response_id, 0 if pcm is None else len(pcm), now)
        if active.response.is_full:
            self._end(response_id, active.response.cut, now)
            self._outbox.order(Abort(response_id))

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

    def complete(self, response_id: str, now: float) -> None:
        """The reply is over."""
        active = self._active.get(response_id)
        if active is not None:
            self._end(response_id, active.response.complete, now)

    def fail(self, response_id: str, error: StageError, now: float) -> None:
        """The reply failed."""
        active = self._active.get(response_id)
        if active is not None:
            response = active.response
            self._end(response_id, lambda: response.fail(error.body()), now)

    def cancel(self, response_id: str | None, now: float) -> None:
        """Stop a response as the client asks; by default that of the conversation.

        A client may ask for it when it hears that the caller speaks, as livekit's does.
        If that has stopped the response by then, the wish is fulfilled, and no error.

        Raises:
            ClientError: It is not active.
        """
        wanted = response_id or self.main_id or self._talked_over_id
        if wanted is not None and wanted == self._talked_over_id:
            return
        if wanted not in self._active:
            raise ClientError(
                "response_cancel_not_active",
                "Cancellation failed: no active response found",
            )
        self._stop(wanted, "client_cancelled", now)

    def interrupt(self, now: float) -> None:
        """Stop the response of the conversation because the caller speaks."""
        if self.main_id is not None:
            self._talked_over_id = self.main_id
            self._stop(self.main_id, "turn_detected", now)

    def silenced(self, now: float) -> None:
        """What was still to be played will not be."""
        self._playing_until = min(self._playing_until, now)

    def _stop(self, response_id: str, reason: str, now: float) -> None:
        response = self._active[response_id].response
        self._end(response_id, lambda: response.cancel(reason), now)
        self._outbox.order(Abort(response_id))

    def _end(self, response_id: str, finish: Callable[[], None], now: float) -> None:
        del self._active[response_id]
        finish()
        if response_id == self.main_id:
            self.main_id = None
            self._ended_at = now

    def _played(self, response_id: str, samples: int, now: float) -> None:
        self.has_spoken = self.has_spoken or samples > 0
        if response_id == self.main_id:
            begins = max(self._playing_until, now)
            self._playing_until = begins + samples / SAMPLE_RATE_HZ
