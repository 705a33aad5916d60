"""Clients of a Realtime API and nothing else: see `bench.upstream`.

    python -m bench.realtime.bare URL CALLS WARM_S SECONDS

Written as anyone would who has read aiohttp's page on WebSockets and picked the fastest
JSON: `orjson`, `base64`, `send_str`, `async for`, uvloop; one pacing task for all.
"""

import asyncio
import base64
import os
import sys

import aiohttp
import orjson
import uvloop

from bench.realtime.pace import PHASES, mark, pace
from proto.frames import FRAME_BYTES


class Client:
    """One session."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.heard_bytes = 0
        self._websocket: aiohttp.ClientWebSocketResponse | None = None

    async def run(self, http: aiohttp.ClientSession, url: str) -> None:
        """Converse."""
        async with http.ws_connect(url) as websocket:
            update = {"type": "session.update", "session": {"type": "realtime"}}
            await websocket.send_str(orjson.dumps(update).decode())
            self._websocket = websocket
            async for message in websocket:
                event = orjson.loads(message.data)
                if event["type"] == "response.output_audio.delta":
                    self.heard_bytes += len(base64.b64decode(event["delta"]))

    async def speak(self, pcm: bytes) -> None:
        """Append a frame."""
        if self._websocket is not None:
            event = {
                "type": "input_audio_buffer.append",
                "event_id": "event_of_the_client",
                "audio": base64.b64encode(pcm).decode(),
            }
            await self._websocket.send_str(orjson.dumps(event).decode())
            self.sent += 1


async def main() -> None:
    """Hold the sessions, and print marks."""
    url, calls, warm_s, seconds = sys.argv[1:]
    clients = [Client() for _ in range(int(calls))]
    pcm = os.urandom(FRAME_BYTES)

    async def take(step: int) -> None:
        for client in clients[step % PHASES :: PHASES]:
            await client.speak(pcm)

    def counts() -> tuple[int, int]:
        heard = sum(client.heard_bytes for client in clients)
        return sum(client.sent for client in clients), heard // FRAME_BYTES

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        tasks = [asyncio.create_task(client.run(http, url)) for client in clients]
        tasks.append(asyncio.create_task(pace(take)))
        await mark(counts, float(warm_s), float(seconds))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
