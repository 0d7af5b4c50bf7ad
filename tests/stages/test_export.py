"""Each platform's file keeps to the platform's rules, whatever the sticker is.

The rules are those of docs/sticker-craft.md, read from its table.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from limner.endpoints.face_to_sticker.schema import PlatformName
from limner.errors import ExportUnfit
from limner.stages.export import checked, export, laid_out
from limner.stages.finish import Finish, Piece, piece_of
from limner.stages.platforms import PLATFORMS
from limner.stages.provenance import Source
from limner.stages.see_through import visible
from limner.stages.squeeze import png_within, webp_within

Pixels = npt.NDArray[np.uint8]
MADE = Source.TRAINED_ALGORITHMIC_MEDIA
PAGE = (Path(__file__).parents[2] / "docs" / "sticker-craft.md").read_text()
#: platform → (width, height, "exact" or not, format, bytes, margin).
ROWS = {
    row[0]: row[1:]
    for row in re.findall(
        r"^\| `(\w+)` \| (≤ )?(\d+)×(\d+).*? \| (WebP|PNG) \| ([\d,]+) \| (\d+) \|", PAGE, re.M
    )
}
EACH = pytest.mark.parametrize("name", sorted(ROWS))


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (height, width, 4), dtype=np.uint8)


def drawing(side: int) -> Pixels:
    """A round thing with soft colours and a hard edge, as stickers are."""
    rows, columns = np.indices((side, side)) / side
    away = np.hypot(rows - 0.5, columns - 0.5)
    rgb = np.stack([rows, columns, np.sin(40 * away) / 2 + 0.5], axis=-1) * 255
    alpha = np.clip((0.46 - away) * side, 0, 1) * 255
    return np.dstack([rgb, alpha]).astype(np.uint8)


def opaque(height: int, width: int) -> Pixels:
    return np.full((height, width, 4), 255, np.uint8)


PICTURES = {
    "drawing": drawing(700),
    "noise": noise(600, 500),
    "opaque": opaque(50, 50),
    "one dot": opaque(1, 1),
    "tall": opaque(400, 3),
    "wide": opaque(2, 300),
}


def piece(picture: Pixels, finish: Finish | None = None) -> Piece:
    found = piece_of(np.pad(picture, ((20, 20), (20, 20), (0, 0))), finish or Finish())
    assert found is not None
    return found


def test_the_page_has_every_platform_that_may_be_asked_for() -> None:
    assert {*ROWS, "print"} == set(get_args(PlatformName)) == {*PLATFORMS, "print"}


@EACH
@pytest.mark.parametrize("kind", PICTURES)
def test_a_file_keeps_to_the_rules(name: str, kind: str) -> None:
    most, wide, tall, format, limit, margin = ROWS[name]
    shadow = Finish(outline=5, shadow=True) if kind != "noise" else Finish()
    file = export(piece(PICTURES[kind], shadow), name, MADE)
    assert len(file.content) <= int(limit.replace(",", ""))
    with Image.open(io.BytesIO(file.content)) as opened:
        opened.load()
        size, seen = opened.size, np.asarray(opened.convert("RGBA"))
        assert opened.format == format.upper()
        assert getattr(opened, "n_frames", 1) == 1
    assert size == file.size
    box = int(wide), int(tall)
    if most:
        assert size[0] <= box[0] and size[1] <= box[1]
        assert size[0] == box[0] or size[1] == box[1]
    else:
        assert size == box
    if name == "line":
        assert not (size[0] % 2 or size[1] % 2)
    left, top, right, bottom = visible(seen) or (0, 0, 0, 0)
    assert min(left, top, size[0] - right, size[1] - bottom) >= int(margin)
    # As large as the rules let it be: what is left is rounding, or a shadow too faint to be kept.
    free = min(left + size[0] - right, top + size[1] - bottom) - 2 * int(margin)
    if kind in ("drawing", "noise", "opaque"):
        assert free <= 0.04 * max(size)
    assert file.file_name == f"sticker-{name}.{format.lower()}"
    assert file.content_type == f"image/{format.lower()}"


@EACH
def test_the_same_sticker_gives_the_same_bytes(name: str) -> None:
    one = piece(PICTURES["drawing"])
    assert export(one, name, MADE) == export(one, name, MADE)


def riff_chunks(content: bytes) -> set[bytes]:
    chunks, at = set[bytes](), 12
    while at < len(content):
        chunks.add(content[at : at + 4])
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return chunks


def test_whatsapps_file_holds_no_metadata_and_telegrams_says_how_it_was_made() -> None:
    one = piece(PICTURES["drawing"])
    assert riff_chunks(export(one, "whatsapp", MADE).content) <= {
        b"VP8X",
        b"ALPH",
        b"VP8 ",
        b"VP8L",
    }
    for name in sorted(set(ROWS) - {"whatsapp"}):
        content = export(one, name, MADE).content
        assert b"digitalsourcetype/trainedAlgorithmicMedia" in content
        assert riff_chunks(content) >= {b"XMP "} if content[:4] == b"RIFF" else True


def error(content: bytes, picture: Pixels) -> float:
    """The mean square difference, on white and on black together."""
    with Image.open(io.BytesIO(content)) as file:
        got = np.asarray(file.convert("RGBA")).astype(float)
    total = 0.0
    for ground in (0, 255):
        shown = [
            each[..., :3] * (alpha := each[..., 3:] / 255) + ground * (1 - alpha)
            for each in (got, picture.astype(float))
        ]
        total += float(np.mean((shown[0] - shown[1]) ** 2))
    return total


@pytest.mark.parametrize("within", [webp_within, png_within])
def test_fewer_bytes_look_worse_and_enough_bytes_lose_nothing(
    within: Callable[[Pixels, int], bytes | None],
) -> None:
    picture = drawing(300)
    errors: list[float] = []
    for limit in (10_000, 20_000, 40_000, 80_000, 10**7):
        content = within(picture, limit)
        assert content is not None
        assert len(content) <= limit
        errors.append(error(content, picture))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1] == 0
    assert within(picture, 50) is None


@pytest.mark.parametrize("limit", [4000, 5000, 8000])
def test_the_highest_quality_that_fits_is_taken(limit: int) -> None:
    content = webp_within(drawing(300), limit)
    assert content is not None
    # A step of quality is a few per cent of bytes.
    assert 0.9 * limit < len(content) <= limit


def test_line_keeps_all_colours() -> None:
    """ "RGB" in LINE's guideline: no palette, no fewer bits."""
    one = piece(noise(320, 320))
    with Image.open(io.BytesIO(export(one, "line", MADE).content)) as file:
        assert file.mode == "RGBA"
        assert (np.asarray(file) == laid_out(one, PLATFORMS["line"])).all()


def encoded(size: tuple[int, int], format: str = "WEBP", **more: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", size, "red").save(file, format, **more)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (encoded((512, 511)), "size"),
        (encoded((512, 512), "PNG"), "format"),
        (encoded((512, 512), xmp=b"<x/>"), "mark"),
        (
            encoded(
                (512, 512),
                save_all=True,
                append_images=[Image.new("RGBA", (512, 512), "blue")],
                duration=100,
            ),
            "one frame",
        ),
    ],
)
def test_a_file_against_the_rules_is_not_handed_over(content: bytes, rule: str) -> None:
    with pytest.raises(ExportUnfit, match=f": {rule}"):
        checked(content, PLATFORMS["whatsapp"])
    fit = encoded((512, 512))
    assert checked(fit, PLATFORMS["whatsapp"]) == (512, 512)
    small = dataclasses.replace(PLATFORMS["whatsapp"], max_bytes=len(fit) - 1)
    with pytest.raises(ExportUnfit, match="bytes"):
        checked(fit, small)
