"""One request, from its input to its one outcome.

Steps become log lines and progress; a step's answer says whether to go on. Faults become the
outcome that fal's caller would see: theirs in full, ours as one opaque 500, and memory that is
out with what to ask for instead.
Knows engines and the ledger; knows no queue order and no process.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from typing import Any

import structlog

from limner.endpoints.accept import accept, echo
from limner.endpoints.base import Endpoint, Pictures, Step
from limner.errors import (
    OUR_FAULT,
    Answer,
    CallersFault,
    InputProblem,
    OutOfMemory,
    whereabouts,
)
from limner.requests.connections import Unreachable
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Standing, StepTaken
from limner.requests.request import Outcome, Request
from limner.worker.engines import Engines, OpenEngine
from limner.worker.pictures import RequestPictures
from limner.worker.trace import Trace

log = structlog.get_logger(__name__)

#: Seconds to wait for the ledger's answer to a step.
STEP_PATIENCE = 3.0

#: What a caller is told where no engine has said what did not fit.
NO_ROOM = "The memory of this server is out. Ask for a smaller picture, or for fewer."


class Stopped(Exception):
    """The work was given up: cancelled, lost to another worker, or this worker is stopping."""

    def __init__(self, standing: Standing | None) -> None:
        super().__init__(standing)
        #: None: this worker is stopping and the request goes back to the queue.
        self.standing = standing


def outcome_of(answer: Answer) -> Outcome:
    """A fault's answer as the outcome of a request."""
    return Outcome(
        http_status=answer.status,
        body=answer.body,
        headers=answer.headers,
        error=f"Invalid status code: {answer.status}",
        error_type=answer.body.get("error_type"),
    )


def drawing(
    endpoint: Endpoint,
    opened: OpenEngine,
    raw: Mapping[str, Any],
    pictures: Pictures,
    *,
    strict: bool = False,
) -> Generator[Step, None, dict[str, Any]]:
    """The steps of one drawing from decoded JSON, then its answer as JSON.

    ``strict``: refuse fields that fal does not have; a server has done so when it took the request
    in. Raises CallersFault, OurFault.
    """
    given = accept(endpoint.input, raw, strict=strict)
    yield Step(f"Drawn by the {opened.name} engine", 0.0)
    try:
        output = yield from opened.engine.draw(given, pictures)
    except InputProblem as fault:
        if fault.input is None and len(fault.loc) == 2:
            # fal repeats the value of the field at fault.
            fault.input = echo(raw.get(str(fault.loc[1])))
        raise
    return output.model_dump(mode="json", exclude_unset=True)


def draw(
    request: Request,
    engines: Engines,
    pictures: RequestPictures,
    ledger: Ledger,
    standing: Callable[[], Standing | None],
    trace: Trace,
) -> Outcome:
    """Run the engine to its end and answer with the outcome.

    ``standing`` is asked after every step besides the ledger: what the heartbeat last heard, or
    None when this worker is stopping. Raises Stopped when the work is not to be finished.
    """
    try:
        endpoint = engines.endpoints[request.submission.endpoint]
        opened = engines.engine(endpoint.id)
        trace.engine = opened.name
        steps = drawing(endpoint, opened, request.submission.input, pictures)
        teller = _Teller(request, opened.name, ledger, standing)
        try:
            while True:
                step = next(steps)
                trace.step(step)
                teller.tell(step)
        except StopIteration as end:
            body = end.value
            teller.close()
        finally:
            steps.close()
    except CallersFault as fault:
        return outcome_of(fault.answer())
    except Stopped:
        raise
    except (OutOfMemory, MemoryError) as fault:
        log.error("out_of_memory", request_id=request.id, fault=whereabouts(fault))
        told = fault if isinstance(fault, OutOfMemory) else OutOfMemory(NO_ROOM)
        return outcome_of(told.answer())
    except Exception as fault:  # noqa: BLE001 - the boundary that reports
        log.error("request_failed", request_id=request.id, fault=whereabouts(fault))
        return outcome_of(OUR_FAULT)
    return Outcome(http_status=200, body=body, files=tuple(pictures.published))


class _Teller:
    """Writes a request's steps to the ledger, and hears whether to go on.

    A step does not wait for its own answer but for the one before it, which is there by then: no
    drawing waits for a disk. A ledger that is away costs lines of the log at most: after
    STEP_PATIENCE the drawing goes on without its answer, and the heartbeat hears what became of
    the request.
    """

    def __init__(
        self,
        request: Request,
        engine: str,
        ledger: Ledger,
        standing: Callable[[], Standing | None],
    ) -> None:
        self._request = request
        self._engine = engine
        self._ledger = ledger
        self._standing = standing
        #: The oldest step whose answer was not looked at, and whether it was waited for in vain.
        self._unanswered: Future[Standing] | None = None
        self._late = False

    def tell(self, step: Step) -> None:
        """Write a step down. Raises Stopped if nobody wants the next one."""
        self.settle()
        taken = StepTaken(step.message, step.level, step.progress, self._engine, step.preview)
        written = self._ledger.step(self._request.id, self._request.attempt, taken)
        if self._unanswered is None:
            self._unanswered = written

    def settle(self) -> None:
        """Hear what was answered to the step before. Raises Stopped if nobody wants more."""
        for verdict in (self._answer(), self._standing()):
            if verdict is not Standing.ON:
                raise Stopped(verdict)

    def close(self) -> None:
        """:meth:`settle`, as far as is known by now.

        What is not, the ledger knows: it takes no outcome of what was cancelled or is lost.
        """
        self._late = True
        self.settle()

    def _answer(self) -> Standing:
        """What was answered to the step before; ON when nothing was, in time."""
        asked = self._unanswered
        if asked is None:
            return Standing.ON
        if self._late and not asked.done():
            return Standing.ON
        self._late = False
        try:
            told = asked.result(STEP_PATIENCE)
        except TimeoutError as fault:
            self._late = True
            log.warning("step_unanswered", request_id=self._request.id, fault=whereabouts(fault))
            return Standing.ON
        except Unreachable as fault:
            log.warning("step_unanswered", request_id=self._request.id, fault=whereabouts(fault))
            told = Standing.ON
        self._unanswered = None
        return told
