"""Log lines are readable, and cannot be forged by what a peer sent."""

import logging
import re
import sys

from runtime.logs import FieldFormatter


def record(text: str, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"msg": text, "levelname": "INFO", "levelno": logging.INFO, **fields}
    )


def test_a_line_has_time_service_level_text_and_fields() -> None:
    line = FieldFormatter("relay").format(record("call opened", call="rtc_1", calls=2))
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} relay       info    "
        r"call opened  call=rtc_1 calls=2",
        line,
    )


def test_a_field_cannot_start_a_line_or_another_field() -> None:
    line = FieldFormatter("relay").format(
        record("refused", reason="x\n12:00 forged", path="/a b=c", empty="")
    )
    assert line.endswith(r"refused  reason='x\n12:00 forged' path='/a b=c' empty=''")


def test_a_traceback_follows_the_line() -> None:
    try:
        raise ValueError("of the test")
    except ValueError:
        failure = record("failed", exc_info=sys.exc_info())
    lines = FieldFormatter("relay").format(failure).splitlines()
    assert lines[0].endswith("failed")
    assert lines[1].startswith("Traceback")
    assert lines[-1] == "ValueError: of the test"


def test_only_a_terminal_gets_colours() -> None:
    plain = FieldFormatter("relay").format(record("ready"))
    coloured = FieldFormatter("relay", coloured=True).format(record("ready"))
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d+m", "", coloured)[13:] == plain[13:]
    assert coloured != plain


def test_the_services_of_one_terminal_differ_in_colour() -> None:
    names = ("run", "engine", "relay", "transceiver")
    colours = {
        re.findall(
            r"\x1b\[(\d+)m", FieldFormatter(name, coloured=True).format(record("x"))
        )[0]
        for name in names
    }
    assert len(colours) == len(names)
