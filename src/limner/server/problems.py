"""Errors → fal's error JSON and headers: the only place of the server that catches them.

Knows HTTP and the tree in ``limner.errors``; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from limner.errors import OUR_FAULT, Answer, CallersFault, Refused, whereabouts
from limner.files.store import StoreAway
from limner.requests.connections import Unreachable
from limner.server.guards import GUARDS

log = structlog.get_logger(__name__)


#: What a caller is told while the ledger's database is away: nothing is lost, come again.
AWAY = Answer(
    503,
    {"detail": "Service temporarily unavailable"},
    {"retry-after": "5", "x-fal-retryable": "true"},
)

#: While the file store is: what was asked may be done in part, as when all files were to go.
STORE_AWAY = replace(
    AWAY, body={"detail": "The file store does not answer, so not all of it was done. Try again"}
)

#: The platform API's words for what went wrong (wire.md 8.2); any other status is its closest.
PLATFORM_TYPES = {
    400: "validation_error",
    401: "authorization_error",
    403: "permission_error",
    404: "not_found",
    429: "rate_limited",
    500: "server_error",
    503: "server_error",
}


def as_response(answer: Answer) -> JSONResponse:
    """An Answer on the wire."""
    return JSONResponse(answer.body, answer.status, headers=answer.headers)


def as_told(request: Request, answer: Answer) -> JSONResponse:
    """An Answer in the dialect of the part that was called: the platform API has its own."""
    if not request.scope["path"].startswith("/@platform"):
        return as_response(answer)
    status = answer.status if answer.status in PLATFORM_TYPES else 400
    error = {
        "type": PLATFORM_TYPES[status],
        "message": in_words(answer.body["detail"]),
        "docs_url": "https://docs.fal.ai/errors",
        "request_id": "",
    }
    return JSONResponse({"error": error}, status, headers=answer.headers)


def in_words(detail: Any) -> str:
    """fal's ``detail``, a text or a list of entries, as one line."""
    if not isinstance(detail, list):
        return str(detail)
    entries = cast("list[dict[str, Any]]", detail)
    return "; ".join(
        f"{'.'.join(str(step) for step in entry['loc'][1:]) or 'input'}: {entry['msg']}"
        for entry in entries
    )


def outer_path(path: str) -> str:
    """A path as the caller knows it: without the internal ``/@part``."""
    return "/" + path.partition("/@")[2].partition("/")[2] if path.startswith("/@") else path


def response_to(request: Request, problem: Exception) -> JSONResponse:
    """What whoever called ``request`` is told of ``problem``."""
    if isinstance(problem, CallersFault):
        response = as_told(request, problem.answer())
        # wire.md 4.4, 4.5: what was refused costs nothing, and says so.
        response.headers.setdefault("x-fal-billable-units", "0")
        return response
    if isinstance(problem, HTTPException):
        detail: Any = problem.detail
        if problem.status_code == HTTPStatus.NOT_FOUND:
            detail = f"Path {outer_path(request.scope['path'])} not found"
        headers: Mapping[str, str] = problem.headers or {}
        return as_told(request, Answer(problem.status_code, {"detail": detail}, dict(headers)))
    if isinstance(problem, ClientDisconnect):
        # Nobody will read it, and nothing is wrong with us.
        gone = Refused(499, "Client disconnected", error_type="client_disconnected")
        return as_told(request, gone.answer())
    event, answer = "call_failed", OUR_FAULT
    if isinstance(problem, Unreachable):
        event, answer = "database_away", AWAY
    elif isinstance(problem, StoreAway):
        event, answer = "store_away", STORE_AWAY
    log.error(event, method=request.method, fault=whereabouts(problem))
    told = as_told(request, answer)
    told.headers.update(GUARDS)  # one that nobody else catches is told outside of all middleware
    return told


def install(app: FastAPI) -> None:
    """Make ``app`` speak of every error as fal does."""

    async def told(request: Request, problem: Exception) -> JSONResponse:
        return response_to(request, problem)

    # FastAPI tells some kinds by itself where they are not named.
    for kind in (CallersFault, HTTPException, ClientDisconnect, Unreachable, StoreAway, Exception):
        app.add_exception_handler(kind, told)
