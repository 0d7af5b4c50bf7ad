"""Taking a call in: which endpoint, who calls, what was said beside the input; then the ledger.

Queue, run and stream all come through here, so a header means the same on every road.
Knows fal's request headers (wire.md 5); knows no engine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from fastapi import Request as HttpRequest
from starlette.requests import HTTPConnection

from limner.endpoints.accept import accept
from limner.endpoints.base import Endpoint
from limner.errors import CallersFault, Refused, bad_request
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Priority, Request, Submission
from limner.server.body import read_json
from limner.server.crossing import Answers
from limner.server.hosts import Address
from limner.server.keys import Caller, Gate
from limner.server.lifetimes import PREFERENCE_HEADERS, wanted_life
from limner.server.looks import Looks
from limner.server.numerals import is_whole
from limner.tracing import Tracing

#: A hint is a name, not a text.
LONGEST_HINT = 200

TRUE = frozenset({"1", "true", "yes"})


@dataclass(frozen=True, slots=True)
class App:
    """What an endpoint id on the wire resolves to."""

    endpoint: Endpoint
    #: What follows ``owner/alias``; fal's queue URLs drop it.
    path: str


class Intake:
    """Accepts calls into the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        endpoints: Sequence[Endpoint],
        gate: Gate,
        *,
        max_body_bytes: int,
        strict: bool,
        tracing: Tracing | None = None,
    ) -> None:
        """``strict``: refuse fields that fal does not have, Limner's own extensions among them."""
        self._tracing = tracing
        self.ledger = ledger
        self.looks = Looks(ledger)
        self._answers = Answers()
        # Whom the gate knows from before, the ledger looks at once more.
        self._submit = partial(ledger.submit, keyed=True)
        self.gate = gate
        self._endpoints = {endpoint.id: endpoint for endpoint in endpoints}
        self._max_body_bytes = max_body_bytes
        self.strict = strict

    def resolve(self, app: str) -> App:
        """``owner/alias[/path]`` as an App. Raises Refused 404 as fal words it."""
        owner, _, rest = app.strip("/").partition("/")
        alias, _, path = rest.partition("/")
        endpoint = self._endpoints.get(f"{owner}/{alias}")
        if endpoint is None:
            raise Refused(404, f'Application "{alias or owner}" not found')
        return App(endpoint, path.strip("/"))

    async def queue(self, call: HttpRequest, app: App) -> Request:
        """Accept a call into the queue.

        As at fal, input that will not do is accepted and becomes the request's result: a 422 for
        wrong fields, a 404 for a path the application does not have. Nobody waits for it, though.
        """
        began = time.time()
        caller = await self.gate.submitter(call, app.endpoint.id)
        raw = await self._raw_input(call)
        ended = self._refusal(app, raw)
        submission = self._submission(call, app, caller, raw)
        waiting = _whole_number(call.query_params.get("fal_max_queue_length"))
        submit = partial(self._submit, max_waiting=waiting, ended=ended)
        return await self._submitted(call, submission, submit, began)

    async def run(self, call: HttpRequest, app: App) -> Request:
        """Accept a call whose caller waits on the line: wrong input is refused at once.

        Raises InvalidInput, Refused 404. fal never retries these, so neither do we.
        """
        caller = await self.gate.submitter(call, app.endpoint.id)
        return await self.take(call, app, caller, await self._raw_input(call))

    async def take(self, call: HTTPConnection, app: App, caller: Caller, raw: Any) -> Request:
        """Accept ``raw`` input that came over ``call``, for whoever waits there.

        Raises InvalidInput, Refused 404.
        """
        began = time.time()
        if app.path:
            raise Refused(404, f"Path /{app.path} not found")
        accept(app.endpoint.input, raw, strict=self.strict)
        submission = self._submission(call, app, caller, raw, no_retry=True)
        return await self._submitted(call, submission, self._submit, began)

    async def _submitted(
        self,
        call: HTTPConnection,
        submission: Submission,
        submit: Callable[[Submission], Future[Request]],
        began: float,
    ) -> Request:
        """Into the ledger; in a span of the caller's trace, where spans are asked for."""
        if self._tracing is None:
            return await self._answers.of(submit(submission))
        said = call.headers.get("traceparent")
        who = {"endpoint": submission.endpoint}
        span = self._tracing.begin("accept", said, who, at=began, kind="SERVER")
        try:
            request = await self._answers.of(submit(replace(submission, trace=span.traceparent)))
        except BaseException as fault:
            span.end(type(fault).__name__)
            raise
        outcome = request.outcome
        span.end(outcome and outcome.fault, {"request_id": request.id})
        return request

    async def find(self, call: HttpRequest, app: str, request_id: str) -> Request:
        """A request of this caller. Raises Refused 404: unknown, expired, or somebody else's."""
        resolved = self.resolve(app)
        caller = await self.gate.caller(call, resolved.endpoint.id)
        request = await self.looks.get(request_id)
        if (
            request is None
            or request.submission.endpoint != resolved.endpoint.id
            or not (caller.admin or request.submission.key_id == caller.key_id)
        ):
            raise Refused(404, "Request not found", body={"status": "NOT_FOUND"})
        return request

    async def _raw_input(self, call: HttpRequest) -> Any:
        if call.method == "GET":
            reserved = {"fal_webhook", "fal_max_queue_length", "fal_jwt_token"}
            return {key: value for key, value in call.query_params.items() if key not in reserved}
        return await read_json(call, self._max_body_bytes)

    def _refusal(self, app: App, raw: Any) -> Outcome | None:
        try:
            if app.path:
                raise Refused(404, f"Path /{app.path} not found")
            accept(app.endpoint.input, raw, strict=self.strict)
        except CallersFault as fault:
            answer = fault.answer()
            return Outcome(
                http_status=answer.status,
                body=answer.body,
                headers=answer.headers,
                error=f"Invalid status code: {answer.status}",
            )
        return None

    def _submission(
        self, call: HTTPConnection, app: App, caller: Caller, raw: Any, *, no_retry: bool = False
    ) -> Submission:
        headers = call.headers
        address: Address = call.state.address
        known = app.endpoint.input.model_fields
        return Submission(
            hint=_hint(app.endpoint, headers.get("x-fal-runner-hint"), raw),
            endpoint=app.endpoint.id,
            path=app.path,
            # Only what the endpoint knows is kept: an unknown field may hold anything.
            input={k: v for k, v in cast("dict[str, Any]", raw).items() if k in known}
            if isinstance(raw, dict)
            else {},
            key_id=caller.key_id,
            priority=_priority(headers.get("x-fal-queue-priority")),
            webhook_url=_webhook(call.query_params.get("fal_webhook")),
            start_by=_start_by(headers.get("x-fal-request-timeout")),
            no_retry=no_retry or headers.get("x-fal-no-retry", "").lower() in TRUE,
            store_io=headers.get("x-fal-store-io", "1").lower() not in ("0", "false", "no"),
            file_lifetime=wanted_life(headers, PREFERENCE_HEADERS),
            files_base=address.files,
            # One handshake carries many requests, so there it names none.
            idempotency_key=headers.get("idempotency-key")
            if call.scope["type"] == "http"
            else None,
        )


def _hint(endpoint: Endpoint, said: str | None, raw: Any) -> str | None:
    """What the worker had better have in memory: what the caller hints at, else the weights."""
    if said:
        return f"said {said[:LONGEST_HINT]}"
    fields = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    if endpoint.weighed_by is None:
        return None
    return " ".join([endpoint.id, *endpoint.weighed_by(fields)])[:LONGEST_HINT]


def _priority(value: str | None) -> Priority:
    if value is None:
        return Priority.NORMAL
    try:
        return Priority(value.lower())
    except ValueError:
        raise bad_request("X-Fal-Queue-Priority must be normal or low") from None


def _start_by(value: str | None) -> float | None:
    """Seconds to start within → the unix time by which it must have started."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not (0 < seconds < math.inf):
        raise bad_request("X-Fal-Request-Timeout must be a number of seconds above 0")
    return time.time() + seconds


def _webhook(value: str | None) -> str | None:
    if not value:
        return None
    try:
        url = urlsplit(value)
    except ValueError:
        url = None
    if url is None or url.scheme not in ("http", "https") or not url.hostname:
        raise bad_request("fal_webhook must be an absolute http or https URL")
    return value


def _whole_number(value: str | None) -> int | None:
    if value is None:
        return None
    if not is_whole(value, 9):
        raise bad_request("fal_max_queue_length must be a whole number")
    return int(value)
