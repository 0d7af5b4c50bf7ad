"""How much is kept on a disk, and how much room is left there.

Counting looks at every file, so it is done once in a while. Knows the store's contract; knows no
bucket, which has no end and whose owner counts it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from limner.files.store import FileStore

#: Seconds for which files are not counted again; the sweep looks at each of them more often.
COUNTED_FOR = 60.0


@dataclass(frozen=True, slots=True)
class Room:
    """Of a file store on a disk. Sizes in bytes."""

    free: int
    total: int
    #: Files that are kept, and their sizes added up.
    files: int
    kept: int


class DiskRoom:
    """Looks at a disk and at the store on it. Safe to call from several threads."""

    def __init__(
        self, folder: Path, store: FileStore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock
        #: When it was counted, how many files, and their bytes.
        self._counted: tuple[float, int, int] | None = None

    def __call__(self) -> Room:
        """How it stands; files as they were counted at most COUNTED_FOR seconds ago."""
        now = self._clock()
        if self._counted is None or now - self._counted[0] >= COUNTED_FOR:
            sizes = [file.size for file in self._store.listing()]
            self._counted = now, len(sizes), sum(sizes)
        disk = shutil.disk_usage(self._folder)
        return Room(disk.free, disk.total, *self._counted[1:])
