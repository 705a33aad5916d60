"""Where spans go, and what a stranger's trace looks like."""

import sys

import pytest

from runtime import traces
from runtime.settings import SettingsError
from runtime.traces import SILENT, Steps, exporting, traceparent

VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in traces.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.asyncio
async def test_without_an_endpoint_nothing_is_told_or_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "runtime.otlp", raising=False)
    async with exporting("relay") as tracer:
        assert tracer is SILENT
    assert "runtime.otlp" not in sys.modules


@pytest.mark.parametrize("variable", traces.ENDPOINTS)
@pytest.mark.parametrize(
    ("further", "wanted"),
    [
        ({}, True),
        ({"OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_an_endpoint_asks_for_spans_unless_they_are_switched_off(
    variable: str, further: dict[str, str], wanted: bool
) -> None:
    environ = {variable: "http://collector:4318", **further}
    assert traces.is_wanted(environ) is wanted


def test_an_endpoint_without_the_packages_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    traces.check({})
    with pytest.raises(SettingsError, match=r"OTLP_ENDPOINT: .*requirements/traces"):
        traces.check({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})


@pytest.mark.parametrize("variable", traces.ENDPOINTS)
@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317"])
def test_an_endpoint_that_is_no_url_of_http_is_refused(
    variable: str, endpoint: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: '{endpoint}' is not"):
        traces.check({variable: endpoint})


def test_a_protocol_that_is_not_spoken_is_refused() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(SettingsError, match="OTLP_PROTOCOL: 'grpc'"):
        traces.check(environ)


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ([], None),
        ([VALID], VALID),
        ([f" {VALID} "], VALID),
        ([VALID, VALID], None),
        ([VALID.upper()], None),
        ([VALID.replace("00-", "ff-")], None),
        ([f"00-{'0' * 32}-b7ad6b7169203331-01"], None),
        ([f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"], None),
        ([VALID + "\udcff"], None),
        ([""], None),
    ],
)
def test_only_a_valid_traceparent_is_taken(
    headers: list[str], taken: str | None
) -> None:
    assert traceparent(headers) == taken


def test_steps_without_a_span_are_no_trouble() -> None:
    steps = Steps()
    steps.begin("one")
    steps.begin("one")
    steps.end("two")
    steps.close()
    assert steps.span.traceparent is None
