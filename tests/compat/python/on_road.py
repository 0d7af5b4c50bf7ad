"""Makes every call of ``calls.py`` on one road and prints what came of them, as JSON.

``python on_road.py ROAD PORT FOLDER``: a process of its own, because the client reads its
environment when it is imported and two versions cannot live in one process. Each call is made with
the synchronous and with the asynchronous client. Not a test: the tests read what it prints.

The synchronous client has no time limit of its own on ``run``, ``stream`` and a realtime ``recv``
(its documentation says so of ``run``): on a connection that went silent these wait for ever. A call
that takes longer than PATIENCE is therefore given up, and told with the place where it stands.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

ROAD, PORT = sys.argv[1], int(sys.argv[2])


def resolve_fals_names() -> None:
    """Road A: fal's names lead to this machine, and port 443 is ours.

    Stands in for ``/etc/hosts`` and for listening on 443, which only root may do. Below it all is
    real: the client's own URLs, TLS and certificate checks.
    """
    look_up = socket.getaddrinfo
    connect = asyncio.BaseEventLoop.create_connection

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if f".{name}".endswith((".fal.run", ".fal.ai", ".fal.media")):
            return look_up("127.0.0.1", PORT, *rest, **options)
        return look_up(host, port, *rest, **options)

    async def create_connection(self: Any, make: Any, host: Any, port: Any, **options: Any) -> Any:
        return await connect(self, make, host, PORT if port == 443 else port, **options)

    socket.getaddrinfo = getaddrinfo
    asyncio.BaseEventLoop.create_connection = create_connection  # pyright: ignore


if ROAD == "names":
    resolve_fals_names()

import fal_client  # noqa: E402
from calls import BEYOND_HOST_VARIABLES, CALLS, Client  # noqa: E402

#: Seconds that a call may take on a busy machine.
PATIENCE = 90


async def attempt(call: Callable[[Client], Awaitable[Any]], client: Client) -> Any:
    try:
        return await asyncio.wait_for(call(client), PATIENCE)
    except Exception as error:  # noqa: BLE001 - told to the test that reads this call
        return {"failed": f"{type(error).__name__}: {error}"}


async def with_async_client(calls: list[Callable[[Client], Awaitable[Any]]]) -> list[Any]:
    client = fal_client.AsyncClient(key="any:key")
    return await asyncio.gather(*(attempt(call, client) for call in calls))


class Attempt:
    """A synchronous call in a thread, where it cannot be cancelled but can be looked at."""

    def __init__(self, call: Callable[[Client], Awaitable[Any]], client: Client) -> None:
        self._call, self._client = call, client
        self._thread: int | None = None
        self._done = threading.Event()
        self._began = threading.Event()
        self._answer: Any = None

    def make(self) -> None:
        self._thread = threading.get_ident()
        self._began.set()
        self._answer = asyncio.run(attempt(self._call, self._client))
        self._done.set()

    def answer(self) -> Any:
        """What came of it, or where it stands."""
        self._began.wait()
        if self._done.wait(PATIENCE):
            return self._answer
        assert self._thread is not None
        frame = sys._current_frames()[self._thread]
        return {"failed": "no answer; it stands at\n" + "".join(traceback.format_stack(frame))}


def main() -> None:
    calls = [call for call in CALLS if ROAD != "variables" or call not in BEYOND_HOST_VARIABLES]
    client = fal_client.SyncClient(key="any:key")
    attempts = [Attempt(call, client) for call in calls]
    pool = ThreadPoolExecutor(6)
    for each_attempt in attempts:
        pool.submit(each_attempt.make)
    asynchronous = asyncio.run(with_async_client(calls))
    synchronous = [each_attempt.answer() for each_attempt in attempts]
    names = [call.__name__ for call in calls]
    told = {
        "sync": dict(zip(names, synchronous, strict=True)),
        "async": dict(zip(names, asynchronous, strict=True)),
    }
    print(json.dumps({"version": fal_client.__version__, **told}), flush=True)  # noqa: T201
    # Without waiting for threads: one may never end.
    os._exit(0)


main()
