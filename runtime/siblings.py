"""The other workers of a service, asked by one of them.

A question is sent over a connection made for it: one end of a socket pair goes into the
sibling's mailbox as a file descriptor. Each side sends all that it has to say and shuts
its half. So nothing is listened on, and no stranger can ask.

    question    name, newline, body
    answer      bytes of the body, body; none at all: it was not taken
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from runtime.table import Phase
from runtime.worker import Worker

log = logging.getLogger(__name__)

MAX_ASKED: Final = 256
"""Questions that a worker answers at a time; beyond that it hangs up, and who has asked
does without."""

ASKING_S: Final = 3.0
"""Seconds that question and answer may take together."""

AVOIDED_S: Final = 10.0
"""Seconds that one that has not answered in time is given no new work."""

_SENT_AT: Final = struct.Struct("=d")
"""The message: seconds of the clock of all loops on one machine, CLOCK_MONOTONIC."""

_LENGTH: Final = struct.Struct("=Q")
"""Before an answer: of one who dies over it, what came is not taken for all of it."""

_BURST: Final = 16
"""Connections taken from the mailbox before the loop gets its turn."""

Answer = Callable[[bytes], Awaitable[bytes]]


class Siblings:
    """All workers of the service but this one; none where it is alone.

    Args:
        worker: This one's place.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._asked = 0
        self._avoided_until: dict[int, float] = {}

    @property
    def own_index(self) -> int | None:
        """Which worker this is; None: it is alone."""
        return None if self._worker.common is None else self._worker.index

    def running(self) -> list[int]:
        """Return those that take new work, and have lately answered if asked."""
        found = self._in({Phase.RUNNING})
        if not self._avoided_until:
            return found
        now = asyncio.get_running_loop().time()
        return [each for each in found if self._avoided_until.get(each, 0.0) <= now]

    def present(self) -> list[int]:
        """Return those that can be asked."""
        return self._in({Phase.RUNNING, Phase.DRAINING})

    def _in(self, phases: set[Phase]) -> list[int]:
        common = self._worker.common
        if common is None:
            return []
        return [
            index
            for index in range(common.table.workers)
            if index != self._worker.index and common.table.phase(index) in phases
        ]

    async def ask(self, index: int, name: str, body: bytes = b"") -> bytes | None:
        """Ask a sibling; None: it does not answer."""
        try:
            async with asyncio.timeout(ASKING_S):
                reader, writer = await asyncio.open_unix_connection(
                    sock=self._connection(index)
                )
                with contextlib.closing(writer):
                    writer.write(name.encode() + b"\n" + body)
                    writer.write_eof()
                    answer = _whole(await reader.read())
        except OSError as error:  # TimeoutError is one
            why = type(error).__name__
            log.warning("sibling does not answer", extra={"sibling": index, "why": why})
            if isinstance(error, TimeoutError):  # a full mailbox costs no time
                now = asyncio.get_running_loop().time()
                self._avoided_until[index] = now + AVOIDED_S
            return None
        return answer or None

    async def ask_all(self, name: str) -> dict[int, bytes]:
        """Ask all that can be asked at once; return the answers, by worker."""
        async with asyncio.TaskGroup() as tasks:
            asking = {
                index: tasks.create_task(self.ask(index, name))
                for index in self.present()
            }
        answers = {index: task.result() for index, task in asking.items()}
        return {index: answer for index, answer in answers.items() if answer}

    async def one_answers(self, name: str, wanted: bytes) -> bool:
        """Ask all that can be asked at once; return, once known, if one answers so."""
        async with asyncio.TaskGroup() as tasks:
            asking = [
                tasks.create_task(self.ask(index, name)) for index in self.present()
            ]
            for answer in asyncio.as_completed(asking):
                if await answer == wanted:
                    for task in asking:
                        task.cancel()
                    return True
        return False

    def _connection(self, index: int) -> socket.socket:
        """Return our end of a connection whose other end the sibling gets.

        Raises:
            OSError: Its mailbox is full.
        """
        assert self._worker.common is not None
        sent_at = _SENT_AT.pack(asyncio.get_running_loop().time())
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                outbox = self._worker.common.mailboxes[index].outbox
                socket.send_fds(outbox, [sent_at], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        return ours

    @contextlib.asynccontextmanager
    async def answering(self, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
        """Answer what siblings ask, for the length of a block.

        Args:
            answers: By the name of the question; one that raises is logged, and is
                none to who has asked.
        """
        common = self._worker.common
        if common is None:
            yield
            return
        loop = asyncio.get_running_loop()
        inbox = common.mailboxes[self._worker.index].inbox
        async with asyncio.TaskGroup() as tasks:

            def take() -> None:
                for _ in range(_BURST):
                    taken = _taken(inbox)
                    if taken is None:
                        return
                    connection, sent_at = taken
                    is_late = loop.time() - sent_at > ASKING_S
                    if is_late or self._asked >= MAX_ASKED:
                        connection.close()
                    else:
                        self._asked += 1
                        tasks.create_task(self._answer(connection, answers))

            loop.add_reader(inbox, take)
            try:
                yield
            finally:
                loop.remove_reader(inbox)

    async def _answer(
        self, connection: socket.socket, answers: Mapping[str, Answer]
    ) -> None:
        try:
            async with asyncio.timeout(ASKING_S):
                reader, writer = await asyncio.open_unix_connection(sock=connection)
                with contextlib.closing(writer):
                    name, _, body = (await reader.read()).partition(b"\n")
                    answer = await answers[name.decode()](body)
                    writer.write(_LENGTH.pack(len(answer)) + answer)
                    await writer.drain()
        except OSError as error:  # who asked is gone, or waits no longer
            log.warning("answer not sent", extra={"why": type(error).__name__})
        except Exception:  # a bug in one answer must not end this worker's calls
            log.exception("answer failed")
        finally:
            self._asked -= 1


def _whole(sent: bytes) -> bytes:
    """Return the answer that was sent; nothing if not all of it was."""
    length, answer = sent[: _LENGTH.size], sent[_LENGTH.size :]
    return answer if length == _LENGTH.pack(len(answer)) else b""


def _taken(inbox: socket.socket) -> tuple[socket.socket, float] | None:
    """Return the next connection in a mailbox, and when it was sent; None: no more."""
    try:
        sent_at, descriptors, _, _ = socket.recv_fds(inbox, _SENT_AT.size, 1)
    except (BlockingIOError, InterruptedError):
        return None
    if not descriptors:
        return None
    connection = socket.socket(fileno=descriptors[0])
    connection.setblocking(False)
    return connection, _SENT_AT.unpack(sent_at)[0]
