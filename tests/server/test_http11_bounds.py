"""Where exactly a head is too long, however it is cut, and what may still be said then.

Without a socket, which cuts as it likes: the protocol itself is given its pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.server import ServerState

from limner.server.http11 import LONGEST_HEAD, Http11

GET = b"GET / HTTP/1.1\r\nHost: here\r\nX: "
CHUNKED = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
NO_CONTENT = {"type": "http.response.start", "status": 204, "headers": []}


class Line(asyncio.Transport):
    """A connection's other end: what was written to it, and whether it was hung up on."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._closing = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    @property
    def ended(self) -> bytes | None:
        """What was said last of all, as a status; None while the line is open."""
        return self.written.rpartition(b"HTTP/1.1 ")[2][:3] if self._closing else None


class Call:
    """What came of the pieces of one connection."""

    def __init__(self, pieces: Sequence[bytes], *, answers_first: bool = False) -> None:
        """``answers_first``: does the application begin its answer before it has the body?"""
        self.line = Line()
        self.headers: list[list[bytes]] = []
        self.bodies: list[bytes] = []
        self._answers_first = answers_first
        asyncio.run(self._made(pieces))

    async def _made(self, pieces: Sequence[bytes]) -> None:
        config = Config(self._application, interface="asgi3", log_config=None, lifespan="off")
        protocol = Http11(config, ServerState(), {})
        protocol.connection_made(self.line)
        for piece in pieces:
            if not self.line.is_closing():
                protocol.data_received(piece)
            for _ in range(4):  # the application has its turn
                await asyncio.sleep(0)
        protocol.connection_lost(ConnectionResetError())
        for _ in range(4):
            await asyncio.sleep(0)

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers.append([name for name, _ in scope["headers"]])
        if self._answers_first:
            await send(NO_CONTENT)
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        self.bodies.append(body)
        if not self._answers_first:
            await send(NO_CONTENT)
        await send({"type": "http.response.body"})


def cut(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


SIZES = st.integers(500, 3 * LONGEST_HEAD)
FEW = settings(max_examples=30, deadline=None, derandomize=True)


@FEW
@given(first=st.integers(1, len(GET)), size=SIZES)
@example(first=1, size=LONGEST_HEAD)
def test_a_head_is_too_long_with_its_first_byte_over_the_bound(first: int, size: int) -> None:
    """The piece in which a head begins may hold another call's end, and is not counted."""
    assert LONGEST_HEAD == 65_536  # as much as h11 takes
    start, rest = GET[:first], GET[first:]
    rest += b"x" * (LONGEST_HEAD - len(rest))
    longest = [start, *cut(rest, size)]
    assert Call(longest).line.ended is None
    over = Call([*longest, b"x"]).line
    assert (over.ended, over.written.count(b"HTTP/1.1")) == (b"431", 1)
    head, _, body = over.written.partition(b"\r\n\r\n")
    assert (b"connection: close" in head, b"content-length: 0" in head, body) == (True, True, b"")
    # The very end of the longest is taken, and a call behind it has all of the room again.
    ended = [start, *cut(rest[:-4] + b"\r\n\r\n", size)]
    twice = Call([*ended, *ended, *longest])
    assert (len(twice.headers), twice.line.ended) == (2, None)


@pytest.mark.parametrize(
    ("before", "counted", "more", "ended"),
    [
        pytest.param([], 0, b"\r\n", b"431", id="before all calls"),
        pytest.param([CHUNKED[:-2], b"X: "], 3, b"x", b"431", id="a head"),
        pytest.param([CHUNKED, b"1;a="], 4, b"x", b"431", id="a chunk's name"),
        pytest.param(
            [CHUNKED, b"1;a=", b"x" * 40_000, b"\r\nx", b"\r\n2;a="], 6, b"x", b"431", id="the next"
        ),
        pytest.param([CHUNKED, b"1\r\nx", b"\r\n0\r\nX: "], 8, b"x", b"431", id="a trailer"),
        # Here the call was answered.
        pytest.param(
            [CHUNKED, b"0\r\nX: ", b"x" * 40_000, b"\r\n\r\n"],
            0,
            b"\r\n",
            b"204",
            id="calls between",
        ),
    ],
)
def test_the_bound_is_the_same_wherever_something_has_no_end(
    before: list[bytes], counted: int, more: bytes, ended: bytes
) -> None:
    """``counted``: bytes since the last of which something came."""
    longest = (more * LONGEST_HEAD)[: LONGEST_HEAD - counted]
    assert Call([*before, longest]).line.ended is None
    assert Call([*before, longest, more[:1]]).line.ended == ended


@pytest.mark.parametrize("start", [b"0\r\nX: ", b"1;a="], ids=["a trailer", "a chunk's extension"])
def test_an_answer_that_has_begun_is_broken_off_and_not_spoken_into(start: bytes) -> None:
    pieces = [CHUNKED, start, b"x" * LONGEST_HEAD, b"x"]
    assert Call(pieces).line.ended == b"431"
    begun = Call(pieces, answers_first=True).line
    assert (begun.ended, begun.written.count(b"HTTP/1.1")) == (b"204", 1)
    # The next call's head is of no answer yet.
    behind = [CHUNKED, b"0\r\n\r\n", GET, b"x" * LONGEST_HEAD, b"x"]
    assert Call(behind, answers_first=True).line.ended == b"431"


def test_what_was_refused_and_hung_up_on_is_told_nothing_more() -> None:
    line = Call([GET, b"x" * LONGEST_HEAD + b"\0"]).line
    assert (line.ended, line.written.count(b"HTTP/1.1")) == (b"400", 1)


def test_fields_behind_a_body_are_no_headers_and_those_of_the_next_call_are() -> None:
    calls = [CHUNKED, b"1\r\ny\r\n", b"0\r\nX-Behind: y\r\n\r\n", GET + b"\r\n\r\n"]
    for came in (Call(calls), Call([b"".join(calls)])):
        assert came.headers == [[b"host", b"transfer-encoding"], [b"host", b"x"]]
        assert came.bodies == [b"y", b""]
