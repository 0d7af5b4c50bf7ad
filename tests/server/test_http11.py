"""HTTP/1.1 as bytes: heads without end, heads that no server may take, and calls behind calls."""

from __future__ import annotations

import socket
import time

import pytest

from tests.rig.process import Server
from tests.server.conftest import raw

KIB = 1024

#: A head of the longest that every server should take (RFC 9112, 3: at least 8,000 bytes).
FAIR = b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\nX: " + b"x" * 8000 + b"\r\n\r\n"

#: The beginning of one whose answer is waited for to its end, where the line itself is sound.
LAST = b"GET /health HTTP/1.1\r\nConnection: close\r\n"

#: A call whose body is to come in chunks.
CHUNKED = (
    b"POST /queue.fal.run/limner/metronome HTTP/1.1\r\nHost: here\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def test_what_stands_behind_a_body_is_no_header(server: Server) -> None:
    said = CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    trailer = b"2\r\n{}\r\n0\r\nIdempotency-Key: the same\r\nX-Fal-Queue-Priority: odd\r\n\r\n"
    head, _ = raw(server, said + trailer)
    assert head.startswith(b"HTTP/1.1 200")


def test_a_body_of_many_chunks_has_no_bound_but_its_own(server: Server) -> None:
    said = CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    head, _ = raw(server, said + b"1\r\n \r\n" * 50_000 + b"2\r\n{}\r\n0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")


def test_empty_lines_without_end_are_hung_up_on(server: Server) -> None:
    """They may stand before a call (RFC 9112, 2.2), and are of none."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(b"\r\n" * 40 * KIB)
        assert line.recv(KIB).startswith(b"HTTP/1.1 431")


def test_a_long_head_is_taken(server: Server) -> None:
    assert raw(server, FAIR)[0].startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("start", "more"),
    [
        pytest.param(b"GET /health HTTP/1.1\r\nHost: here\r\nX: ", b"x" * KIB, id="a value"),
        pytest.param(
            b"GET /health HTTP/1.1\r\nHost: here\r\n", b"X: %s\r\n" % (b"x" * 900), id="fields"
        ),
        pytest.param(b"GET /health?", b"x" * KIB, id="an address"),
        # The first call is answered; what follows it on the same line has no end.
        pytest.param(
            b"GET /health HTTP/1.1\r\nHost: here\r\n\r\nGET /health HTTP/1.1\r\nX: ",
            b"x" * KIB,
            id="behind another",
        ),
        pytest.param(CHUNKED + b"0\r\n", b"X: %s\r\n" % (b"x" * 900), id="trailers"),
        pytest.param(CHUNKED + b"0\r\nX: ", b"x" * KIB, id="a trailer's value"),
        pytest.param(CHUNKED + b"1;a=", b"x" * KIB, id="a chunk's extension"),
    ],
)
def test_a_head_without_end_is_hung_up_on(server: Server, start: bytes, more: bytes) -> None:
    sent = 0
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(start)
        try:
            while sent < 2000 * KIB:
                line.sendall(more)
                sent += len(more)
        except OSError:
            pass  # it hung up while we spoke
        try:
            while read := line.recv(KIB):
                answer += read
        except OSError:
            pass  # and had not read all of it
    # What was under way when it hung up is the sockets' own.
    assert sent < 2000 * KIB or b"HTTP/1.1 431" in answer
    assert server.call("GET", "/health").status_code == 200


def test_a_head_that_comes_in_single_bytes_is_taken(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n":
            line.sendall(bytes([byte]))
        assert line.recv(KIB).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(LAST + b"Host: a b\r\n\r\n", id="a host with a space"),
        pytest.param(LAST + b"\r\n", id="no host"),
        pytest.param(LAST + b"Host: a\r\nHost: b\r\n\r\n", id="two hosts"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost : here\r\n\r\n", id="a space after a name"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost: here\r\nX\x00: y\r\n\r\n", id="NUL in a name"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost: here\r\nX: \x00\r\n\r\n", id="NUL in a value"),
        pytest.param(b"GET /he\xe9lth HTTP/1.1\r\nHost: here\r\n\r\n", id="a path in Latin-1"),
        # What a proxy could read as another call (RFC 9112, 6.3).
        pytest.param(
            b"POST /fal.run/a/b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n"
            b"\r\n{}",
            id="two lengths",
        ),
        pytest.param(
            b"POST /fal.run/a/b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            id="a length and chunks",
        ),
        pytest.param(
            b"POST /fal.run/a/b HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", id="below 0"
        ),
    ],
)
def test_what_two_servers_could_read_differently_is_refused(server: Server, head: bytes) -> None:
    answered, _ = raw(server, head)
    assert answered.startswith(b"HTTP/1.1 400")
    assert server.call("GET", "/health").status_code == 200


#: Java's HttpClient says the first to every server that it speaks plain HTTP to (RFC 9110, 7.8).
UPGRADES = [
    pytest.param(
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        id="Java's",
    ),
    pytest.param(b"Connection: upgrade\r\nConnection: close\r\nUpgrade: tea\r\n", id="two fields"),
    # Only a GET begins a websocket (RFC 6455, 4.1).
    pytest.param(
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        id="a websocket by POST",
    ),
]


@pytest.mark.parametrize("asked", UPGRADES)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "body later"])
def test_an_upgrade_that_nobody_speaks_is_not_heard(
    server: Server, asked: bytes, apart: bool
) -> None:
    """The call is read with its body, which is never taken for another call."""
    body = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
    head = (
        b"POST /queue.fal.run/limner/metronome HTTP/1.1\r\nHost: here\r\n%s"
        b"Content-Length: %d\r\n\r\n" % (asked, len(body))
    )
    last = b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    if b"close" in asked:
        last = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (head, body, last) if apart else (head + body + last,):
            line.sendall(piece)
            time.sleep(0.05)  # so that each is read by itself
        answers = b""
        while read := line.recv(64 * KIB):
            answers += read
    assert answers.startswith(b"HTTP/1.1 422")
    assert b"json_invalid" in answers  # the body came, and is no JSON
    assert answers.count(b"HTTP/1.1 ") == (2 if last else 1)


def test_calls_with_upgrades_may_stand_behind_each_other(server: Server) -> None:
    said = b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: tea\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(said * 1500 + FAIR)
        answers = b""
        while read := line.recv(64 * KIB):
            answers += read
    assert answers.count(b"HTTP/1.1 200") == 1501
