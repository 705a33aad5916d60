"""Call a running Tandem from outside and hold one spoken turn; for people and scripts.

    python -m tests.deploy.call [URL] [--stay]

Exits with 0 when the question was understood and the answer was heard as sound, by a
recogniser that is not the engine's. `--stay` then holds the line until it is cut.
"""

import argparse
import asyncio
import sys

from tests.support.caller import Caller, calling
from tests.support.sound import at_24_khz, at_48_khz
from tests.support.speech import speak, transcribe

QUESTION = "What is two plus three?"
ANSWERS = ("five", "5")


async def hold_a_turn(caller: Caller) -> str:
    """Ask, listen to the end, and return what was heard."""
    await caller.wait_for("session.created")
    caller.microphone.say(at_48_khz(speak(QUESTION)))
    since = len(caller.heard)
    await caller.wait_for("output_audio_buffer.started")
    await caller.wait_for("output_audio_buffer.stopped")
    return transcribe(at_24_khz(caller.heard[since:]))


async def until_cut(caller: Caller) -> None:
    """Hold the line for as long as the other side does."""
    changed = asyncio.Event()
    caller.connection.on("connectionstatechange", changed.set)
    while caller.connection.connectionState == "connected":
        changed.clear()
        await changed.wait()


def tell(line: str) -> None:
    """Print a line at once: a script may be waiting for it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> int:
    """Place the call and tell how it went."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url", nargs="?", default="http://localhost:8080")
    parser.add_argument("--stay", action="store_true", help="hold on until it is cut")
    parser.add_argument("--key", default="", help="an API key")
    arguments = parser.parse_args()
    headers = {"Authorization": f"Bearer {arguments.key}"} if arguments.key else None
    async with calling(arguments.url, headers) as caller:
        heard = await hold_a_turn(caller)
        tell(f"asked {QUESTION!r}, heard {heard!r}")
        if arguments.stay:
            await until_cut(caller)
        for event in caller.events:
            if event["type"] == "error":
                tell(f"error event: {event['error']}")
    return 0 if any(answer in heard.lower() for answer in ANSWERS) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
