"""Waiting for something to happen to a request, without asking again and again.

The ledger's bell says from any process that something changed; here it wakes the coroutines that
wait for it. Knows topics; knows no request.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque

from limner.server.crossing import Crossing

#: Without a bell (sockets forbidden, another machine) this is how often a waiter looks, seconds.
FALLBACK = 0.5

#: Ends remembered: more than are heard between a submit and listening for its end.
LATEST = 256


class Watch:
    """Wakes waiting coroutines by topic, on the one event loop that it was attached to."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._crossing = Crossing(self._wake)
        #: The latest ends that were heard, for who is about to listen for one of them.
        self._ends: deque[str] = deque(maxlen=LATEST)

    def attach(self) -> None:
        """Wake waiters on the running event loop from now on."""
        self._loop = asyncio.get_running_loop()

    def heard(self, topic: str) -> None:
        """The bell rang; called from any thread.

        Most topics are nobody's here, and waking the event loop costs more than looking. Whoever
        begins to listen just now looks at the latest ends after that.
        """
        if topic.startswith("done:"):
            self._ends.append(topic)
        if topic not in self._waiting:
            return
        if self._loop is not None:
            self._crossing.put(self._loop, topic)

    def _wake(self, topic: str) -> None:
        for event in self._waiting.get(topic, ()):
            event.set()

    def listen(self, *topics: str) -> Listening:
        """Start hearing ``topics`` now, so that nothing between a look and a wait is missed.

        An end that was heard a moment ago counts as heard now: whoever submitted need not look.
        """
        return Listening(self._waiting, topics, self._ends)


class Listening:
    """Hears some topics while the ``with`` block lasts."""

    def __init__(
        self, waiting: dict[str, set[asyncio.Event]], topics: tuple[str, ...], ends: deque[str]
    ) -> None:
        self._ends = ends
        self._waiting = waiting
        self._topics = topics
        self._event = asyncio.Event()

    def __enter__(self) -> Listening:
        for topic in self._topics:
            self._waiting[topic].add(self._event)
            if topic in self._ends.copy():  # the bell's thread goes on adding
                self._event.set()
        return self

    def __exit__(self, *_: object) -> None:
        for topic in self._topics:
            self._waiting[topic].discard(self._event)
            if not self._waiting[topic]:
                del self._waiting[topic]

    async def next(self) -> None:
        """Return when a topic was heard since the last call, or it is time to look anyway."""
        look_anyway = asyncio.get_running_loop().call_later(FALLBACK, self._event.set)
        try:
            await self._event.wait()
        finally:
            look_anyway.cancel()
        self._event.clear()

    def wake(self) -> None:
        """Make :meth:`next` return now, for a reason that is no topic."""
        self._event.set()
