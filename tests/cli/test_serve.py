"""``limner serve`` says where it is, what draws and which key; and shows the page."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn

from limner.cli.serve import Listen, announce, bind, outlive_signals
from limner.endpoints import ENDPOINTS
from limner.settings import Settings
from tests.rig.process import eventually


@contextmanager
def serving(home: Path, *options: str, **environment: str) -> Generator[Path]:
    """A server without workers on a free port while the block lasts; what it says."""
    said = home / "said"
    command = [sys.executable, "-m", "limner", "serve", "--port", "0", "--no-worker", *options]
    with said.open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, "LIMNER_HOME": str(home), **environment}, stderr=log
        )
    try:
        yield said
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def test_reached_from_elsewhere_it_wants_a_key_and_makes_one_if_told(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "limner", "serve", "--host", "0.0.0.0", "--port", "0"],
        env={**os.environ, "LIMNER_HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (refused.returncode, "add --make-key" in refused.stderr) == (2, True)

    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o700)
    options = ["--host", "0.0.0.0", "--make-key", "--open"]
    with serving(tmp_path, *options, BROWSER=str(browser)) as said:
        address = eventually(lambda: opened.read_text().strip() if opened.exists() else None)
        assert address.startswith("http://127.0.0.1:")
        (key,) = re.findall(r"^  key (\w+:\w+) \(shown this once", said.read_text(), re.MULTILINE)
        me = httpx2.get(f"{address}/limner/v1/me", headers={"authorization": f"Key {key}"})
        assert me.json() == {"key": key.partition(":")[0], "admin": True}
        assert httpx2.get(f"{address}/limner/v1/me").status_code == 401
    with serving(tmp_path, *options, BROWSER="false") as said:
        eventually(lambda: "  a key is needed (FAL_KEY)" in said.read_text())
        assert key not in said.read_text()


def test_on_loopback_it_says_that_no_key_is_needed(tmp_path: Path) -> None:
    with serving(tmp_path, "--engine", "sketch") as said:
        eventually(lambda: "no key" in said.read_text())
        told = said.read_text()
        address = re.findall(r"^Limner listens on (http://127\.0\.0\.1:\d+)$", told, re.MULTILINE)[
            0
        ]
        system = httpx2.get(f"{address}/limner/v1/system", timeout=60).json()
    assert "no key is needed from this machine" in told
    # What would draw on this machine is not what draws where the workers are.
    assert "engine" not in told
    assert "no worker runs beside it: `limner work` does" in told
    assert system["workers"] | {"alive": 0, "wanted": 0} == system["workers"]
    assert system["engines"]["fal-ai/face-to-sticker"]["why"].split("; ") == [
        "no worker runs beside this server, and each chooses for its own machine", "asked for",
    ]  # fmt: skip


def test_it_says_what_draws_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    listen = Listen("127.0.0.1", 0)
    with bind(listen) as sock:
        announce(listen, sock, Settings(engine="sketch"), ENDPOINTS)
    assert "  fal-ai/face-to-sticker: sketch engine (asked for)\n" in capsys.readouterr().err


def test_a_signal_that_comes_before_the_server_runs_is_not_lost() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    server = uvicorn.Server(uvicorn.Config(lambda: None))
    try:
        outlive_signals(server)
        for number in before:
            server.should_exit = False
            signal.raise_signal(number)
            assert server.should_exit
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def test_no_answers_body_waits_for_the_acknowledgement_of_its_head() -> None:
    """Nagle's algorithm holds a second small write back until the first is acknowledged, which a
    client with nothing to say puts off for 40 ms; asyncio turns it off for what says it is TCP."""

    async def accepted() -> int:
        arrived: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        class Arriving(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                sock = transport.get_extra_info("socket")
                arrived.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        sock = bind(Listen("127.0.0.1", 0))
        async with await asyncio.get_running_loop().create_server(Arriving, sock=sock):
            _, writer = await asyncio.open_connection(*sock.getsockname())
            writer.close()
            return await arrived

    assert asyncio.run(accepted())
