"""Readable logs: static text plus fields, one line an event.

`log.info("call opened", extra={"call": call_id})` prints
`12:00:01.250 transceiver info  call opened  call=rtc_1`. Fields hold ids and figures;
never content, keys or transcripts. A field that a stranger wrote cannot break the line:
what holds blanks or control characters is quoted. On a terminal the service's name is
coloured, so that the processes of one `make run` can be told apart.
"""

import logging
import sys
import zlib

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

_COLOURS = (36, 35, 32, 33, 34, 96, 95)
"""ANSI foreground colours that are readable on dark and on light (ECMA-48, SGR)."""

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
        fields = [
            f"{name}={_quoted(value)}"
            for name, value in vars(record).items()
            if name not in _STANDARD
        ]
        if fields:
            line += "  " + " ".join(fields)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _quoted(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and " " not in text and text
    return text if plain else repr(text)


def configure(service: str, level: str) -> None:
    """Send this process's logs to standard error in the house format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter(service, coloured=sys.stderr.isatty()))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("aioice", "aiortc", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.root.level))
    logging.getLogger("aiohttp.server").addFilter(_is_not_the_clients_fault)


def _is_not_the_clients_fault(record: logging.LogRecord) -> bool:
    """Drop the traceback of each request that is no HTTP: strangers can send many."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)
