"""No log line holds what a caller said, also when a call fails by our fault."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
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
from tests.rig.process import Server, eventually

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


async def forget_a_failed_task() -> None:
    async def fail() -> None:
        raise RuntimeError(SECRET)

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    del task  # as asyncio tells when nobody asked what became of it
    gc.collect()


def test_what_libraries_log_are_lines_of_json_without_what_a_fault_says(
    capfd: pytest.CaptureFixture[str],
) -> None:
    set_up_logging(Settings())
    set_up_logging(Settings())  # twice is told once
    asyncio.run(forget_a_failed_task())
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    said = capfd.readouterr().err
    assert SECRET not in said
    lost, invalid = [json.loads(line) for line in said.splitlines()]
    assert lost["event"] == "Task exception was never retrieved"
    assert lost["fault"].startswith("RuntimeError > test_logging.py:")
    assert (invalid["event"], invalid["level"], invalid["logger"]) == (
        "Invalid HTTP request received.", "warning", "uvicorn.error",
    )  # fmt: skip


def test_what_a_server_logs_of_a_broken_line_is_json(tmp_path: Path) -> None:
    server = Server(tmp_path, workers=False)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
            line.sendall(b"this is no HTTP\r\n\r\n")
            assert line.recv(100).startswith(b"HTTP/1.1 400")
        told = eventually(
            lambda: [line for line in server.log.read_text().splitlines() if "Invalid" in line]
        )
    finally:
        server.stop()
    assert [json.loads(line)["event"] for line in told] == ["Invalid HTTP request received."]


def test_a_line_for_which_there_is_no_room_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 - to close it fails
    monkeypatch.setattr(sys, "stderr", full)
    set_up_logging(Settings())
    try:
        structlog.get_logger().error("request_failed")
    finally:
        with suppress(OSError):  # what could not be written cannot be when it is closed
            full.close()
