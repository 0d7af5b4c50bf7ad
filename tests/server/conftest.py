"""What the server's tests share."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.rig.process import Server


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose workers never come: everything in its queue stays there."""
    running = Server(tmp_path_factory.mktemp("busy"), env={"LIMNER_WORKERS": "0"})
    yield running
    running.stop()


def raw(server: Server, request: bytes) -> tuple[bytes, bytes]:
    """Send bytes as they are; the answer's head and body, when the server hung up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(request)
        answer = b""
        while more := line.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body
