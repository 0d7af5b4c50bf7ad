"""What a network said of something before, found again by its content.

The same photo, the same negative prompt and the same style come again and again; a network that
always gives the same answer need not be asked twice. Kept is a digest of what was asked and the
answer, for the newest few; never the question itself.

Knows bytes and answers; knows no network.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Remembered(Generic[Answer]):
    """The newest ``most`` answers. Safe to use from several threads.

    Whoever asks must leave an answer as it is: others are given the same one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, content: bytes, ask: Callable[[], Answer], whose: str = "") -> Answer:
        """The answer to ``content``; ``ask`` makes it, at most once for each thread that waits.

        ``whose``: nobody else is given it; how fast it came would tell that it was asked before.
        What ``ask`` raises is raised, and not remembered.
        """
        key = hashlib.sha256(hashlib.sha256(whose.encode()).digest() + content).digest()
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        answer = ask()
        with self._lock:
            self._answers[key] = answer
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer
