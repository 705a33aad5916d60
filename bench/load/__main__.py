"""`python -m bench.load`: place calls, show how it goes, write the figures."""

import asyncio
import json
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvloop

from bench.load import options, picture, run, summary
from bench.load.voice import VoiceError

DRAW = Path(__file__).parent / "plot.py"


async def _run_until_signal(wanted: options.Options) -> run.Outcome:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await run.run(wanted, run.load_voice(wanted), stop, _tell)


def _write(result: str, wanted: options.Options) -> None:
    """Write the results, and have them drawn, where that was asked for."""
    if wanted.json is not None:
        wanted.json.write_text(result, encoding="utf-8")
    if wanted.plot is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(result)
            file.flush()
            picture.draw(DRAW, Path(file.name), wanted.plot)


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
    _write(json.dumps(result, indent=1, default=str) + "\n", wanted)
    return 0 if figures.connected == figures.calls and not figures.failures else 1


if __name__ == "__main__":
    sys.exit(main())
