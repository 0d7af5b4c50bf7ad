"""Traces by OpenTelemetry, where the environment asks for them: what became of a request, in time.

A span has ids, an endpoint, an engine, a status and numbers. It never has an input, an answer, an
address or a key. Nothing of OpenTelemetry is imported where nobody asks.
Knows OpenTelemetry's SDK; knows no request and no route.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Self

import structlog

log = structlog.get_logger(__name__)

#: Seconds that spans get to leave when the process ends.
LEAVE_WITHIN = 2.0

#: Those that are not known are left out.
Attributes = Mapping[str, str | int | float | bool | None]

NOTHING: Attributes = {}


class Span:
    """A stretch of a request's time."""

    def __init__(self, span: Any, traceparent: str | None) -> None:
        self._span = span
        #: What makes a span of any process its child (W3C Trace Context).
        self.traceparent = traceparent

    def note(self, name: str, attributes: Attributes) -> None:
        """Something that happened now."""
        self._span.add_event(name, _said(attributes))

    def end(
        self,
        fault: str | None = None,
        attributes: Attributes = NOTHING,
        *,
        at: float | None = None,
    ) -> None:
        """It ended at ``at`` (unix seconds), or now. ``fault``: the type of what went wrong."""
        self._span.set_attributes(_said(attributes))
        if fault is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", fault)
            self._span.set_status(StatusCode.ERROR)
        self._span.end(None if at is None else int(at * 1e9))


class Tracing:
    """Begins spans and sends them, in the background, to where the environment says.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        """Everything is read from ``OTEL_*``, as the SDK does. The process sends until closed."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        found = Resource.create()
        if str(found.attributes["service.name"]).startswith("unknown_service"):
            found = found.merge(Resource({"service.name": "limner"}))
        # It is closed where it was opened, and by nobody else at the end of the process.
        self._provider = TracerProvider(resource=found, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("limner")
        self._context = TraceContextTextMapPropagator()
        own = logging.getLogger("opentelemetry")
        own.addHandler(_Told())
        own.propagate = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Send what is left, as far as that goes in LEAVE_WITHIN seconds."""
        # On a thread that nobody waits for: the exporter tries for longer than it is told to.
        leaving = threading.Thread(target=self._provider.force_flush, daemon=True)
        leaving.start()
        leaving.join(LEAVE_WITHIN)

    def begin(
        self,
        name: str,
        parent: str | None,
        attributes: Attributes,
        *,
        at: float | None = None,
        kind: str = "INTERNAL",
    ) -> Span:
        """A span from ``at`` (unix seconds) or from now on; its ``end`` is to be called.

        ``parent``: a traceparent; one that is none begins a new trace, and one that is not sampled
        is not recorded. ``kind``: as OpenTelemetry's SpanKind calls it.
        """
        from opentelemetry.trace import SpanKind, set_span_in_context

        context = self._context.extract({} if parent is None else {"traceparent": parent})
        span = self._tracer.start_span(
            name,
            context,
            SpanKind[kind],
            attributes=_said(attributes),
            start_time=None if at is None else int(at * 1e9),
        )
        carried: dict[str, str] = {}
        self._context.inject(carried, set_span_in_context(span))
        return Span(span, carried.get("traceparent"))


def open_tracing(environment: Mapping[str, str]) -> Tracing | None:
    """Tracing as ``OTEL_*`` ask for it; None, and nothing imported, where they do not.

    What cannot be done as asked is logged, and stops nothing.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    asked = exporter == "otlp" or (not exporter and any(environment.get(n) for n in endpoints))
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return None
    if exporter not in ("", "otlp"):
        log.warning("not_traced", why=f"OTEL_TRACES_EXPORTER={exporter} is not otlp or none")
        return None
    if not asked:
        return None
    general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general)
    if protocol != "http/protobuf":
        log.warning("not_traced", why=f"spans are sent by http/protobuf, not {protocol}")
        return None
    try:
        return Tracing()
    except ImportError:
        log.warning("not_traced", why="it needs pip install 'limner[otel]'")
        return None


class _Told(logging.Handler):
    """OpenTelemetry's own complaints, as lines of our log: a collector that is away, mostly."""

    def emit(self, record: logging.LogRecord) -> None:
        """Which of its modules complains; at most once a minute."""
        now = time.monotonic()
        if record.levelno >= logging.WARNING and now - getattr(self, "last", -60.0) >= 60:
            self.last = now
            log.warning("spans_not_sent", by=record.name)


def _said(attributes: Attributes) -> dict[str, str | int | float | bool]:
    """Attributes by our name in front, without those that are not known."""
    return {f"limner.{name}": value for name, value in attributes.items() if value is not None}
