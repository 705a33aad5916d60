# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp>=3.14", "aiortc==1.16.*"]
# ///
"""Plain aiortc: the caller's track is given back as it is (its server example)."""

import json
import os
import sys
from typing import Any

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

CODEC = "libopus 48 kHz stereo, VOIP, 96 kbit/s, complexity 10 (aiortc's own)"


async def call(request: web.Request) -> web.Response:
    """Answer an offer."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    calls: set[RTCPeerConnection] = request.app[CALLS]
    calls.add(connection)

    @connection.on("track")
    def heard(track: Any) -> None:
        connection.addTrack(MediaRelay().subscribe(track))

    @connection.on("connectionstatechange")
    async def changed() -> None:
        if connection.connectionState in {"failed", "closed"}:
            await connection.close()
            calls.discard(connection)

    offer = RTCSessionDescription(await request.text(), "offer")
    await connection.setRemoteDescription(offer)
    await connection.setLocalDescription(await connection.createAnswer())
    return web.Response(
        text=connection.localDescription.sdp,
        status=201,
        content_type="application/sdp",
    )


CALLS = web.AppKey("calls", set[RTCPeerConnection])


async def ready(_: web.Application) -> None:
    """Say so."""
    print(json.dumps({"codec": CODEC, "pids": {"aiortc": os.getpid()}}), flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    app = web.Application()
    app[CALLS] = set()
    app.router.add_post("/v1/realtime/calls", call)
    app.on_startup.append(ready)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
