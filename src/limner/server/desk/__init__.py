"""``/limner/v1``: what fal has no words for, as JSON: requests, files, models, keys, this server.

Every page of the playground is drawn from these answers, so whatever a person can see, a program
can read. A key of scope ``api`` sees its own requests and files; ``admin``, and everybody on a
loopback that needs no key, sees all. Knows our own words; knows none of fal's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request

from limner.endpoints.base import Endpoint
from limner.files.seals import Seals
from limner.files.store import FileStore
from limner.requests.ledger import Ledger
from limner.server.desk.files import add_files
from limner.server.desk.keys import add_keys
from limner.server.desk.models import Shelf, add_models
from limner.server.desk.requests import add_requests
from limner.server.desk.system import add_system
from limner.server.desk.webhooks import add_webhooks
from limner.server.keys import Gate

#: What the command line knows of this server: settings and workers, as plain JSON values.
About = Callable[[], Mapping[str, Any]]

BASE = "/limner/v1"


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the desk shows and changes."""

    ledger: Ledger
    files: FileStore
    seals: Seals
    endpoints: Sequence[Endpoint]
    about: About
    #: Where networks and weights are kept.
    shelves: Sequence[Shelf]
    #: Starts the workers anew.
    renew: Callable[[], None]
    #: Seconds for which an uploaded file is kept.
    upload_retention: float


def desk_router(gate: Gate, parts: DeskParts) -> APIRouter:
    """All routes of the desk."""
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
                for endpoint in parts.endpoints
            ]
        }

    add_requests(router, gate, parts.ledger, parts.files)
    add_webhooks(router, gate, parts.ledger)
    kept = {"results": parts.ledger.retention, "uploads": parts.upload_retention}
    add_files(router, gate, parts.files, parts.seals, kept)
    add_models(router, gate, parts.shelves)
    add_keys(router, gate, parts.ledger)
    add_system(router, gate, parts.ledger, parts.about, parts.renew)
    return router
