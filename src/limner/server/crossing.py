"""From other threads to the event loop, many things at once.

To wake the loop costs more than most of what it is woken for: it is called once for all that came
before it was there. Knows loops; knows nothing of what it carries.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


class Crossing(Generic[Thing]):
    """Hands what threads put into it to ``arrived``, on the loop, in the order in which it came."""

    def __init__(self, arrived: Callable[[Thing], None]) -> None:
        """``arrived``: does not raise."""
        self._arrived = arrived
        self._under_way: deque[Thing] = deque()
        self._called = False

    def put(self, loop: asyncio.AbstractEventLoop, thing: Thing) -> None:
        """Hand ``thing`` over, from any thread; to nobody if the loop is closed."""
        self._under_way.append(thing)
        if not self._called and not loop.is_closed():
            self._called = True
            loop.call_soon_threadsafe(self._land)

    def _land(self) -> None:
        # First, so that whatever is put in from now on calls again.
        self._called = False
        while self._under_way:
            self._arrived(self._under_way.popleft())


class Answers:
    """Awaits what other threads answer: ``asyncio.wrap_future`` for where many answers come."""

    def __init__(self) -> None:
        self._crossing: Crossing[asyncio.Future[None]] = Crossing(_wake)

    async def of(self, future: Future[Result]) -> Result:
        """What ``future`` brings, or what it raises. Whoever waits no more takes it back."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()
        future.add_done_callback(lambda _: self._crossing.put(loop, told))
        try:
            await told
        except asyncio.CancelledError:
            future.cancel()
            raise
        return future.result()


def _wake(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)
