"""What waits on a websocket is bounded in number and in bytes, whatever its caller sends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from limner.server.frames import Frame
from limner.server.waiting import Waiting


async def taken(waiting: Waiting) -> list[Frame]:
    """Everything that waits, oldest first."""
    frames: list[Frame] = []
    while True:
        try:
            async with asyncio.timeout(0.05):
                frames.append(await waiting.get())
        except TimeoutError:
            return frames


async def put(waiting: Waiting, frames: Iterable[Frame]) -> int:
    """Put them, and tell how many had found room before the first that waits."""
    found = 0

    async def each() -> None:
        nonlocal found
        for frame in frames:
            await waiting.put(frame)
            found += 1

    reading = asyncio.create_task(each())
    for _ in range(50):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return found


def test_whoever_reads_waits_when_as_many_bytes_wait_as_may() -> None:
    async def run() -> None:
        waiting = Waiting(60, dropping=False, most_bytes=10)
        assert await put(waiting, [b"12345", "67890", b"1", b"2"]) == 2
        assert await waiting.get() == b"12345"
        assert await put(waiting, [b"1", b"2345", b"6"]) == 2
        assert await taken(waiting) == ["67890", b"1", b"2345"]

    asyncio.run(run())


def test_whoever_reads_goes_on_when_one_was_taken() -> None:
    async def run() -> None:
        waiting = Waiting(1, dropping=False)
        await waiting.put(b"1")
        reading = asyncio.create_task(waiting.put(b"2"))
        await asyncio.sleep(0)
        assert not reading.done()
        assert [await waiting.get(), await waiting.get()] == [b"1", b"2"]
        await reading

    asyncio.run(run())


def test_the_oldest_go_when_as_many_bytes_wait_as_may() -> None:
    async def run() -> None:
        waiting = Waiting(3, dropping=True, most_bytes=10)
        assert await put(waiting, [b"1", b"2", b"3", b"4"]) == 4
        assert await put(waiting, [b"123456789"]) == 1
        assert await taken(waiting) == [b"4", b"123456789"]

    asyncio.run(run())


def test_a_message_that_is_larger_than_all_that_may_wait_waits_alone() -> None:
    async def run() -> None:
        for dropping in (True, False):
            waiting = Waiting(3, dropping=dropping, most_bytes=10)
            assert await put(waiting, [bytes(11)]) == 1
            assert await taken(waiting) == [bytes(11)]

    asyncio.run(run())
