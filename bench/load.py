"""Many clients at once, each asking again as soon as it was answered, over kept connections.

``python -m bench.load URL BODY CLIENTS SECONDS`` prints one line of JSON. A process of its own, so
that what the clients cost can be told apart; bare asyncio protocols and bytes made beforehand, so
that it is little. One kind of client for every server that is compared. Knows HTTP/1.1 as far as
servers here speak it; knows no server.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]

#: An answer that asks to come again, as cog's when it is busy; counted, not told as a job.
BUSY = 409


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of clients saw. Times are seconds."""

    jobs: int
    seconds: float
    p50: float
    p99: float
    #: CPU of the clients themselves, for one job.
    cpu: float
    #: Answers of BUSY, after which was asked again.
    busy: int

    @property
    def rate(self) -> float:
        """Whole jobs a second."""
        return self.jobs / self.seconds


@dataclass(slots=True)
class Tally:
    """What all clients of a run add to."""

    until: float
    latencies: list[float]
    busy: int = 0


class Client(asyncio.Protocol):
    """One connection that asks until the time is over."""

    def __init__(self, call: bytes, tally: Tally) -> None:
        self._call = call
        self._tally = tally
        self._read = b""
        self._began = 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._began = time.perf_counter()
        transport.write(self._call)

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer; when it is whole, ask again."""
        self._read += data
        if not is_whole(self._read):
            return
        status = int(self._read[9:12])
        now = time.perf_counter()
        if status == BUSY:
            self._tally.busy += 1
        elif status in (200, 201):
            self._tally.latencies.append(now - self._began)
            self._began = now
        else:
            self.over.set_exception(RuntimeError(self._read[:500].decode(errors="replace")))
            return
        self._read = b""
        if now < self._tally.until:
            self._transport.write(self._call)
        elif not self.over.done():
            self.over.set_result(None)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that hangs up ends the run."""
        if not self.over.done():
            self.over.set_exception(exc or RuntimeError("the server hung up"))


def is_whole(answer: bytes) -> bool:
    """Is this all of an HTTP/1.1 answer, by its length or its last chunk?"""
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at >= 0:
        return len(body) >= int(lower[at + 17 :].partition(b"\r\n")[0])
    return body.endswith(b"0\r\n\r\n")


async def drive(url: str, body: bytes, clients: int, seconds: float) -> Load:
    """Let ``clients`` ask for ``seconds``."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    assert host is not None
    assert port is not None
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    call = head.encode() + body
    began, used = time.perf_counter(), time.process_time()
    tally = Tally(began + seconds, [])
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Client(call, tally), host, port)
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.over for _, client in made))
    taken, used = time.perf_counter() - began, time.process_time() - used
    jobs = len(tally.latencies)
    cuts = quantiles(tally.latencies, n=100, method="inclusive")
    return Load(jobs, taken, cuts[49], cuts[98], used / jobs, tally.busy)


def load(url: str, body: str, clients: int, seconds: float) -> Load:
    """:func:`drive` in a process of its own."""
    said = subprocess.run(
        [sys.executable, "-m", "bench.load", url, body, str(clients), str(seconds)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return Load(**json.loads(said))


if __name__ == "__main__":
    _, _url, _body, _clients, _seconds = sys.argv
    _seen = asyncio.run(drive(_url, _body.encode(), int(_clients), float(_seconds)))
    print(json.dumps(asdict(_seen)))
