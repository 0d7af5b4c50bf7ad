"""How much of a caller's input is taken: numbers handed down from the settings.

Knows the numbers alone; whoever opens a picture or an archive keeps to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a picture may be, and an archive of them."""

    #: Most pixels of a picture, given or drawn.
    max_pixels: int = 64_000_000
    #: Fewest pixels of a given picture's shorter side.
    min_side: int = 16
    archive: ArchiveLimits = field(default_factory=ArchiveLimits)
