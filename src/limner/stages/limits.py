"""How much of a caller's input is taken: numbers handed down from the settings.

Knows the numbers alone; whoever opens a picture or an archive keeps to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much of an archive is opened."""

    #: Most pictures in it.
    max_files: int = 50
    #: Most bytes of the archive itself.
    max_bytes: int = 50 * MIB
    #: Most bytes of all its pictures together, as they really unpack.
    max_unpacked_bytes: int = 200 * MIB

    @classmethod
    def of(cls, max_bytes: int) -> Self:
        """Those of archives of at most ``max_bytes``; pictures hardly shrink in a zip."""
        return cls(max_bytes=max_bytes, max_unpacked_bytes=4 * max_bytes)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a picture may be, and an archive of them."""

    #: Most pixels of a picture, given or drawn.
    max_pixels: int = 64_000_000
    archive: ArchiveLimits = field(default_factory=ArchiveLimits)
