"""fal's platform API (``api.fal.ai/v1``), as far as one's own server has something true to say.

The models there are, the requests that ended, and forgetting what one held (wire.md 8.2); there is
no price, usage or billing to tell. Knows fal's platform words; knows no engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from pydantic import BaseModel, Field

from limner.endpoints.accept import accept
from limner.endpoints.base import Endpoint
from limner.errors import Refused
from limner.files.store import FileStore
from limner.requests.history import Ending, SortBy, Sought
from limner.requests.ledger import Ledger
from limner.requests.request import Request
from limner.server.deleting import delete_request
from limner.server.hosts import Address
from limner.server.keys import Gate
from limner.server.openapi import openapi_document

#: What is said of a file that could not be deleted yet.
STILL_OWED = "The file store could not be reached; the file is deleted as soon as it can be"

#: No list is longer; a larger number is none that a database has.
FURTHEST = 2**53


class ModelsQuery(BaseModel):
    """What a catalogue can be asked."""

    endpoint_id: Annotated[list[str], Field(max_length=50)] = []
    q: str = ""
    category: str | None = None
    status: Literal["active", "deprecated"] = "active"
    expand: list[str] = []
    cursor: Annotated[int, Field(ge=0, le=FURTHEST)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class RequestsQuery(BaseModel):
    """What the list of ended requests can be asked."""

    endpoint_id: str
    start: datetime | None = None
    end: datetime | None = None
    status: Ending | None = None
    request_id: str | None = None
    expand: list[str] = []
    sort_by: SortBy = SortBy.ENDED_AT
    cursor: Annotated[int, Field(ge=0, le=FURTHEST)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class Platform:
    """The platform's words for one ledger and one store."""

    def __init__(
        self, ledger: Ledger, files: FileStore, gate: Gate, endpoints: Sequence[Endpoint]
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._gate = gate
        self._endpoints = endpoints

    async def models(self, call: HttpRequest) -> dict[str, Any]:
        """The catalogue; open to all, as at fal."""
        asked = accept(ModelsQuery, _query(call, "endpoint_id", "expand"))
        words = asked.q.lower()
        found = [
            endpoint
            for endpoint in self._endpoints
            if (not asked.endpoint_id or endpoint.id in asked.endpoint_id)
            and asked.category in (None, endpoint.category)
            and words in f"{endpoint.id} {endpoint.title} {endpoint.description}".lower()
            and asked.status == "active"
        ]
        page = found[asked.cursor : asked.cursor + asked.limit]
        address: Address = call.state.address
        models = [_model(endpoint, address, asked.expand) for endpoint in page]
        return {"models": models, **_onwards(asked.cursor, len(page), len(found))}

    async def requests(self, call: HttpRequest) -> dict[str, Any]:
        """Ended requests of one endpoint: a key sees its own, an admin's key all."""
        caller = await self._gate.caller(call)
        asked = accept(RequestsQuery, _query(call, "expand"))
        if asked.endpoint_id not in {endpoint.id for endpoint in self._endpoints}:
            raise Refused(404, f'There is no endpoint "{asked.endpoint_id}"')
        sought = Sought(
            endpoint=asked.endpoint_id,
            key_id=None if caller.admin else caller.key_id,
            request_id=asked.request_id,
            ended_from=_unix(asked.start),
            ended_before=_unix(asked.end),
            ending=asked.status,
            sort_by=asked.sort_by,
            offset=asked.cursor,
            limit=asked.limit + 1,
        )
        found = await asyncio.wrap_future(self._ledger.ended(sought))
        page = found[: asked.limit]
        items = [_item(request, payloads="payloads" in asked.expand) for request in page]
        return {"items": items, **_onwards(asked.cursor, len(page), asked.cursor + len(found))}

    async def forget(self, call: HttpRequest, request_id: str) -> dict[str, Any]:
        """Delete what an ended request was given and what it made; what became of each file."""
        caller = await self._gate.caller(call)
        request = await asyncio.wrap_future(self._ledger.get(request_id))
        if request is None or not (caller.admin or request.submission.key_id == caller.key_id):
            raise Refused(404, "Request not found")
        deleted = await asyncio.to_thread(
            delete_request, self._ledger, self._files, request_id, request.submission.key_id
        )
        if deleted is None:
            raise Refused(400, "The request has not ended; cancel it first")
        base = request.submission.files_base
        told = dict.fromkeys(deleted.gone, None) | dict.fromkeys(deleted.owed, STILL_OWED)
        return {
            "cdn_delete_results": [
                {"link": f"{base}/files/{name}", "exception": why} for name, why in told.items()
            ]
        }


def _query(call: HttpRequest, *lists: str) -> dict[str, Any]:
    """The query as fields: those named are lists, repeated or with commas, as fal takes both."""
    fields: dict[str, Any] = {
        name: value for name, value in call.query_params.items() if name not in lists
    }
    for name in lists:
        given = call.query_params.getlist(name)
        fields[name] = [part for value in given for part in value.split(",") if part]
    return fields


def _model(endpoint: Endpoint, address: Address, expand: Sequence[str]) -> dict[str, Any]:
    model: dict[str, Any] = {
        "endpoint_id": endpoint.id,
        "metadata": {
            "display_name": endpoint.title,
            "category": endpoint.category,
            "description": endpoint.description,
            "status": "active",
            "tags": [],
            "is_favorited": None,
            "model_url": f"{address.run}/{endpoint.id}",
            "stream_url": f"{address.run}/{endpoint.id}/stream",
            "kind": "inference",
        },
    }
    if "openapi-3.0" in expand:
        model["openapi"] = openapi_document(endpoint, address)
    return model


def _item(request: Request, *, payloads: bool) -> dict[str, Any]:
    assert request.outcome is not None
    assert request.finished_at is not None
    item: dict[str, Any] = {
        "request_id": request.id,
        "endpoint_id": request.submission.endpoint,
        "sent_at": _iso(request.created_at),
        "started_at": _iso(request.started_at),
        "ended_at": _iso(request.finished_at),
        "status_code": request.outcome.http_status,
        "duration": request.inference_time,
    }
    if payloads:
        item |= {"json_input": request.submission.input, "json_output": request.outcome.body}
    return item


def _onwards(cursor: int, here: int, total: int) -> dict[str, Any]:
    more = cursor + here < total
    return {"next_cursor": str(cursor + here) if more else None, "has_more": more}


def _unix(moment: datetime | None) -> float | None:
    """Unix seconds; a time without a zone is UTC."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def platform_router(platform: Platform) -> APIRouter:
    """The routes of ``api.fal.ai``."""
    router = APIRouter(prefix="/@platform/v1/models")
    router.add_api_route("", platform.models, methods=["GET"])
    router.add_api_route("/requests/by-endpoint", platform.requests, methods=["GET"])
    router.add_api_route("/requests/{request_id}/payloads", platform.forget, methods=["DELETE"])
    return router
