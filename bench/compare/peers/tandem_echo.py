"""This project: transceiver, link and relay, whose upstream is an echo; one worker.

It runs on the Python of the comparison itself, with what `.venv` holds. Settings of the
services (`TANDEM_...`) in the environment are handed on to them.
"""

import asyncio
import base64
import json
import os
import secrets
import signal
import sys

from tests.support.services import Process, free_ports

CODEC = "libopus, 24 kHz mono, as TANDEM_PROFILE says"


def settings(http: str, udp: str, link: int, status: int) -> dict[str, str]:
    """Return the environment of both services."""
    return {
        "TANDEM_LOG_LEVEL": "warning",
        "TANDEM_MAX_CALLS": "10000",
        "TANDEM_UPSTREAM": "echo",
        **os.environ,
        "TANDEM_HTTP_PORT": http,
        "TANDEM_UDP_HOST": "127.0.0.1",
        "TANDEM_UDP_PORT": udp,
        "TANDEM_RELAYS": f"127.0.0.1:{link}",
        "TANDEM_LINK_PORT": str(link),
        "TANDEM_LINK_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "TANDEM_RELAY_HTTP_PORT": str(status),
    }


async def serve(http: str, udp: str) -> None:
    """Run both services until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    link, status = free_ports(2)
    environ = settings(http, udp, link, status)
    relay = Process("relay", f"http://127.0.0.1:{status}")
    transceiver = Process("transceiver", f"http://127.0.0.1:{http}")
    started = []
    try:
        for process in (relay, transceiver):
            await process.start(environ)
            started.append(process)
            await process.wait_ready()
        pids = {"transceiver": transceiver.pid, "relay": relay.pid}
        print(json.dumps({"codec": CODEC, "pids": pids}), flush=True)
        await stop.wait()
    finally:
        for process in reversed(started):
            await process.stop()
            sys.stderr.write(process.log)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
