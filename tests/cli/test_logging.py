"""No log line holds what a caller said, also when a call fails by our fault."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
import uvicorn

from limner.cli.house import set_up_logging
from limner.settings import Settings

SECRET = "a person who must not be named"


async def broken(scope: Any, receive: Any, send: Any) -> None:
    """Any ASGI application with a fault of its own."""
    raise RuntimeError(SECRET)


async def fail_once() -> None:
    config = uvicorn.Config(broken, port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/")
        assert (answer.status_code, SECRET in answer.text) == (500, False)
    server.should_exit = True
    await serving


def test_uvicorn_does_not_tell_what_a_call_failed_with(caplog: pytest.LogCaptureFixture) -> None:
    set_up_logging(Settings())
    with caplog.at_level(logging.DEBUG):
        asyncio.run(fail_once())
    assert SECRET not in caplog.text
    # The rest of what uvicorn says is heard.
    assert "Uvicorn running" in caplog.text


def test_a_line_for_which_there_is_no_room_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 - to close it fails
    monkeypatch.setattr(sys, "stderr", full)
    set_up_logging(Settings())
    try:
        structlog.get_logger().error("request_failed")
    finally:
        with suppress(OSError):  # what could not be written cannot be when it is closed
            full.close()
