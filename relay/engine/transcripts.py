"""The turns whose text is on the way, and the events of their transcription.

A turn is heard from its first word on; its item exists once it is committed. The text
is always made, for the reply; the client is told if the session asks for transcription.
"""

from collections.abc import Callable

from relay.engine.errors import StageError
from relay.engine.items import Item
from relay.engine.outbox import Listen, Outbox
from relay.engine.utterance import Listening

_EVENT = "conversation.item.input_audio_transcription"


class Transcripts:
    """Turns being heard, by the id of their item."""

    def __init__(self, outbox: Outbox, on_settled: Callable[[], None]) -> None:
        self._outbox = outbox
        self._on_settled = on_settled
        self._turns: dict[str, Listening] = {}
        self._items: dict[str, Item] = {}
        self._errors: dict[str, StageError] = {}
        self.are_shown = False

    @property
    def are_settled(self) -> bool:
        """No committed turn waits for its text."""
        return not self._items

    def listen(self, turn: Listening) -> None:
        """Begin to hear a turn."""
        if turn.item_id not in self._turns:
            self._turns[turn.item_id] = turn
            self._outbox.order(Listen(turn.item_id))

    def expect(self, turn: Listening, item: Item) -> None:
        """Give a complete turn the item that its text is for."""
        self.listen(turn)
        self._items[item.id] = item

    def drop(self, turn: Listening) -> None:
        """Hear no more of a turn that will not be committed."""
        self._turns.pop(turn.item_id, None)
        self._errors.pop(turn.item_id, None)

    def is_wanted(self, item_id: str) -> bool:
        """Whether a turn is still to be heard."""
        return item_id in self._turns

    def pull(self, item_id: str, *, stage_is_idle: bool) -> bytes | None:
        """Return audio (s16le) of a turn to be heard now, or None."""
        turn = self._turns.get(item_id)
        return turn.pull(stage_is_idle=stage_is_idle) if turn is not None else None

    def heard(self, item_id: str, text: str, piece: bytes) -> None:
        """Take the text of all pulled so far of a turn; `piece` was pulled last."""
        turn = self._turns.get(item_id)
        if turn is None:
            return
        sure = turn.heard(text, piece)
        if sure and self.are_shown:
            self._delta(item_id, sure)
        self.settle(turn)

    def not_heard(self, item_id: str, error: StageError) -> None:
        """Speech to text failed for a turn: it counts as not understood."""
        turn = self._turns.get(item_id)
        if turn is None:
            return
        turn.fail()
        self._errors[item_id] = error
        self.settle(turn)

    def settle(self, turn: Listening) -> None:
        """Conclude a committed turn if its text is final."""
        if not turn.is_final or turn.item_id not in self._items:
            return
        del self._turns[turn.item_id]
        item = self._items.pop(turn.item_id)
        error = self._errors.pop(turn.item_id, None)
        if error is None:
            item.heard = turn.text
        if self.are_shown and error is None:
            self._show(turn, item)
        elif self.are_shown and error is not None:
            self._outbox.emit(
                f"{_EVENT}.failed", item_id=item.id, content_index=0, error=error.body()
            )
        self._on_settled()

    def _show(self, turn: Listening, item: Item) -> None:
        for part in item.body["content"]:
            if part["type"] == "input_audio":
                part["transcript"] = turn.text
        if rest := turn.rest():
            self._delta(item.id, rest)
        self._outbox.emit(
            f"{_EVENT}.completed",
            item_id=item.id,
            content_index=0,
            transcript=turn.text,
            usage={"type": "duration", "seconds": round(turn.duration_s, 3)},
            logprobs=None,  # not known here, asked for or not
        )

    def _delta(self, item_id: str, delta: str) -> None:
        self._outbox.emit(
            f"{_EVENT}.delta", item_id=item_id, content_index=0, delta=delta
        )
