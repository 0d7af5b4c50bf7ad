"""How long and how much the door waits for and takes, from servers that mean it ill."""

from __future__ import annotations

import gzip
import socket
import time

import pytest

from limner.errors import FileTooLarge
from tests.stages.hostile import Hostile, response
from tests.stages.small_door import MOST, SECRET, door, refusal

# How long it takes


@pytest.mark.parametrize("part", ["nothing", "head", "body", "chunks", "empty answers"])
def test_one_deadline_for_all_of_it(host: Hostile, part: str) -> None:
    """A drop every 50 ms never meets a timeout for one read; the deadline it does."""

    def drip(line: socket.socket, _: bytes) -> None:
        begun = {
            "nothing": b"",
            "head": b"HTTP/1.1 200 OK\r\nX-Drip: ",
            "body": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",
            "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "empty answers": b"",
        }[part]
        drop = {
            "nothing": b"",
            "chunks": b"1\r\nx\r\n",
            "empty answers": b"HTTP/1.1 100 Continue\r\n\r\n",
        }.get(part, b"x")
        line.sendall(begun)
        while not host.stopped:
            line.sendall(drop)
            time.sleep(0.05)

    assert "took longer than 0.4 s" in refusal(host.does(SECRET, drip), timeout=0.4)


def test_a_handshake_that_never_ends_meets_the_deadline(host: Hostile) -> None:
    def deaf(line: socket.socket, _: bytes) -> None:
        while not host.stopped:
            time.sleep(0.05)

    host.does("", deaf)
    url = f"https://127.0.0.1:{host.port}{SECRET}"
    assert "took longer than 0.4 s" in refusal(url, timeout=0.4)


# How much it is


def test_an_endless_body_is_cut_off(host: Hostile) -> None:
    def endless(line: socket.socket, _: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not host.stopped:
            line.sendall(b"x" * 500)

    with pytest.raises(FileTooLarge) as refused:
        door().read(host.does("/endless", endless))
    assert refused.value.ctx == {"max_size": MOST}


@pytest.mark.parametrize("size", [MOST, MOST + 1])
def test_the_limit_is_the_limit(host: Hostile, size: int) -> None:
    told = response(b"x" * size)
    untold = told.replace(b"Content-Length", b"X-Length")
    for name, answer in (("/told", told), ("/untold", untold)):
        url = host.says(name, answer)
        if size <= MOST:
            assert len(door().read(url)) == size
        else:
            with pytest.raises(FileTooLarge):
                door().read(url)


def test_a_length_over_the_limit_is_believed_before_anything_is_read(host: Hostile) -> None:
    url = host.says("/a", response(b"x", Content_Length=MOST + 1))
    with pytest.raises(FileTooLarge):
        door().read(url)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(response(b"x" * 10, Content_Length=20), id="shorter than it said"),
        pytest.param(response(b"x", Content_Length="-1"), id="negative length"),
        pytest.param(response(b"x", Content_Length="one"), id="length in words"),
        pytest.param(response(b"x", Content_Length="1\r\nContent-Length: 2"), id="two lengths"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200\r\n", id="cut off in the head"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="status in words"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, id="endless head"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="broken chunks"
        ),
    ],
)
def test_a_host_that_does_not_speak_http_is_told_in_one_sentence(
    host: Hostile, answer: bytes
) -> None:
    assert "could not be reached or broke off" in refusal(host.says(SECRET, answer))


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "gzip, identity"])
def test_compressed_content_that_nobody_asked_for_is_refused(host: Hostile, encoding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))[: MOST // 2]
    url = host.says("/bomb", response(bomb, Content_Encoding=encoding))
    assert "compressed" in refusal(url)


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 403, 404, 410, 429, 500, 503])
def test_any_other_answer_is_named_by_its_number(host: Hostile, status: int) -> None:
    url = host.says(SECRET, response(b"<h1>stack trace</h1>" * (status not in (204, 304)), status))
    assert refusal(url) == (f"The host 127.0.0.1 answered {status}. Check that the URL is public.")


def test_nobody_there_is_told_without_the_systems_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "could not be reached" in refusal(f"http://127.0.0.1:{port}{SECRET}")
