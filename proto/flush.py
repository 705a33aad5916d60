"""Emptying the caller's playout, past all queues (PROTOCOL.md 8).

FLUSH does not go among the reliable messages: a barge-in must not wait behind a long
event. It is numbered, sent until it is answered, and acted upon once for each number.
"""

import math
from typing import Final

from proto.events import FlushDone, FlushRequested
from proto.messages import Flush, Flushed
from proto.port import Port

RETRY_S: Final = 0.03
"""First pause before a FLUSH is sent again; doubled up to the timeout of messages."""


class Asking:
    """The listener's part. A flush takes the place of one not answered yet."""

    def __init__(self, session: int, port: Port) -> None:
        self._session = session
        self._port = port
        self._number = 0
        self._waiting: Flush | None = None
        self._pause_s = RETRY_S
        self.deadline = math.inf

    def ask(self, talkspurt: int, now: float) -> None:
        """Have audio of talkspurts up to this one dropped."""
        self._number += 1
        self._waiting = Flush(self._session, self._number, talkspurt)
        self._pause_s = RETRY_S
        self._send(self._waiting, now)

    def receive(self, answer: Flushed) -> None:
        """Tell the owner what was heard, once."""
        if self._waiting is not None and self._waiting.number == answer.number:
            self.stop()
            self._port.emit(
                FlushDone(self._session, answer.talkspurt, answer.heard_samples)
            )

    def handle_timeout(self, now: float) -> None:
        """Ask again if it is time."""
        if self._waiting is not None and now >= self.deadline:
            self._pause_s = min(2 * self._pause_s, max(RETRY_S, self._port.rtt.rto_s))
            self._send(self._waiting, now)

    def stop(self) -> None:
        """Ask no more."""
        self._waiting = None
        self.deadline = math.inf

    def _send(self, message: Flush, now: float) -> None:
        self.deadline = now + self._pause_s
        self._port.send(message)


class Answering:
    """The dialer's part."""

    def __init__(self, session: int, port: Port) -> None:
        self._session = session
        self._port = port
        self._number = 0
        self._answer: Flushed | None = None

    def receive(self, message: Flush) -> None:
        """Ask the owner once for each number; repeat the answer if asked again."""
        if message.number > self._number:
            self._number = message.number
            self._port.emit(FlushRequested(self._session, message.talkspurt))
        elif self._answer is not None and self._answer.number == message.number:
            self._port.send(self._answer)

    def answer(self, talkspurt: int, heard_samples: int) -> None:
        """Say what was heard when the newest flush was done."""
        if self._number:
            self._answer = Flushed(
                self._session, self._number, talkspurt, heard_samples
            )
            self._port.send(self._answer)
