"""Messages of one websocket that came and are not answered yet: so many, and so many bytes.

Whoever answers takes the oldest. When there are as many as may be, either the one who reads waits,
and with it the line, or the oldest goes. Knows sizes; knows no message.
"""

from __future__ import annotations

import asyncio
from collections import deque

from limner.server.frames import Frame

#: Bytes that may wait on one line beside a first message, which may have any size a message may.
MOST_BYTES = 64 * 1024 * 1024


class Waiting:
    """A queue for one who reads and one who answers, on one event loop."""

    def __init__(self, most: int, *, dropping: bool, most_bytes: int = MOST_BYTES) -> None:
        """``dropping``: does the oldest go when there is no room, or does the newest wait?"""
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._most = most
        self._most_bytes = most_bytes
        self._dropping = dropping
        self._changed = asyncio.Condition()

    async def put(self, frame: Frame) -> None:
        """Let a message wait, as soon as there is room for it."""
        async with self._changed:
            if self._dropping:
                while not self._has_room(frame):
                    self._take()
            else:
                await self._changed.wait_for(lambda: self._has_room(frame))
            self._frames.append(frame)
            self._bytes += len(frame)
            self._changed.notify_all()

    async def get(self) -> Frame:
        """The oldest message, as soon as there is one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._frames)
            self._changed.notify_all()
            return self._take()

    def _has_room(self, frame: Frame) -> bool:
        if not self._frames:
            return True
        return len(self._frames) < self._most and self._bytes + len(frame) <= self._most_bytes

    def _take(self) -> Frame:
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame
