"""One port for plain HTTP, TLS and CONNECT, by real sockets against a real server."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.rig.process import Server, eventually


def connect(server: Server) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    sock.settimeout(10)
    return sock


def exchange(sock: socket.socket, said: bytes) -> bytes:
    sock.sendall(said)
    return sock.recv(65536)


@pytest.fixture
def trusting(tls_server: Server) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tls_server.authority))


def test_plain_http_and_tls_share_the_port(tls_server: Server, trusting: ssl.SSLContext) -> None:
    assert tls_server.get("/health").json() == {"status": "ok"}
    with httpx2.Client(verify=trusting) as client:
        answer = client.post(
            f"https://localhost:{tls_server.port}/queue.fal.run/limner/metronome", json={"steps": 0}
        )
    base = f"https://localhost:{tls_server.port}/queue.fal.run/limner/metronome/requests/"
    assert answer.json()["status_url"].startswith(base)


def test_a_tunnel_to_one_of_fals_names_ends_here(
    tls_server: Server, trusting: ssl.SSLContext
) -> None:
    with httpx2.Client(verify=trusting, proxy=tls_server.base) as client:
        answer = client.post("https://queue.fal.run/limner/metronome", json={"steps": 0})
        assert answer.json()["status_url"].startswith(
            "https://queue.fal.run/limner/metronome/requests/"
        )


@pytest.mark.parametrize("target", ["example.com:443", "127.0.0.1:22", "evil-fal.run:443", "x"])
def test_a_tunnel_to_anywhere_else_is_refused(tls_server: Server, target: str) -> None:
    with connect(tls_server) as sock:
        told = exchange(sock, f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
        assert told.startswith(b"HTTP/1.1 403 ")
        assert b"forwards nothing" in told
        assert sock.recv(1) == b"", "the connection is closed"


def test_a_connect_that_arrives_in_pieces_is_understood(
    tls_server: Server, trusting: ssl.SSLContext
) -> None:
    with connect(tls_server) as sock:
        for piece in (b"C", b"ONNECT", b" fal.run:443 HTT", b"P/1.1\r\n\r"):
            sock.sendall(piece)
            time.sleep(0.03)
        assert exchange(sock, b"\n").startswith(b"HTTP/1.1 200 ")
        with trusting.wrap_socket(sock, server_hostname="fal.run") as inside:
            asked = b"GET /x/y HTTP/1.1\r\nhost: fal.run\r\nconnection: close\r\n\r\n"
            assert exchange(inside, asked).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x00\x05hello", b"CONNECT", b"\x00\x01\x02"])
def test_nonsense_ends_its_own_connection_only(tls_server: Server, said: bytes) -> None:
    with connect(tls_server) as sock:
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    assert tls_server.get("/health").status_code == 200


def test_a_silent_connection_keeps_nobody_waiting(tls_server: Server) -> None:
    with connect(tls_server):
        assert tls_server.get("/health").status_code == 200


@pytest.fixture
def stopping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("stopping"), tls=True)
    yield running
    running.stop()


def test_the_server_stops_politely_with_connections_open(stopping: Server) -> None:
    with connect(stopping), connect(stopping) as tunnel:
        assert exchange(tunnel, b"CONNECT fal.run:443 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
        stopping.stop()
    assert stopping.process.returncode in (0, -15)
    # The port is free again.
    eventually(lambda: stopping.get("/health").status_code == 503)
