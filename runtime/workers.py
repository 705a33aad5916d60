"""The supervisor: forks the workers of a service, replaces them, passes on orders.

Plain synchronous code in the process that was started, with no loop and no thread, so
that forking is safe at any time. Orders go to workers over a line of their own and not
as signals: a signal that reaches the whole process group reaches a worker too, and must
not count twice.

    SIGTERM, or a worker's wish   all drain       again: all end now
    SIGINT                        all end now
    the supervisor is killed      all end now: their lines end
A worker that is sent SIGTERM by itself drains, ends and is replaced. One that hangs is
killed, and then replaced as one that has died by itself.
"""

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from typing import Final

from runtime.crew import Crew, Verdict
from runtime.listening import bound
from runtime.pulse import Pulse
from runtime.table import Phase, Table
from runtime.worker import DRAIN, STOP, Common, Mailbox, Share, Worker

log = logging.getLogger(__name__)

_HEARD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


def forked(share: Share) -> Worker | int:
    """Supervise the workers of a service until all have ended.

    Returns twice, as fork(2) does: in each worker its place, at once; in the process
    that was started the exit code, at the end: 0 when all ended well after they had
    been told to, 1 when not, or when one could not start.

    Raises:
        OSError: A door cannot be bound; names it.
    """
    common = Common(
        Table(share.workers, share.names),
        {address: bound(address) for address in share.doors},
        tuple(mailbox() for _ in range(share.workers)),
    )
    return _Supervisor(common).run()


class _Supervisor:
    """The process that was started."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._crew = Crew(common.table.workers)
        self._pulse = Pulse(common.table.workers)
        self._lines: dict[int, socket.socket] = {}
        self._signalled, wakeup = socket.socketpair()
        self._wakeup = wakeup
        self._is_draining = False
        self._terms = 0

    def run(self) -> Worker | int:
        """Supervise; return in each worker, and at the end."""
        self._listen_to_signals()
        log.info("workers start", extra={"workers": self._common.table.workers})
        gc.freeze()  # so that a worker's collections do not copy what is shared
        while not self._crew.is_over:
            for index in self._crew.due(_now()):
                worker = self._start(index)
                if worker is not None:
                    return worker
            self._wait()
        log.info("workers have ended")
        return 1 if self._crew.has_failed else 0

    def _listen_to_signals(self) -> None:
        for end in (self._signalled, self._wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in _HEARD:
            signal.signal(number, _is_heard)

    def _start(self, index: int) -> Worker | None:
        """Fork a worker, and return its place in it; None in the supervisor."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:  # no file to be had: the others go on
            self._put_off(index, error)
            return None
        with _signals_held():
            try:
                pid = os.fork()
            except OSError as error:  # nor room for a process
                ours.close()
                theirs.close()
                self._put_off(index, error)
                return None
            if pid == 0:
                ours.close()
                self._leave_to_worker()
                return Worker(index, self._common, theirs)
        theirs.close()
        ours.setblocking(False)
        self._lines[index] = ours
        self._crew.started(index, pid, _now())
        self._pulse.started(index)
        log.info("worker started", extra={"worker": index, "pid": pid})
        return None

    def _put_off(self, index: int, error: OSError) -> None:
        self._crew.postpone(index, _now())
        fields = {"worker": index, "why": error.strerror}
        log.error("worker cannot be forked yet", extra=fields)

    def _leave_to_worker(self) -> None:
        """Undo in a worker what is the supervisor's: its lines, and its signals."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # until it listens to them itself
        for each in (*self._lines.values(), self._signalled, self._wakeup):
            each.close()

    def _wait(self) -> None:
        """Wait until something has happened, or it is time for it, and see to it."""
        heard = [self._signalled, *self._lines.values()]
        now = _now()
        wait_s = min(self._crew.wait_s(now), self._pulse.wait_s(now))
        readable, _, _ = select.select(heard, [], [], wait_s)
        for index, line in [*self._lines.items()]:
            if line in readable:
                self._hear(index, line)
        if self._signalled in readable:
            for number in self._signalled.recv(4096):
                self._obey(signal.Signals(number))
        self._bury()
        self._feel(_now())

    def _feel(self, now: float) -> None:
        """End who hangs; what follows is as after any death."""
        table = self._common.table
        beats = [table.beats(index) for index in range(table.workers)]
        are_ending = self._crew.is_ending
        for index in self._pulse.look(beats, now, are_ending=are_ending):
            pid = self._crew.process_of(index)
            if pid is not None:
                log.error("worker hangs, is ended", extra={"worker": index, "pid": pid})
                os.kill(pid, signal.SIGKILL)

    def _hear(self, index: int, line: socket.socket) -> None:
        try:
            wish = line.recv(64)
        except ConnectionError:
            wish = b""
        if not wish:  # it has died; its exit code comes with SIGCHLD
            self._hang_up(index)
        elif DRAIN in wish:
            self._drain()

    def _hang_up(self, index: int) -> None:
        line = self._lines.pop(index, None)
        if line is not None:
            line.close()

    def _obey(self, number: signal.Signals) -> None:
        if number is signal.SIGTERM:
            self._terms += 1
        if number is signal.SIGINT or self._terms > 1:
            self._crew.end()
            self._order(STOP)
        elif number is signal.SIGTERM:
            self._drain()

    def _drain(self) -> None:
        if not self._is_draining:
            self._is_draining = True
            self._crew.end()
            self._order(DRAIN)

    def _order(self, order: bytes) -> None:
        for line in self._lines.values():
            with contextlib.suppress(OSError):  # it is just ending
                line.send(order)

    def _bury(self) -> None:
        """See to every process that has ended; as process 1, to strangers too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        index = self._crew.worker_of(pid)
        if index is None:
            return
        self._hang_up(index)
        table = self._common.table
        was_up = table.phase(index) is not Phase.AWAY
        table.replace(index)
        verdict = self._crew.ended(pid, code, _now(), was_up=was_up)
        fields = {"worker": index, "pid": pid, "code": code}
        if verdict is Verdict.REPLACE:
            log.warning("worker ended, is replaced", extra=fields)
        elif verdict is Verdict.GIVE_UP:
            log.error("worker cannot start", extra=fields)
            self._order(STOP)
        elif code:
            log.error("worker did not end well", extra=fields)


def _now() -> float:
    return time.monotonic()  # noqa: TID251  # the shell's clock: there is no loop


def _is_heard(_: int, __: object) -> None:
    """Let the signal reach the wake-up socket, and do nothing else."""


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Have signals wait: one for the supervisor must not find the worker instead."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)


def mailbox() -> Mailbox:
    """Make the mailbox of a worker."""
    inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in (inbox, outbox):
        end.setblocking(False)
    return Mailbox(inbox, outbox)
