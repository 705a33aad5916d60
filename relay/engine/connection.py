"""One client's WebSocket: feeds the core, runs its commands, sends its events.

Owns every task of a session. The reader takes one message at a time and waits for
voice activity detection before the next, so a client that sends faster than it can be
heard is slowed by TCP; there is no queue. Each turn being heard and each reply is one
task.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from aiohttp import WSMsgType, web

from relay.engine.core import Core
from relay.engine.ear import Ear
from relay.engine.errors import StageError
from relay.engine.outbox import Abort, Command, Listen, Respond
from relay.engine.ports import (
    Call,
    Pause,
    Reply,
    Samples,
    Say,
    SpeechToText,
    TextToSpeech,
    VoiceActivity,
)
from relay.engine.sentences import Sentences, speakable
from relay.engine.stages import Stages


@dataclass(frozen=True, slots=True)
class Parts:
    """What a session works with; all but the voice activity shared by all sessions."""

    stages: Stages
    new_voice_activity: Callable[[], VoiceActivity]
    hearing: SpeechToText
    speaking: TextToSpeech
    reply: Reply


class Connection:
    """A session from its upgrade to its close."""

    def __init__(self, socket: web.WebSocketResponse, core: Core, parts: Parts) -> None:
        self._socket = socket
        self._core = core
        self._transcripts = core.transcripts
        self._replies = core.replies
        self._parts = parts
        self._voice = parts.new_voice_activity()
        self._tasks = asyncio.TaskGroup()
        self._children: set[asyncio.Task[None]] = set()
        self._answering: dict[str, asyncio.Task[None]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve until the client has gone."""
        async with self._tasks:
            try:
                await self._read()
            finally:
                for child in self._children:
                    child.cancel()
                if self._timer is not None:
                    self._timer.cancel()

    async def _read(self) -> None:
        await self._drain()
        async for message in self._socket:
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                continue
            self._core.receive(message.data, self._loop.time())
            await self._drain()
            unvoiced = self._core.take_unvoiced()
            if len(unvoiced):
                voiced = await self._parts.stages.voice.run(self._voice.feed, unvoiced)
                self._core.voice(voiced, self._loop.time())
                await self._drain()

    async def _drain(self) -> None:
        """Do what the core asks, then send what it says.

        Events are taken one by one: several tasks may be here, and each event is on
        the wire before the next is taken.
        """
        for command in self._core.outbox.take_commands():
            self._do(command)
        for wake in self._wakes.values():
            wake.set()
        self._arm_timer()
        while (event := self._core.outbox.take_event()) is not None:
            try:
                await self._socket.send_str(orjson.dumps(event).decode())
            except ConnectionError:
                return  # the client has gone; the reader ends the session

    def _do(self, command: Command) -> None:
        match command:
            case Listen(item_id):
                self._start(self._listen(item_id))
            case Respond(response_id):
                task = self._start(self._reply(command))
                self._answering[response_id] = task
                task.add_done_callback(lambda _: self._answering.pop(response_id))
            case Abort(response_id):
                reply = self._answering.get(response_id)
                if reply is not None and reply is not asyncio.current_task():
                    reply.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._children.add(task)
        task.add_done_callback(self._children.discard)
        return task

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._core.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._core.tick(self._loop.time())
        self._start(self._drain())

    async def _listen(self, item_id: str) -> None:
        """Hear one turn until its text is final or no longer wanted."""
        stage = self._parts.stages.hearing
        wake = self._wakes[item_id] = asyncio.Event()
        ear = Ear(self._parts.hearing)
        try:
            while self._transcripts.is_wanted(item_id):
                piece = self._transcripts.pull(item_id, stage_is_idle=stage.is_idle)
                if piece is None:
                    await wake.wait()
                    wake.clear()
                    continue
                text = await stage.run(ear.add, np.frombuffer(piece, np.int16))
                self._transcripts.heard(item_id, text, piece)
                await self._drain()
        except StageError as error:
            self._transcripts.not_heard(item_id, error)
            await self._drain()
        finally:
            del self._wakes[item_id]
            stage.post(ear.close)  # after a job that may still run

    async def _reply(self, command: Respond) -> None:
        """Carry one reply from its stage to the core, spoken if need be."""
        response_id = command.response_id
        try:
            async with aclosing(self._parts.reply.respond(command.request)) as answer:
                await self._deliver(command, answer)
        except StageError as error:
            self._replies.fail(response_id, error, self._loop.time())
        else:
            self._replies.complete(response_id, self._loop.time())
        await self._drain()

    async def _deliver(
        self, command: Respond, answer: AsyncIterator[Say | Pause | Call]
    ) -> None:
        response_id = command.response_id
        sentences = Sentences()
        async for piece in answer:
            if isinstance(piece, Say):
                texts = sentences.feed(piece.text) if command.speaks else [piece.text]
                await self._say(command, texts)
            else:
                await self._say(command, sentences.flush())
                if isinstance(piece, Pause):
                    self._replies.hold(
                        response_id, piece.duration_ms, self._loop.time()
                    )
                else:
                    self._replies.call(response_id, piece.name, piece.arguments)
                await self._drain()
            if not self._replies.is_active(response_id):
                return
        await self._say(command, sentences.flush())

    async def _say(self, command: Respond, texts: list[str]) -> None:
        for text in texts:
            pcm = await self._speak(text, command.speed) if command.speaks else None
            self._replies.say(command.response_id, text, pcm, self._loop.time())
            await self._drain()

    async def _speak(self, text: str, speed: float) -> Samples:
        words = speakable(text)
        if not words:
            return np.zeros(0, np.int16)
        parts = self._parts
        return await parts.stages.speaking.run(parts.speaking.speak, words, speed)
