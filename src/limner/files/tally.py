"""How many files a store keeps, and how many bytes for whom.

Counting looks at every file, so it is done once in a while, by one thread for everybody; what is
saved in between is told. Knows the store's contract; knows no limit.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from limner.files.store import FileStore

#: Seconds for which files are not counted again; the sweep looks at each of them more often.
COUNTED_FOR = 60.0


class Tally:
    """The files of one store, counted. Safe from several threads."""

    def __init__(self, store: FileStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._counting = threading.Lock()
        self._adding = threading.Lock()
        self._counted_at: float | None = None
        self._number = 0
        self._kept: Counter[str] = Counter()

    def look(self) -> None:
        """Count anew if it is time. May take long: one thread counts.

        The others wait for the first count; later they go on with the last one.
        """
        if not self._counting.acquire(blocking=self._counted_at is None):
            return
        try:
            now = self._clock()
            if self._counted_at is not None and now - self._counted_at < COUNTED_FOR:
                return
            number, kept = 0, Counter[str]()
            for file in self._store.listing():
                number += 1
                kept[file.owner] += file.size
            with self._adding:
                self._number, self._kept, self._counted_at = number, kept, now
        finally:
            self._counting.release()

    def saved(self, owner: str, size: int) -> None:
        """A file of ``size`` bytes is kept for ``owner`` since the last count."""
        with self._adding:
            self._number += 1
            self._kept[owner] += size

    def kept(self, owner: str) -> int:
        """Bytes that are kept for ``owner``."""
        return self._kept[owner]

    @property
    def files(self) -> int:
        """How many files are kept."""
        return self._number

    @property
    def bytes(self) -> int:
        """Their sizes added up."""
        return sum(self._kept.copy().values())
