"""Where spans go, and which collectors are refused."""

import sys

import pytest

from runtime import collector
from runtime.collector import exporting
from runtime.settings import SettingsError
from runtime.traces import SILENT


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in collector.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.asyncio
async def test_without_an_endpoint_nothing_is_told_or_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "runtime.otlp", raising=False)
    async with exporting("relay") as tracer:
        assert tracer is SILENT
    assert "runtime.otlp" not in sys.modules


@pytest.mark.parametrize("variable", collector.ENDPOINTS)
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
    assert collector.is_wanted(environ) is wanted


def test_an_endpoint_without_the_packages_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    collector.check({})
    with pytest.raises(SettingsError, match=r"OTLP_ENDPOINT: .*requirements/traces"):
        collector.check({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})


@pytest.mark.parametrize("variable", collector.ENDPOINTS)
@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317"])
def test_an_endpoint_that_is_no_url_of_http_is_refused(
    variable: str, endpoint: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: '{endpoint}' is not"):
        collector.check({variable: endpoint})


def test_a_protocol_that_is_not_spoken_is_refused() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(SettingsError, match="OTLP_PROTOCOL: 'grpc'"):
        collector.check(environ)
