"""`python -m bench.load`: place calls, show how it goes, write the figures."""

import asyncio
import importlib
import json
import signal
import sys
from dataclasses import asdict

import uvloop

from bench.load import options, run, summary
from bench.load.voice import VoiceError


async def _run_until_signal(wanted: options.Options) -> run.Outcome:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await run.run(wanted, run.load_voice(wanted), stop, _tell)


def _tell(line: str) -> None:
    """Show progress beside the results, which may be piped elsewhere."""
    sys.stderr.write(f"{line}\n")


def main() -> int:
    """Return the exit code: 0 if every call connected and stayed."""
    wanted = options.parse()
    try:
        outcome = uvloop.run(_run_until_signal(wanted))
    except VoiceError as error:
        sys.stderr.write(f"load: {error}\n")
        return 2
    figures = summary.summarize(outcome)
    print(summary.as_text(figures))
    asked = {k: v for k, v in asdict(wanted).items() if k != "key"}
    result = {"asked": asked, **figures.as_json()}
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(result, indent=1, default=str) + "\n")
    if wanted.plot is not None:
        importlib.import_module("bench.load.plot").draw(result, wanted.plot)
    return 0 if figures.connected == figures.calls and not figures.failures else 1


if __name__ == "__main__":
    sys.exit(main())
