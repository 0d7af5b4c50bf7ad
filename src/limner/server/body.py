"""Reading a JSON body: capped while it streams, strict about what JSON is.

Knows bytes and JSON; knows no endpoint.
"""

from __future__ import annotations

import codecs
from typing import Any

from fastapi import Request
from pydantic_core import from_json

from limner.errors import DOCS_URL, InvalidInput, Refused
from limner.server.numerals import declared_length


async def read_capped(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises Refused 413 as soon as it is too long."""
    refusal = Refused(413, f"The request body is larger than {max_bytes} bytes")
    if declared_length(request.headers) > max_bytes:
        raise refusal
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise refusal
    return bytes(body)


async def read_json(request: Request, max_bytes: int) -> Any:
    """The body as JSON; an empty one is an empty object, as ``@fal-ai/client`` sends it.

    A byte order mark is dropped: Windows programs write one. Of two equal keys the last counts,
    and the content type is not asked, both as at fal.
    Raises Refused 413, InvalidInput when it is not JSON (NaN and Infinity are not).
    """
    body = (await read_capped(request, max_bytes)).removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        return {}
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput(
            [
                {
                    "loc": ["body"],
                    "msg": f"The body is not valid JSON: {error}. Send the input as a JSON object "
                    "in UTF-8, with content-type application/json.",
                    "type": "json_invalid",
                    "url": DOCS_URL + "json_invalid",
                    "ctx": {"error": str(error)},
                }
            ]
        ) from None
