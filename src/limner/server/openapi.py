"""What fal publishes about an endpoint: its OpenAPI document and its ``llms.txt`` (wire.md 8.1).

Both are derived from the endpoint's models, so they cannot disagree with what is accepted.
Knows documents; knows no particular endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic.json_schema import models_json_schema

from limner.endpoints.base import Endpoint
from limner.endpoints.fields import EXTENSION, ORDER
from limner.server.hosts import Address

REF = "#/components/schemas/{model}"

QUEUE_STATUS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]},
        "request_id": {"type": "string", "description": "The request id."},
        "response_url": {"type": "string", "description": "The response url."},
        "status_url": {"type": "string", "description": "The status url."},
        "cancel_url": {"type": "string", "description": "The cancel url."},
        "logs": {
            "type": "array",
            "nullable": True,
            "items": {"type": "object", "additionalProperties": True},
            "description": "The logs.",
        },
        "metrics": {
            "type": "object",
            "additionalProperties": True,
            "description": "The metrics.",
        },
        "queue_position": {"type": "integer", "description": "The queue position."},
    },
    "required": ["status", "request_id"],
}


def in_openapi_3_0(schema: Any) -> Any:
    """A JSON schema in the older dialect of OpenAPI 3.0.

    It has no null type: an optional field is one that is not required. And what a bound excludes
    is told by a flag beside the bound, where newer schemas have a number.
    """
    if isinstance(schema, list):
        return [in_openapi_3_0(part) for part in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    out = {key: in_openapi_3_0(part) for key, part in cast("dict[str, Any]", schema).items()}
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(out.get(flag), int | float) and not isinstance(out[flag], bool):
            out[bound], out[flag] = out[flag], True
    branches = out.get("anyOf")
    if isinstance(branches, list) and {"type": "null"} in branches:
        kept = [branch for branch in cast("list[Any]", branches) if branch != {"type": "null"}]
        del out["anyOf"]
        out = {**kept[0], **out} if len(kept) == 1 else {**out, "anyOf": kept}
    if out.get("default", 0) is None:
        del out["default"]
    return out


def schemas_of(endpoint: Endpoint, *, strict: bool = False) -> dict[str, Any]:
    """The endpoint's models and all they refer to, as components.

    ``strict``: without Limner's own extensions, which a strict server refuses, and what only they
    refer to.
    """
    _, definitions = models_json_schema(
        [(endpoint.input, "validation"), (endpoint.output, "validation")], ref_template=REF
    )
    schemas: dict[str, Any] = in_openapi_3_0(definitions["$defs"])
    if strict:
        schemas = {name: _fals_own(schema) for name, schema in schemas.items()}
    named = _reached(schemas, [endpoint.input.__name__, endpoint.output.__name__])
    schemas = {name: schema for name, schema in schemas.items() if name in named}
    schemas["QueueStatus"] = QUEUE_STATUS
    return schemas


def _reached(schemas: dict[str, Any], left: list[str]) -> set[str]:
    """Names of what is ``left`` to go through and of all it refers to, however far."""
    found: set[str] = set()
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [ref.removeprefix(REF.format(model="")) for ref in _refs(schemas[name])]
    return found


def _refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for part in cast("list[Any]", schema):
            yield from _refs(part)
    elif isinstance(schema, dict):
        for key, part in cast("dict[str, Any]", schema).items():
            if key == "$ref" and isinstance(part, str):
                yield part
            else:
                yield from _refs(part)


def _fals_own(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema without the fields that fal does not have."""
    fields: dict[str, Any] = schema.get("properties", {})
    kept = {name: field for name, field in fields.items() if EXTENSION not in field}
    order = {ORDER: list(kept)} if ORDER in schema else {}
    return {**schema, "properties": kept, **order} if fields else schema


def _ok(schema: dict[str, Any], description: str) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"200": {"description": description, "content": content}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(model=name)}


def _paths(endpoint: Endpoint) -> dict[str, Any]:
    base = f"/{endpoint.id}"
    request_id: dict[str, Any] = {
        "name": "request_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "description": "Request ID"},
    }
    logs: dict[str, Any] = {
        "name": "logs",
        "in": "query",
        "required": False,
        "schema": {
            "type": "number",
            "description": "Whether to include logs (`1`) in the response or not (`0`).",
        },
    }
    success = {"type": "object", "properties": {"success": {"type": "boolean"}}}
    sent = {"application/json": {"schema": _ref(endpoint.input.__name__)}}
    return {
        f"{base}/requests/{{request_id}}/status": {
            "get": {
                "parameters": [request_id, logs],
                "responses": _ok(_ref("QueueStatus"), "The request status."),
            }
        },
        f"{base}/requests/{{request_id}}/cancel": {
            "put": {
                "parameters": [request_id],
                "responses": _ok(success, "The request was cancelled."),
            }
        },
        base: {
            "post": {
                "parameters": [],
                "requestBody": {"required": True, "content": sent},
                "responses": _ok(_ref("QueueStatus"), "The request status."),
            }
        },
        f"{base}/requests/{{request_id}}": {
            "get": {
                "parameters": [request_id],
                "responses": _ok(_ref(endpoint.output.__name__), "Result of the request."),
            }
        },
    }


def openapi_document(
    endpoint: Endpoint, address: Address, *, strict: bool = False
) -> dict[str, Any]:
    """The endpoint's document in the structure that fal publishes, served from ``address``."""
    page = f"{address.site}/models/{endpoint.id}"
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"Queue OpenAPI for {endpoint.id}",
            "version": "1.0.0",
            "description": f"The OpenAPI schema for the {endpoint.id} queue.",
            "x-fal-metadata": {
                "endpointId": endpoint.id,
                "category": endpoint.category,
                "playgroundUrl": page,
                "documentationUrl": f"{page}/llms.txt",
            },
        },
        "components": {
            "securitySchemes": {
                "apiKeyAuth": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "Fal Key",
                }
            },
            "schemas": schemas_of(endpoint, strict=strict),
        },
        "paths": _paths(endpoint),
        "servers": [{"url": address.queue}],
        "security": [{"apiKeyAuth": []}],
    }


def _field_lines(schema: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, field in schema["properties"].items():
        kind = field.get("type") or "see the OpenAPI document"
        need = "required" if name in schema.get("required", []) else "optional"
        text = " ".join(field.get("description", "").split())
        default = f" Default: `{json.dumps(field['default'])}`." if "default" in field else ""
        lines.append(f"- **`{name}`** ({kind}, {need}): {text}{default}")
    return lines


def llms_text(endpoint: Endpoint, address: Address, *, strict: bool = False) -> str:
    """A page about the endpoint for people and language models, in Markdown."""
    schemas = schemas_of(endpoint, strict=strict)
    return "\n".join(
        [
            f"# {endpoint.title}",
            "",
            f"> {endpoint.description}",
            "",
            "## Overview",
            "",
            f"- **Endpoint**: `{address.run}/{endpoint.id}`",
            f"- **Model ID**: `{endpoint.id}`",
            f"- **Category**: {endpoint.category}",
            "",
            "## Input Schema",
            "",
            *_field_lines(schemas[endpoint.input.__name__]),
            "",
            "## Output Schema",
            "",
            *_field_lines(schemas[endpoint.output.__name__]),
            "",
            "## Example",
            "",
            "```json",
            json.dumps(endpoint.example, indent=2),
            "```",
            "",
        ]
    )


def documents_router(endpoints: Sequence[Endpoint], *, strict: bool) -> APIRouter:
    """fal.ai's pages that programs read; ``strict`` as the server is."""
    router = APIRouter()
    by_id = {endpoint.id: endpoint for endpoint in endpoints}

    async def openapi(request: Request, endpoint_id: str = "") -> Response:
        endpoint = by_id.get(endpoint_id)
        if endpoint is None:
            return JSONResponse(None, 404)
        return JSONResponse(openapi_document(endpoint, request.state.address, strict=strict))

    async def llms(request: Request, endpoint_id: str) -> Response:
        endpoint = by_id.get(endpoint_id)
        if endpoint is None:
            return JSONResponse({"detail": "Not found"}, 404)
        return PlainTextResponse(
            llms_text(endpoint, request.state.address, strict=strict), media_type="text/markdown"
        )

    for site in ("/@site", ""):
        router.add_api_route(
            f"{site}/api/openapi/queue/openapi.json", openapi, methods=["GET"], response_model=None
        )
    router.add_api_route(
        "/@site/models/{endpoint_id:path}/llms.txt", llms, methods=["GET"], response_model=None
    )
    return router
