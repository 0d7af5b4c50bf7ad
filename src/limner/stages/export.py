"""A sticker as a file that a platform takes: laid out, encoded within its bytes, looked at again.

It is drawn anew at each platform's size, so that its outline is as wide as its share of the
sticker and as sharp. Knows the platforms' rules and pixels; nothing of engines, requests or where
files go.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from limner.errors import ExportUnfit
from limner.stages.finish import Piece
from limner.stages.platforms import PLATFORMS, Platform
from limner.stages.provenance import Source, made_how
from limner.stages.see_through import Pixels, placed
from limner.stages.squeeze import png_within, webp_within

#: The one whose file is a page for a printer.
PRINT = "print"
#: A printed sticker is at least so long, in pixels at 300 dpi: 5 cm.
_LEAST_PRINT = 591


@dataclass(frozen=True, slots=True)
class Exported:
    """One platform's file."""

    content: bytes
    #: Without a folder: ``sticker-whatsapp.webp``.
    file_name: str
    content_type: str
    #: (width, height) in pixels; of a printed page at 300 dpi.
    size: tuple[int, int]
    #: How many times as large as it was drawn the sticker had to be made.
    enlarged: float


def export(piece: Piece, name: str, source: Source | None) -> Exported:
    """A piece as the file that the platform ``name`` takes; ``source`` None writes no mark.

    Raises ExportUnfit if what was written does not keep to the platform's rules.
    """
    if name == PRINT:
        return _printed(piece, source)
    platform = PLATFORMS[name]
    picture = laid_out(piece, platform)
    xmp = made_how(source) if platform.marked else b""
    if platform.format == "WEBP":
        content = webp_within(picture, platform.max_bytes, xmp)
    else:
        content = png_within(picture, platform.max_bytes, xmp, reducible=platform.reducible)
    if content is None:
        raise ExportUnfit(f"No file for {name} is small enough.")
    return Exported(
        content,
        f"sticker-{name}.{platform.suffix}",
        platform.content_type,
        checked(content, platform),
        _scale(piece, platform),
    )


def laid_out(piece: Piece, platform: Platform) -> Pixels:
    """The piece on the platform's canvas, as large as its margin lets it be: RGBA."""
    margin = platform.margin
    worn, _ = piece.fitted(_room(platform))
    size = (worn.shape[1], worn.shape[0])
    if platform.exact:
        canvas = platform.box
    else:
        # The side that reaches to the box is exactly the box's; the other is as it comes.
        shares = [side / room for side, room in zip(size, _room(platform), strict=True)]
        tight = [side + 2 * margin for side in size]
        filled = shares.index(max(shares))
        tight[filled] = platform.box[filled]
        step = 2 if platform.even else 1
        canvas = (-(-tight[0] // step) * step, -(-tight[1] // step) * step)
    return placed(worn, canvas, ((canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2))


def _room(platform: Platform) -> tuple[int, int]:
    return platform.box[0] - 2 * platform.margin, platform.box[1] - 2 * platform.margin


def _scale(piece: Piece, platform: Platform) -> float:
    """How large the piece is on the platform's canvas, beside how it was drawn."""
    return min(room / side for room, side in zip(_room(platform), piece.span(), strict=True))


def checked(content: bytes, platform: Platform) -> tuple[int, int]:
    """(width, height) of a file, opened again and found to keep to the rules.

    Raises ExportUnfit.
    """
    with Image.open(io.BytesIO(content)) as file:
        alpha = np.asarray(file.convert("RGBA"))[..., 3]
        size, box = file.size, platform.box
        kept = {
            "format": file.format == platform.format,
            "bytes": len(content) <= platform.max_bytes,
            "size": size == box if platform.exact else _touches(size, box),
            "even sides": not platform.even or not (size[0] % 2 or size[1] % 2),
            "one frame": getattr(file, "n_frames", 1) == 1,
            "something to see": bool(alpha.any()),
            "mark": platform.marked or not {"xmp", "exif", "icc_profile"} & set(file.info),
        }
    broken = [rule for rule, holds in kept.items() if not holds]
    if broken:
        raise ExportUnfit(f"A file does not keep to its platform's rules: {', '.join(broken)}.")
    return size


def _touches(size: tuple[int, int], box: tuple[int, int]) -> bool:
    within = size[0] <= box[0] and size[1] <= box[1]
    return within and (size[0] == box[0] or size[1] == box[1])


def _printed(piece: Piece, source: Source | None) -> Exported:
    """The piece as a page with a knife's path, one pixel of it one dot of 300 to the inch."""
    # qpdf and an XML parser are 20 MB of memory: for those who print.
    from limner.stages.die_line import ROOM, die_line_page

    # A shadow would be cut off.
    piece = replace(piece, finish=replace(piece.finish, shadow=False))
    scale = max(1.0, _LEAST_PRINT / max(piece.span()))
    worn, _ = piece.dressed(scale)
    canvas = worn.shape[1] + 2 * ROOM, worn.shape[0] + 2 * ROOM
    content, size = die_line_page(placed(worn, canvas, (ROOM, ROOM)), source)
    return Exported(content, f"sticker-{PRINT}.pdf", "application/pdf", size, scale)
