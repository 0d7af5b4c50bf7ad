"""The troubles of a line are troubles indeed: else a proof under them would prove nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.faults.line import Line, Trouble


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a program that says everything back."""

    def serve(call: socket.socket) -> None:
        with call, suppress(ConnectionError):
            while piece := call.recv(4096):
                call.sendall(piece)

    def listen(listening: socket.socket) -> None:
        while True:
            try:
                call, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(call,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=listen, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(echo: int) -> Iterator[Line]:
    made = Line(echo)
    yield made
    made.close()


def said_back(call: socket.socket, said: bytes, patience: float = 5) -> bytes | None:
    """What comes back; None for nothing in that time."""
    call.settimeout(patience)
    call.sendall(said)
    try:
        return call.recv(4096)
    except TimeoutError:
        return None


def test_a_line_passes_on_until_it_is_troubled(line: Line) -> None:
    address = ("127.0.0.1", line.port)
    with socket.create_connection(address) as call:
        assert said_back(call, b"here") == b"here"
        with line.troubled(Trouble(stuck=True)):
            assert said_back(call, b"late", patience=0.3) is None
        call.settimeout(5)
        assert call.recv(4096) == b"late"
        line.drop()
        with pytest.raises(ConnectionResetError):
            call.recv(4096)
    with line.troubled(Trouble(refuse=True)), socket.create_connection(address) as call:
        assert call.recv(4096) == b""
    with line.troubled(Trouble(answer=b"no")), socket.create_connection(address) as call:
        assert said_back(call, b"GET / HTTP/1.1\r\n\r\n") == b"no"
    with line.troubled(Trouble(instead=b"no")), socket.create_connection(address) as call:
        assert said_back(call, b"yes") == b"no"
    with line.troubled(Trouble(cut_after=3)), socket.create_connection(address) as call:
        assert said_back(call, b"ab") == b"ab"
        call.sendall(b"cdef")
        with pytest.raises(ConnectionResetError):
            while call.recv(4096):
                pass
    with socket.create_connection(address) as call:
        assert said_back(call, b"well again") == b"well again"
