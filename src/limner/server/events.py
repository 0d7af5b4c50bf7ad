"""Server-sent events as fal sends them: every event one JSON document, a comment to stay alive.

Knows the format (WHATWG HTML, 9.2); knows nothing of what it sends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from fastapi.responses import StreamingResponse

#: Seconds of silence after which a comment is sent, so that no proxy hangs up.
PING_EVERY = 15


#: What the pump says last.
END = object()


def event_stream(events: AsyncGenerator[Any], request_id: str) -> StreamingResponse:
    """``events`` (JSON values) as a response; they are closed when nobody listens any more."""
    return StreamingResponse(
        _frames(events),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-fal-request-id": request_id},
    )


async def _frames(events: AsyncGenerator[Any]) -> AsyncGenerator[str]:
    ready: asyncio.Queue[Any] = asyncio.Queue()
    pump = asyncio.create_task(_pump(events, ready))
    pump.add_done_callback(lambda _: ready.put_nowait(END))
    try:
        while True:
            try:
                async with asyncio.timeout(PING_EVERY):
                    event = await ready.get()
            except TimeoutError:
                yield ": ping\n\n"
                continue
            if event is END:
                pump.result()
                return
            yield f"data: {json.dumps(event, separators=(',', ':'))}\n\n"
    finally:
        pump.cancel()


async def _pump(events: AsyncGenerator[Any], ready: asyncio.Queue[Any]) -> None:
    """Move events to ``ready``; a task of its own, so that they may end in peace.

    Whoever hangs up cancels the task that sends, again and again until it is gone; what the events
    have to do at their end (a run is cancelled) must not be cancelled with it.
    """
    try:
        async for event in events:
            ready.put_nowait(event)
    finally:
        await events.aclose()
