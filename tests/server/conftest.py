"""What the server's tests share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.process import ROOT, Server


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose workers never come: everything in its queue stays there."""
    running = Server(tmp_path_factory.mktemp("busy"), env={"LIMNER_WORKERS": "0"})
    yield running
    running.stop()


def new_key(home: Path, scope: str) -> dict[str, str]:
    """A header with a fresh key."""
    made = subprocess.run(
        [sys.executable, "-m", "limner", "keys", "create", "--scope", scope],
        cwd=ROOT,
        env={**os.environ, "LIMNER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {"authorization": f"Key {made.stdout.strip()}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("guarded"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def admin(guarded: Server) -> dict[str, str]:
    return new_key(guarded.home, "admin")


@pytest.fixture(scope="module")
def user(guarded: Server, admin: dict[str, str]) -> dict[str, str]:
    return new_key(guarded.home, "api")


def raw(server: Server, request: bytes) -> tuple[bytes, bytes]:
    """Send bytes as they are; the answer's head and body, when the server hung up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(request)
        answer = b""
        while more := line.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body
