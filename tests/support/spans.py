"""Spans that stay in this process, for tests to look at."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.otlp import Exporter


class Spans:
    """Remembers what has ended."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        self.tracer = Exporter("test", None, SimpleSpanProcessor(self._memory)).tracer

    def named(self, name: str) -> list[ReadableSpan]:
        """Return those of one name, in the order of their ends."""
        return [span for span in self.ended if span.name == name]

    def told(self, name: str) -> list[dict[str, object]]:
        """Return their attributes, without the prefix that all share."""
        return [
            {key.removeprefix("tandem."): value for key, value in fields.items()}
            for fields in (span.attributes or {} for span in self.named(name))
        ]

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        """All that have ended, in order."""
        return self._memory.get_finished_spans()

    def parents(self) -> dict[str, str | None]:
        """Return the name of each one's parent, by name; None: that is elsewhere."""
        names = {span.context.span_id: span.name for span in self.ended}
        return {
            span.name: names.get(span.parent.span_id) if span.parent else None
            for span in self.ended
        }

    def traces(self) -> set[int]:
        """Return the ids of all traces."""
        return {span.context.trace_id for span in self.ended}
