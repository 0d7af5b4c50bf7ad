"""Errors → fal's error JSON and headers: the only place of the server that catches them.

Knows HTTP and the tree in ``limner.errors``; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from limner.errors import OUR_FAULT, Answer, CallersFault, whereabouts

log = structlog.get_logger(__name__)


def as_response(answer: Answer) -> JSONResponse:
    """An Answer on the wire."""
    return JSONResponse(answer.body, answer.status, headers=answer.headers)


def outer_path(path: str) -> str:
    """A path as the caller knows it: without the internal ``/@part``."""
    return "/" + path.partition("/@")[2].partition("/")[2] if path.startswith("/@") else path


def install(app: FastAPI) -> None:
    """Make ``app`` speak of every error as fal does."""

    async def callers_fault(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, CallersFault)
        response = as_response(problem.answer())
        # wire.md 4.4, 4.5: what was refused costs nothing, and says so.
        response.headers.setdefault("x-fal-billable-units", "0")
        return response

    async def routing(request: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, HTTPException)
        detail: Any = problem.detail
        if problem.status_code == HTTPStatus.NOT_FOUND:
            detail = f"Path {outer_path(request.scope['path'])} not found"
        headers: Mapping[str, str] = problem.headers or {}
        return JSONResponse({"detail": detail}, problem.status_code, headers=dict(headers))

    async def our_fault(request: Request, problem: Exception) -> JSONResponse:
        log.error("call_failed", method=request.method, fault=whereabouts(problem))
        return as_response(OUR_FAULT)

    app.add_exception_handler(CallersFault, callers_fault)
    app.add_exception_handler(HTTPException, routing)
    app.add_exception_handler(Exception, our_fault)
