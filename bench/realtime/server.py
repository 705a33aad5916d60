"""A Realtime API as cheap as can be: `python -m bench.realtime.server PORT`.

It answers the first `session.update`, then counts what it gets and speaks without end
with events made beforehand. The last part of the URL's path is the milliseconds of a
delta: at 20 they come in real time, 50 a second, 200 ms ahead of it; longer ones come
at three times real time, then pause, as a model's do. The sound is 50 frames a second
either way. Between responses it sends what belongs there.
"""

import asyncio
import base64
import hashlib
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

import orjson
import uvloop

from bench.realtime.pace import PHASES, pace
from proto.frames import FRAME_BYTES, FRAME_MS

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_RESPONSE_MS: Final = {20: 10_000}
_OTHER_RESPONSE_MS: Final = 3_000
_HEAD_MS: Final = 200
_FASTER: Final = 3
_MASK_BYTES: Final = 4
_CLOSE: Final = 0x88
_SHORT: Final = 126
_LENGTH_BYTES: Final = {126: 2, 127: 8}
"""Payload lengths that announce so many bytes of it (RFC 6455 section 5.2)."""


def framed(type_: str, **fields: Any) -> bytes:
    """Return an event in a WebSocket frame."""
    text = orjson.dumps({"type": type_, "event_id": "event_" + "e" * 21, **fields})
    if len(text) < _SHORT:
        return bytes((0x81, len(text))) + text
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text


def response(name: str, delta_ms: int, response_ms: int) -> list[bytes]:
    """Return a response's events, first and last more than one in an entry."""
    ids = {"response_id": f"resp_{name * 21}", "item_id": f"item_{name * 21}"}
    where: dict[str, Any] = {**ids, "output_index": 0, "content_index": 0}
    about = {"id": ids["response_id"], "object": "realtime.response", "output": []}
    about |= {"conversation_id": "conv_" + "c" * 21}
    deltas = []
    for _ in range(response_ms // delta_ms):
        pcm = os.urandom(FRAME_BYTES * delta_ms // FRAME_MS)
        audio = base64.b64encode(pcm).decode()
        deltas.append(framed("response.output_audio.delta", **where, delta=audio))
    begun = framed("response.created", response={**about, "status": "in_progress"})
    deltas[0] = begun + deltas[0]
    deltas[-1] += framed("response.output_audio.done", **where)
    deltas[-1] += framed("response.done", response={**about, "status": "completed"})
    return deltas


class Speech:
    """What is said by calls whose deltas have one length."""

    def __init__(self, delta_ms: int) -> None:
        response_ms = _RESPONSE_MS.get(delta_ms, _OTHER_RESPONSE_MS)
        self._responses = [response(name, delta_ms, response_ms) for name in "ab"]
        self._steps = response_ms // FRAME_MS
        self._every = max(1, delta_ms // FRAME_MS // _FASTER)
        self._head = _HEAD_MS // delta_ms if delta_ms == FRAME_MS else 0

    def ticks(self) -> Iterator[bytes]:
        """Yield what to send at each tick of 20 ms."""
        yield b"".join(self._responses[0][: self._head])
        first = self._head
        while True:
            for deltas in self._responses:
                left = iter(deltas[first:])
                for step in range(self._steps - first):
                    yield next(left, b"") if step % self._every == 0 else b""
                first = 0


class Api(asyncio.Protocol):
    """One connection."""

    speeches: dict[int, Speech]

    def __init__(self, live: "set[Api]", speeches: dict[int, Speech]) -> None:
        self._live = live
        self._speeches = speeches
        self._transport: Any = None
        self._buffer = b""
        self._skip_bytes = 0
        self._ticks: Iterator[bytes] | None = None
        self.phase = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Fall silent."""
        self._live.discard(self)

    def data_received(self, data: bytes) -> None:
        """Upgrade, wait for the update, then skip from header to header."""
        if self._transport.is_closing():
            return
        if self._ticks is None:
            self._buffer += data
            self._upgrade()
        elif self not in self._live:
            self._buffer += data
            self._await_update()
        else:
            self._skip(data)

    def tick(self) -> None:
        """Send what is due in this tick."""
        assert self._ticks is not None
        if said := next(self._ticks):
            self._transport.write(said)

    def _upgrade(self) -> None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        self._buffer = rest
        request, *lines = head.split(b"\r\n")
        headers = {n.lower(): v for n, _, v in (one.partition(b": ") for one in lines)}
        path = request.split(b" ")[1].partition(b"?")[0]
        delta_ms = int(path.rpartition(b"/")[2])
        key = headers[b"sec-websocket-key"] + _GUID
        accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        session = {"type": "realtime", "id": "sess_1"}
        self._transport.write(framed("session.created", session=session))
        if delta_ms not in self._speeches:
            self._speeches[delta_ms] = Speech(delta_ms)
        self._ticks = self._speeches[delta_ms].ticks()

    def _await_update(self) -> None:
        """Take the first message for the update: clients begin with it."""
        data = self._buffer
        length, head = data[1] & 127, 2 + _MASK_BYTES
        if length == _SHORT:
            length, head = int.from_bytes(data[2:4], "big"), 4 + _MASK_BYTES
        if len(data) < head + length:
            return
        mask, masked = data[head - _MASK_BYTES : head], data[head : head + length]
        text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
        session = orjson.loads(text)["session"]
        self._transport.write(framed("session.updated", session=session))
        self._live.add(self)
        self._buffer = b""
        self._skip(data[head + length :])

    def _skip(self, data: bytes) -> None:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        at, end = self._skip_bytes, len(data)
        while at + _MASK_BYTES <= end:
            if data[at] == _CLOSE:
                self._transport.write(b"\x88\x02\x03\xe8")
                self._transport.close()
                return
            length = data[at + 1] & 127
            if length >= _SHORT:
                size = _LENGTH_BYTES[length]
                if at + 2 + size > end:
                    break
                length = size + int.from_bytes(data[at + 2 : at + 2 + size], "big")
            at += 2 + _MASK_BYTES + length
        self._buffer = data[at:]
        self._skip_bytes = max(0, at - end)


async def main() -> None:
    """Serve until killed."""
    live: set[Api] = set()
    speeches: dict[int, Speech] = {}
    made = 0

    def connection() -> Api:
        nonlocal made
        api = Api(live, speeches)
        made += 1
        api.phase = made % PHASES
        return api

    def take(step: int) -> None:
        phase = step % PHASES
        for api in tuple(live):
            if api.phase == phase:
                api.tick()

    loop = asyncio.get_running_loop()
    await loop.create_server(connection, "127.0.0.1", int(sys.argv[1]))
    await pace(take)


if __name__ == "__main__":
    uvloop.run(main())
