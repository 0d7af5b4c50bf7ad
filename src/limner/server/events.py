"""Server-sent events as fal sends them: every event one JSON document, a comment to stay alive.

Knows the format (WHATWG HTML, 9.2); knows nothing of what it sends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

#: Seconds of silence after which a comment is sent, so that no proxy hangs up.
PING_EVERY = 15


def event_stream(events: AsyncIterator[Any], request_id: str) -> StreamingResponse:
    """``events`` (JSON values) as a response that ends when they end."""
    return StreamingResponse(
        _frames(events),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-fal-request-id": request_id},
    )


async def _frames(events: AsyncIterator[Any]) -> AsyncIterator[str]:
    upcoming = asyncio.ensure_future(_next(events))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=PING_EVERY)
            if not done:
                yield ": ping\n\n"
                continue
            try:
                event = upcoming.result()
            except StopAsyncIteration:
                return
            yield f"data: {json.dumps(event, separators=(',', ':'))}\n\n"
            upcoming = asyncio.ensure_future(_next(events))
    finally:
        upcoming.cancel()


async def _next(events: AsyncIterator[Any]) -> Any:
    """``anext`` as a coroutine, which a task needs."""
    return await anext(events)
