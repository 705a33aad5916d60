"""Spans on their way to an OpenTelemetry collector, over HTTP: the SDK's only importer.

The SDK reads its own variables: endpoint, headers, certificates, sampler, resource
attributes, sizes. It sends from a thread of its own. 2,048 spans wait at most
(`OTEL_BSP_MAX_QUEUE_SIZE`); the oldest make room, and those that a collector does not
take within 10 s (`OTEL_EXPORTER_OTLP_TIMEOUT`) are dropped.
"""

import asyncio
import contextlib
import logging
import os
import threading
from typing import Final

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime.traces import Fields, Span, Tracer

log = logging.getLogger(__name__)

FLUSH_S: Final = 3.0
"""Seconds that spans get to leave when the service stops."""

_W3C: Final = TraceContextTextMapPropagator()
_HEADER: Final = "traceparent"
_NONE: Final[Fields] = {}


class OtelSpan:
    """A span of the SDK's."""

    def __init__(self, tracer: api.Tracer, span: api.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """What makes a span elsewhere its child."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, self._within())
        return carrier.get(_HEADER)

    def child(self, name: str, fields: Fields = _NONE) -> Span:
        """Begin a part of it."""
        span = self._tracer.start_span(name, self._within(), attributes=fields)
        return OtelSpan(self._tracer, span)

    def tell(self, fields: Fields) -> None:
        """Add attributes, or change them."""
        self._span.set_attributes(fields)

    def note(self, name: str) -> None:
        """Write down that something happened now."""
        self._span.add_event(name)

    def end(self, error: str | None = None) -> None:
        """End it now."""
        if error is not None:
            self._span.set_status(api.Status(api.StatusCode.ERROR, error))
        self._span.end()

    def _within(self) -> Context:
        return api.set_span_in_context(self._span, Context())


class OtelTracer:
    """Begins spans of the SDK's."""

    def __init__(self, tracer: api.Tracer) -> None:
        self._tracer = tracer

    def begin(
        self, name: str, fields: Fields = _NONE, parent: str | None = None
    ) -> Span:
        """Begin a span."""
        context = Context()  # not the ambient one: many calls take turns
        if parent:
            context = _W3C.extract({_HEADER: parent}, context)
        kind = api.SpanKind.SERVER
        span = self._tracer.start_span(name, context, kind, attributes=fields)
        return OtelSpan(self._tracer, span)


class Exporter:
    """What sends the spans of one process.

    Args:
        service: Its name, where the environment gives none.
        worker: Its number among several.
        processor: Takes the spans; None: they go to the environment's collector.
    """

    def __init__(
        self,
        service: str,
        worker: int | None = None,
        processor: SpanProcessor | None = None,
    ) -> None:
        self._provider = TracerProvider(
            resource=_resource(service, worker), shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            processor or BatchSpanProcessor(OTLPSpanExporter())
        )
        self.tracer: Tracer = OtelTracer(self._provider.get_tracer("tandem"))

    async def close(self) -> None:
        """Send what waits; what has not left after 3 s is dropped."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # too late: nobody waits any more
                loop.call_soon_threadsafe(closed.set)

        # Not the loop's executor: the process would wait for its threads to end.
        threading.Thread(target=shut_down, name="last spans", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_S):
                await closed.wait()
        except TimeoutError:
            log.warning("spans dropped, the collector does not take them")


def _resource(service: str, worker: int | None) -> Resource:
    """Return what the process is, the environment's words first."""
    own: dict[str, str | int] = {}
    named = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not os.environ.get("OTEL_SERVICE_NAME") and f"{SERVICE_NAME}=" not in named:
        own[SERVICE_NAME] = f"tandem-{service}"
    if worker is not None:
        own["tandem.worker"] = worker
    return Resource.create(own)
