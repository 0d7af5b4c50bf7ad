"""``/limner/v1``: what fal has no words for, as JSON: who I am here, and what is served.

Every page of the playground is drawn from these answers, so whatever a person can see, a program
can read. Knows our own words; knows none of fal's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request

from limner.endpoints.base import Endpoint
from limner.server.keys import Gate

BASE = "/limner/v1"


def desk_router(gate: Gate, endpoints: Sequence[Endpoint]) -> APIRouter:
    """The routes that every caller may use."""
    router = APIRouter(prefix=BASE)

    @router.get("/me")
    async def me(request: Request) -> dict[str, Any]:
        """Who calls; ``key`` is null while none is needed. Raises Refused 401."""
        caller = await gate.caller(request)
        return {"key": caller.key_id or None, "admin": caller.admin}

    @router.get("/endpoints")
    async def served() -> dict[str, Any]:
        """What is served; public, as the documents of each endpoint are."""
        return {
            "endpoints": [
                {
                    "id": endpoint.id,
                    "title": endpoint.title,
                    "category": endpoint.category,
                    "description": endpoint.description,
                    "input": endpoint.input.__name__,
                    "output": endpoint.output.__name__,
                    "example": dict(endpoint.example),
                }
                for endpoint in endpoints
            ]
        }

    return router
