# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp>=3.14", "pipecat-ai[webrtc]==1.14.*"]
# ///
"""pipecat's SmallWebRTC transport: a pipeline of input, echo, output for each call."""

import asyncio
import json
import os
import sys
from typing import Any

from aiohttp import web
from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport

RATE_HZ = 24_000
CODEC = "libopus 48 kHz stereo, VOIP, 96 kbit/s, complexity 10; PCM 24 kHz"

CALLS = web.AppKey("calls", set[Any])


class Echo(FrameProcessor):
    """Turns what is heard into what is said."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass a frame on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(
                audio=frame.audio,
                sample_rate=frame.sample_rate,
                num_channels=frame.num_channels,
            )
        await self.push_frame(frame, direction)


async def call(request: web.Request) -> web.Response:
    """Answer an offer."""
    connection = SmallWebRTCConnection()
    await connection.initialize(sdp=await request.text(), type="offer")
    running = asyncio.create_task(converse(connection))
    calls = request.app[CALLS]
    calls.add(running)
    running.add_done_callback(calls.discard)
    await connection.connect()
    return web.Response(
        text=connection.get_answer()["sdp"],
        status=201,
        content_type="application/sdp",
    )


async def converse(connection: Any) -> None:
    """Run one call's pipeline to its end."""
    transport = SmallWebRTCTransport(
        connection, TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    )
    task = PipelineTask(
        Pipeline([transport.input(), Echo(), transport.output()]),
        params=PipelineParams(
            audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ
        ),
        cancel_on_idle_timeout=False,
    )

    @transport.event_handler("on_client_disconnected")
    async def gone(*_: Any) -> None:
        await task.cancel()

    await PipelineRunner(handle_sigint=False).run(task)


async def ready(_: web.Application) -> None:
    """Say so."""
    print(json.dumps({"codec": CODEC, "pids": {"pipecat": os.getpid()}}), flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    app = web.Application()
    app[CALLS] = set()
    app.router.add_post("/v1/realtime/calls", call)
    app.on_startup.append(ready)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
