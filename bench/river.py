"""A request's way through a real server and a real worker, against a server that only echoes.

The floor is FastAPI on uvicorn answering the JSON it was sent, in a process of its own. Above it
is what makes Limner Limner: four durable commits (submit, claim, one log line, finish), a stored
file, another process, fal's answers. The endpoint is the tests' metronome, which draws nothing.
Knows HTTP and fal's client; knows no ledger.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import fal_client
import fal_client.client as addresses
import httpx2
from fastapi import Body, FastAPI
from tests.rig.process import Server

from bench.rounds import Measured, in_turns, p50_of

ECHO = "echo"
FLOORS = (ECHO,)
METRONOME = "limner/metronome"
NO_STEPS: Mapping[str, Any] = {"steps": 0}

#: Calls in a round; fewer of the client that sleeps between two looks.
CALLS, CLIENT_CALLS = 10, 3


def create_echo() -> FastAPI:
    """The floor: parse JSON, answer it."""
    app = FastAPI()

    @app.post("/")
    async def echo(said: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:  # pyright: ignore
        return said

    return app


@contextmanager
def echoing() -> Generator[str]:
    """The echo in its own process, on a port that uvicorn chooses and says; its address."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "bench.river:create_echo"]
    options = ["--port", "0", "--no-access-log"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = ""
        while not (found := re.search(r"http://[\d.:]+", said)):
            said = process.stderr.readline()
            assert said, "the echo did not start"
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def measure(folder: Path) -> list[Measured]:
    """Echo and Limner, in turns, over one kept connection each."""
    server = Server(folder / "home")
    try:
        with echoing() as base, httpx2.Client(timeout=60) as http:
            return _measure(base, server.base, http)
    finally:
        server.stop()


def _measure(echo: str, limner: str, http: httpx2.Client) -> list[Measured]:
    queue = f"{limner}/queue.fal.run/{METRONOME}"
    official = _official(limner)

    def post(url: str) -> Any:
        return http.post(url, json=NO_STEPS).raise_for_status().json()

    def get(url: str) -> str:
        return http.get(url).raise_for_status().text

    done = post(queue)
    get(f"{done['status_url']}/stream")

    def subscribe() -> None:
        """Submit, be told of the end, fetch the result: what fal's streaming mode does."""
        accepted = post(queue)
        assert '"COMPLETED"' in get(f"{accepted['status_url']}/stream")
        get(accepted["response_url"])

    def echoed() -> None:
        post(echo)

    def status() -> None:
        get(done["status_url"])

    def run() -> None:
        assert post(f"{limner}/fal.run/{METRONOME}")["steps"] == 0

    def client() -> None:
        assert official.subscribe(METRONOME, dict(NO_STEPS))["steps"] == 0

    return in_turns(
        {
            ECHO: lambda: p50_of(CALLS, echoed),
            "status of a finished request": lambda: p50_of(CALLS, status),
            "fal.run, one call": lambda: p50_of(CALLS, run),
            "subscribe by stream, three calls": lambda: p50_of(CALLS, subscribe),
            "subscribe by fal_client (looks every 100 ms)": lambda: p50_of(CLIENT_CALLS, client),
        }
    )


def _official(base: str) -> fal_client.SyncClient:
    """fal's client, sent to this machine by its module's addresses."""
    addresses.RUN_URL_FORMAT = f"{base}/fal.run/"
    addresses.QUEUE_URL_FORMAT = f"{base}/queue.fal.run/"
    return fal_client.SyncClient(key="any:key")
