"""What each platform asks of a sticker's file, as numbers. Sources: ``docs/sticker-craft.md``.

A thousand bytes are a kilobyte here: a limit that is kept either way it is meant.
Knows the rules; how they are kept is ``stages.export``'s and ``stages.die_line``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

KB = 1000


@dataclass(frozen=True, slots=True)
class Platform:
    """The rules for one still sticker."""

    #: Largest (width, height) in pixels.
    box: tuple[int, int]
    #: PIL's name of the format.
    format: Literal["WEBP", "PNG"]
    #: Most bytes of the file.
    max_bytes: int
    #: Clear pixels around the sticker.
    margin: int = 0
    #: Must the picture be exactly as large as the box? Else the sticker touches it on one axis.
    exact: bool = True
    #: Must both sides be even?
    even: bool = False
    #: May colours be reduced to fewer than 8 bits or to a palette?
    reducible: bool = True
    #: May the file say how it was made?
    marked: bool = True

    @property
    def suffix(self) -> str:
        """What the file's name ends with."""
        return self.format.lower()

    @property
    def content_type(self) -> str:
        """The file's MIME type as IANA registers it."""
        return f"image/{self.format.lower()}"


#: By name, in the order in which they are listed; ``print`` has a module of its own.
PLATFORMS: Mapping[str, Platform] = {
    # Metadata makes WhatsApp freeze while saving: its own guide says to leave it out.
    "whatsapp": Platform((512, 512), "WEBP", 100 * KB, margin=16, marked=False),
    "telegram": Platform((512, 512), "WEBP", 512 * KB, exact=False),
    "signal": Platform((512, 512), "WEBP", 300 * KB, margin=16),
    "imessage": Platform((618, 618), "PNG", 500 * KB - 1),
    "discord": Platform((320, 320), "PNG", 512 * KB),
    "line": Platform(
        (370, 320), "PNG", 1000 * KB, margin=10, exact=False, even=True, reducible=False
    ),
    "slack": Platform((128, 128), "PNG", 64 * KB),
}
