"""How much is kept on a disk, and how much room is left there.

Knows the tally of a store; knows no bucket, which has no end and whose owner counts it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from limner.files.tally import Tally


@dataclass(frozen=True, slots=True)
class Room:
    """Of a file store on a disk. Sizes in bytes."""

    free: int
    total: int
    #: Files that are kept, and their sizes added up.
    files: int
    kept: int


class DiskRoom:
    """Looks at a disk and at what is kept on it. Safe to call from several threads."""

    def __init__(self, folder: Path, tally: Tally) -> None:
        self._folder = folder
        self._tally = tally

    def __call__(self) -> Room:
        """How it stands; files as the tally knows them."""
        self._tally.look()
        disk = shutil.disk_usage(self._folder)
        return Room(disk.free, disk.total, self._tally.files, self._tally.bytes)
