# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp>=3.14", "wrtc==0.1.*"]
# ///
"""wrtc, libwebrtc under a Python API: PCM goes through Python, as a model needs it."""

import asyncio
import json
import os
import sys
from typing import Any

import webrtc
from aiohttp import web

CODEC = "libopus 48 kHz in libwebrtc (its defaults: VOIP, 32 kbit/s mono, FEC on loss)"

CALLS = web.AppKey("calls", set[Any])
ECHOES = web.AppKey("echoes", set[Any])


async def call(request: web.Request) -> web.Response:
    """Answer an offer."""
    connection = webrtc.RTCPeerConnection()
    calls, echoes = request.app[CALLS], request.app[ECHOES]
    calls.add(connection)

    def changed(_: Any) -> None:
        if connection.connection_state in {"failed", "closed", "disconnected"}:
            connection.close()
            calls.discard(connection)

    gathered = asyncio.Event()

    def gathering(_: Any) -> None:
        if connection.ice_gathering_state == "complete":
            gathered.set()

    connection.on("connectionstatechange", changed)
    connection.on("icegatheringstatechange", gathering)
    offer = webrtc.RTCSessionDescriptionInit(type="offer", sdp=await request.text())
    await connection.set_remote_description(offer)
    voice = webrtc.MediaStreamTrackGenerator("audio")
    track = connection.get_receivers()[0].track
    connection.add_track(voice)
    echo = asyncio.create_task(give_back(track, voice))
    echoes.add(echo)
    echo.add_done_callback(echoes.discard)
    await connection.set_local_description(await connection.create_answer())
    await gathered.wait()
    return web.Response(
        text=connection.local_description.sdp,
        status=201,
        content_type="application/sdp",
    )


async def give_back(track: Any, voice: Any) -> None:
    """Read each 10 ms of the caller's sound and write it back."""
    heard = webrtc.MediaStreamTrackProcessor(
        webrtc.MediaStreamTrackProcessorInit(track)
    )
    writer = voice.writable.get_writer()
    async for sound in heard.readable:
        await writer.write(sound)


async def ready(_: web.Application) -> None:
    """Say so."""
    print(json.dumps({"codec": CODEC, "pids": {"wrtc": os.getpid()}}), flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    app = web.Application()
    app[CALLS], app[ECHOES] = set(), set()
    app.router.add_post("/v1/realtime/calls", call)
    app.on_startup.append(ready)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
