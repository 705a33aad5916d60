"""Where spans go: to the collector that the environment names, or nowhere.

Unless an endpoint is set (`OTEL_EXPORTER_OTLP_ENDPOINT`, or `..._TRACES_ENDPOINT`)
nothing is told, and no package is imported for it; what goes to one is `runtime.otlp`.
"""

import contextlib
import importlib.util
import os
from collections.abc import AsyncIterator, Mapping
from typing import Final

from runtime.settings import SettingsError, http_url
from runtime.traces import SILENT, Tracer

ENDPOINTS: Final = (
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
"""Variables of OpenTelemetry's that name a collector."""

_PACKAGE: Final = "opentelemetry"
_HTTP: Final = "http/protobuf"


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Return whether spans are to be sent somewhere."""
    return (
        any(environ.get(name) for name in ENDPOINTS)
        and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
        and environ.get("OTEL_TRACES_EXPORTER", "otlp") != "none"
    )


def check(environ: Mapping[str, str]) -> None:
    """Refuse an endpoint that cannot be sent to.

    Raises:
        SettingsError: It is no URL of HTTP; the packages for it are missing; the
            protocol is another.
    """
    if not is_wanted(environ):
        return
    variable = next(name for name in ENDPOINTS if environ.get(name))
    try:
        http_url(environ[variable])
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None
    if importlib.util.find_spec(_PACKAGE) is None:
        raise SettingsError(
            f"{variable}: is set, but the packages for it are not installed "
            "(pip install --requirement requirements/traces.txt)"
        )
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if environ.get(name, _HTTP) not in {_HTTP, ""}:
            raise SettingsError(f"{name}: {environ[name]!r} is not {_HTTP}")


@contextlib.asynccontextmanager
async def exporting(service: str, worker: int | None = None) -> AsyncIterator[Tracer]:
    """Send spans to the environment's collector, if it names one.

    Args:
        service: Name where `OTEL_SERVICE_NAME` gives none.
        worker: This process's number, where the service has several.
    """
    if not is_wanted(os.environ):
        yield SILENT
        return
    from runtime.otlp import Exporter  # noqa: PLC0415  # costs 0.5 s and 20 MB

    exporter = Exporter(service, worker)
    try:
        yield exporter.tracer
    finally:
        await exporter.close()
