"""A request's time with a worker as spans: how long it waited, and how it was drawn.

Does nothing where nobody asks for traces. Knows requests and steps; knows no engine.
"""

from __future__ import annotations

from limner.endpoints.base import Step
from limner.requests.request import Outcome, Request
from limner.tracing import Attributes, Tracing


class Trace:
    """Of one attempt at a request."""

    def __init__(self, tracing: Tracing | None, request: Request) -> None:
        """Begins with the drawing; the waiting before it is over."""
        #: Which engine draws, once that is known.
        self.engine: str | None = None
        self._span = None
        if tracing is None:
            return
        given = request.submission
        who: Attributes = {
            "endpoint": given.endpoint,
            "request_id": request.id,
            "attempt": request.attempt,
        }
        waited = tracing.begin("queue", given.trace, who, at=request.created_at)
        waited.end(at=request.started_at)
        self._span = tracing.begin("draw", given.trace, who, kind="CONSUMER")

    def step(self, step: Step) -> None:
        """A step, without what its message says after a colon: that may be of the prompt."""
        if self._span is not None:
            said = step.message.partition(":")[0]
            told = {"message": said, "level": step.level, "progress": step.progress}
            self._span.note("step", told)

    def end(self, outcome: Outcome | None) -> None:
        """The drawing is over; None where it goes back to the queue, or has gone to another."""
        if self._span is None:
            return
        if outcome is None:
            self._span.end("given_up", {"engine": self.engine})
        else:
            fault = None if outcome.ok else outcome.error_type or outcome.fault or "error"
            self._span.end(fault, {"engine": self.engine, "status": outcome.http_status})
