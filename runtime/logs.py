"""Readable logs: static text plus fields, one line an event.

`log.info("call opened", extra={"call": call_id})` prints
`12:00:01.250 transceiver info  call opened  call=rtc_1`. Fields hold ids and figures;
never content, keys or transcripts.
"""

import logging
import sys

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class FieldFormatter(logging.Formatter):
    """Formats a record as time, service, level, text, then its extra fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a traceback follows on lines of its own."""
        clock = self.formatTime(record, "%H:%M:%S")
        line = (
            f"{clock}.{int(record.msecs):03d} {self._service:<11} "
            f"{record.levelname.lower():<7} {record.getMessage()}"
        )
        fields = [
            f"{name}={value}"
            for name, value in vars(record).items()
            if name not in _STANDARD
        ]
        if fields:
            line += "  " + " ".join(fields)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(service: str, level: str) -> None:
    """Send this process's logs to standard error in the house format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("aioice", "aiortc", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.root.level))
