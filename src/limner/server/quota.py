"""How many bytes one key may have kept, before it may upload no more.

All files are counted once in a while, and what comes in between is added: several servers, or a
restart in the middle of an upload in parts, let a key have somewhat more, never less.
Knows the store's contract; knows no HTTP.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from limner.errors import Refused
from limner.files.disk import PARTS_LIFE
from limner.files.store import FileStore

#: Seconds for which a count is good enough; counting looks at every file there is.
COUNT_EVERY = 60.0


@dataclass(slots=True)
class _Unjoined:
    """The parts of a file to be: number → bytes."""

    owner: str
    since: float
    sizes: dict[int, int] = field(default_factory=dict[int, int])


class UploadQuota:
    """The bytes of each key. Safe from several threads."""

    def __init__(
        self, files: FileStore, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``most``: bytes for one key, uploaded and drawn; 0 for any number."""
        self._files = files
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._counted_at = -COUNT_EVERY
        self._kept: Counter[str] = Counter()
        self._unjoined: dict[str, _Unjoined] = {}

    def look(self, owner: str) -> None:
        """Count anew if it is time. Raises Refused 413 when ``owner`` has no room at all."""
        if not self._most:
            return
        with self._lock:
            now = self._clock()
            if now - self._counted_at >= COUNT_EVERY:
                self._count(now)
        self.add(owner, 0)

    def add(self, owner: str, size: int) -> None:
        """``size`` more bytes come for ``owner``. Raises Refused 413, and they do not count."""
        if not self._most:
            return
        with self._lock:
            self._kept[owner] += size
            kept = self._kept[owner] + sum(
                sum(file.sizes.values()) for file in self._unjoined.values() if file.owner == owner
            )
            fits = kept <= self._most if size else kept < self._most
            if not fits:
                self._kept[owner] -= size
        if not fits:
            raise Refused(
                413,
                f"Your files would have {kept} bytes and may have {self._most}. Delete some "
                "(DELETE /limner/v1/files/{name}), or wait until they expire.",
            )

    def give_back(self, owner: str, size: int) -> None:
        """What came of a file that was then broken off is not kept."""
        with self._lock:
            self._kept[owner] -= size

    def part(self, name: str, owner: str, number: int, size: int) -> None:
        """The part of a file came whole: it counts until it is joined or thrown away.

        A part that comes again replaces the one before it.
        """
        if not self._most:
            return
        with self._lock:
            self._kept[owner] -= size  # which was added as it came
            file = self._unjoined.setdefault(name, _Unjoined(owner, self._clock()))
            file.sizes[number] = size

    def joined(self, name: str) -> None:
        """The parts of a file became the file."""
        with self._lock:
            file = self._unjoined.pop(name, None)
            if file is not None:
                self._kept[file.owner] += sum(file.sizes.values())

    def _count(self, now: float) -> None:
        self._kept = Counter()
        for file in self._files.listing():
            self._kept[file.owner] += file.size
        self._counted_at = now
        for name in [n for n, file in self._unjoined.items() if now - file.since > PARTS_LIFE]:
            del self._unjoined[name]
