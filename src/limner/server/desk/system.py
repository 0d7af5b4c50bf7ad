"""This server itself: versions, engines, workers, queue, how long things are kept. For admins.

Knows what it is told; asks no device and reads no setting.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from limner import __version__
from limner.requests.ledger import Ledger
from limner.server.desk.keys import admin
from limner.server.keys import Gate


def add_system(
    router: APIRouter,
    gate: Gate,
    ledger: Ledger,
    about: Callable[[], Mapping[str, Any]],
    renew: Callable[[], None],
) -> None:
    """Add the routes; ``about``: what the command line knows of this server."""
    began = time.time()

    @router.get("/system")
    async def system(request: Request) -> dict[str, Any]:
        """How this server stands now. Times are unix seconds, durations seconds."""
        await admin(gate, request)
        return {
            "version": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(terse=True),
            "started_at": began,
            "queue": await asyncio.wrap_future(ledger.census()),
            "fleet": [
                {**asdict(seen.presence), "started_at": seen.started_at, "running": seen.running}
                for seen in await asyncio.wrap_future(ledger.workers())
            ],
            **about(),
        }

    @router.post("/system/renew")
    async def start_anew(request: Request) -> dict[str, Any]:
        """Start the workers anew: each ends politely, and its successor chooses its engines."""
        await admin(gate, request)
        await asyncio.to_thread(renew)
        return {"renewed": True}
