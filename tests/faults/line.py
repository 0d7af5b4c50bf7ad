"""A line between two programs that can be troubled: slow, stuck, refused, cut, or answered falsely.

A TCP proxy on loopback, as toxiproxy is. Knows bytes, and how an HTTP call ends its head; knows
nothing of what is said over it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CHUNK = 65_536

#: Seconds between looks whether a line that is stuck is so no more.
LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a line; nothing, by default."""

    #: Seconds every piece is late.
    delay: float = 0.0
    #: Nothing passes, and nobody is told.
    stuck: bool = False
    #: New connections end at once.
    refuse: bool = False
    #: A connection is reset after so many bytes of the answer.
    cut_after: int | None = None
    #: New connections get these bytes for an answer, whatever they ask.
    answer: bytes | None = None
    #: New connections' first call is passed on, and these bytes come back instead of its answer.
    instead: bytes | None = None
    #: Only the next connection has it.
    once: bool = False


FINE = Trouble()


class Line:
    """Listens on ``port`` and passes on to ``target``, both on loopback; close it."""

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self._trouble = FINE
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line", daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._connected, "127.0.0.1", port, backlog=256)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    @contextmanager
    def troubled(self, trouble: Trouble) -> Generator[None]:
        """Trouble the line while the block lasts."""
        self._trouble = trouble
        try:
            yield
        finally:
            self._trouble = FINE

    def drop(self) -> None:
        """Reset every connection there is."""
        self._loop.call_soon_threadsafe(lambda: [_reset(each) for each in self._open])

    def close(self) -> None:
        """End every connection and listen no more."""

        async def end() -> None:
            self._server.close()
            for each in tuple(self._open):
                _reset(each)
            running = asyncio.all_tasks() - {asyncio.current_task()}
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connected(
        self, from_caller: asyncio.StreamReader, to_caller: asyncio.StreamWriter
    ) -> None:
        ends = [to_caller]
        self._open.add(to_caller)
        try:
            trouble = self._trouble
            if trouble.once:
                self._trouble = FINE
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                if trouble.refuse:
                    return
                if (answer := trouble.answer) is not None:
                    await from_caller.readuntil(b"\r\n\r\n")
                    to_caller.write(answer)
                    await to_caller.drain()
                    to_caller.write_eof()
                    await from_caller.read(CHUNK)
                    return
                from_target, to_target = await asyncio.open_connection("127.0.0.1", self._target)
                self._open.add(to_target)
                ends.append(to_target)
                passing = [
                    asyncio.ensure_future(self._pass(from_caller, to_target, FINE)),
                    asyncio.ensure_future(self._pass(from_target, to_caller, trouble)),
                ]
                try:
                    await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in passing:
                        each.cancel()
                    await asyncio.gather(*passing, return_exceptions=True)
        finally:
            for end in ends:
                self._open.discard(end)
                # What was written goes out first, unless it was reset.
                end.close()

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, trouble: Trouble
    ) -> None:
        """Pass one way on; ``trouble`` is what the connection was made with."""
        passed, most = 0, trouble.cut_after
        while piece := await source.read(CHUNK):
            await asyncio.sleep(self._trouble.delay)
            while self._trouble.stuck:
                await asyncio.sleep(LOOK_EVERY)
            if trouble.instead is not None:
                target.write(trouble.instead)
                await target.drain()
                return
            if most is not None and passed + len(piece) > most:
                target.write(piece[: most - passed])
                await target.drain()
                _reset(target)
                return
            passed += len(piece)
            target.write(piece)
            await target.drain()


def _reset(end: asyncio.StreamWriter) -> None:
    """End a connection as by a machine that does not know it, rather than politely."""
    with suppress(OSError):
        line: socket.socket = end.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.transport.abort()
