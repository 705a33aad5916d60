# /// script
# requires-python = ">=3.11"
# dependencies = ["fastrtc==0.0.34"]
# ///
"""fastrtc: a stream handler that emits what it receives."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastrtc import AsyncStreamHandler, Stream
from fastrtc.stream import Body

RATE_HZ = 24_000
CODEC = "libopus 48 kHz stereo, VOIP, 96 kbit/s, complexity 10; PCM 24 kHz"


class Echo(AsyncStreamHandler):
    """Emits what it receives; its queue holds what has not been sent yet."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ)
        self._heard: asyncio.Queue[Any] = asyncio.Queue(maxsize=50)  # 1 s

    async def receive(self, frame: Any) -> None:
        """Take 20 ms."""
        await self._heard.put(frame)

    async def emit(self) -> Any:
        """Give 20 ms."""
        return await self._heard.get()

    def copy(self) -> "Echo":
        """Return one for another call."""
        return Echo()


stream = Stream(
    Echo(),
    modality="audio",
    mode="send-receive",
    concurrency_limit=10_000,
    server_rtc_configuration={"iceServers": []},
    verbose=False,
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Say that it is ready."""
    print(json.dumps({"codec": CODEC, "pids": {"fastrtc": os.getpid()}}), flush=True)
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/realtime/calls")
async def call(request: Request) -> Response:
    """Answer an offer."""
    offer = (await request.body()).decode()
    answer: Any = await stream.offer(
        Body(sdp=offer, type="offer", webrtc_id=uuid.uuid4().hex)
    )
    return Response(answer["sdp"], 201, media_type="application/sdp")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
