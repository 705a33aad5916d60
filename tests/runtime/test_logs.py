"""Log lines are readable, and cannot be forged by what a peer sent."""

import json
import logging
import re
import sys
from typing import Any

import pytest

from runtime import logs
from runtime.logs import FieldFormatter, Form, JsonFormatter
from runtime.settings import Address


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


def as_json(line: logging.LogRecord, worker: int | None = None) -> dict[str, Any]:
    text = JsonFormatter("relay", worker).format(line)
    assert "\n" not in text
    assert text.isascii()
    read: dict[str, Any] = json.loads(text)
    return read


def test_a_line_for_machines_is_one_object_with_the_fields_as_they_are() -> None:
    line = record("call opened", call="rtc_1", calls=2, tls=False, created=1e9 + 0.25)
    assert as_json(line) == {
        "time": "2001-09-09T01:46:40.250Z",
        "level": "info",
        "service": "relay",
        "message": "call opened",
        "call": "rtc_1",
        "calls": 2,
        "tls": False,
    }


def test_a_line_for_machines_tells_the_worker_where_there_are_several() -> None:
    assert as_json(record("ready"), worker=0)["worker"] == 0
    assert "worker" not in as_json(record("ready"))


def test_what_has_no_json_is_text_and_what_is_no_unicode_passes() -> None:
    line = as_json(record("link up", relay=Address("::1", 7000), path="/\udcff\n"))
    assert line["relay"] == "[::1]:7000"
    assert line["path"] == "/\udcff\n"


def test_a_traceback_is_a_field_for_machines() -> None:
    try:
        raise ValueError("of the test")
    except ValueError:
        failure = record("failed", exc_info=sys.exc_info())
    line = as_json(failure)
    assert line["message"] == "failed"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: of the test")


@pytest.mark.parametrize("form", Form)
def test_a_worker_is_named_in_either_form(
    form: Form, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        logs.configure("relay", "INFO", form, 3)
        logging.getLogger("tandem.test").info("ready")
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
    text = capsys.readouterr().err
    expected = '"worker": 3, "message": "ready"' if form is Form.JSON else "relay/3"
    assert expected in text
