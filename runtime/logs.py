"""Readable logs: static text plus fields, one line an event.

`log.info("call opened", extra={"call": call_id})` prints
`12:00:01.250 transceiver info  call opened  call=rtc_1`. Fields hold ids and figures;
never content, keys or transcripts. A field that a stranger wrote cannot break the line:
what holds blanks or control characters is quoted. On a terminal the service's name is
coloured, so that the processes of one `make run` can be told apart.

For machines that read logs, the same line is one JSON object, its fields beside what
every line has: `time`, `level`, `service`, `worker` where there are several, `message`.
"""

import enum
import json
import logging
import sys
import zlib
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

_COLOURS = (36, 35, 32, 33, 34, 96, 95)
"""ANSI foreground colours that are readable on dark and on light (ECMA-48, SGR)."""


class Form(enum.Enum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class FieldFormatter(logging.Formatter):
    """Formats a record as time, service, level, text, then its extra fields."""

    def __init__(self, service: str, *, coloured: bool = False) -> None:
        super().__init__()
        self._service = f"{service:<11}"
        if coloured:
            colour = _COLOURS[zlib.crc32(service.encode()) % len(_COLOURS)]
            self._service = f"\x1b[{colour}m{self._service}\x1b[0m"

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a traceback follows on lines of its own."""
        clock = self.formatTime(record, "%H:%M:%S")
        line = (
            f"{clock}.{int(record.msecs):03d} {self._service} "
            f"{record.levelname.lower():<7} {record.getMessage()}"
        )
        if fields := _fields(record):
            line += "  " + " ".join(
                f"{name}={_quoted(value)}" for name, value in fields.items()
            )
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line, ASCII.

    Args:
        service: Its name.
        worker: Its number, where there are several.
    """

    def __init__(self, service: str, worker: int | None = None) -> None:
        super().__init__()
        self._who: dict[str, object] = {"service": service}
        if worker is not None:
            self._who["worker"] = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a traceback is its field `exception`."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            **self._who,
            "message": record.getMessage(),
            **{name: _plain(value) for name, value in _fields(record).items()},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # not orjson: a stranger's text need not be Unicode


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: value for name, value in vars(record).items() if name not in _STANDARD
    }


def _plain(value: object) -> object:
    return value if isinstance(value, str | bool | int | float | None) else str(value)


def _quoted(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and " " not in text and text
    return text if plain else repr(text)


def configure(
    service: str, level: str, form: Form = Form.TEXT, worker: int | None = None
) -> None:
    """Send this process's logs to standard error in the house format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(service, form, worker))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("aioice", "aiortc", "aiohttp.access", "urllib3"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.root.level))
    logging.getLogger("aiohttp.server").addFilter(_is_not_the_clients_fault)


def _formatter(service: str, form: Form, worker: int | None) -> logging.Formatter:
    if form is Form.JSON:
        return JsonFormatter(service, worker)
    name = service if worker is None else f"{service}/{worker}"
    return FieldFormatter(name, coloured=sys.stderr.isatty())


def _is_not_the_clients_fault(record: logging.LogRecord) -> bool:
    """Drop the traceback of each request that is no HTTP: strangers can send many."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)
