"""A contact sheet: photos in the first column, the stickers made of them beside.

    python tools/contact_sheet.py OUT.jpg PROMPT[,PROMPT…] PHOTO…

One row a photo, one column a prompt; a photo that cannot be drawn leaves its cell empty and says
why on standard error. For eyes, ours first: how ``docs/stickers.jpg`` is made.
Knows the engine's contract; knows no server.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from PIL import Image, ImageOps

from limner.endpoints.base import Workshop
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput
from limner.endpoints.face_to_sticker.sketch import open_engine
from limner.endpoints.fields import Image as Description
from limner.errors import CallersFault

CELL, GAP = 256, 8


class Album:
    """Reads photos by their path, keeps pictures in memory."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def read(self, url: str) -> bytes:
        return Path(url).read_bytes()

    def publish(
        self, encoded: bytes, *, width: int, height: int, format: str = "PNG"
    ) -> Description:
        self.kept.append(encoded)
        return Description(url="", width=width, height=height)


def main(out: Path, prompts: list[str], photos: list[Path]) -> None:
    """Draw every photo with every prompt and lay them out."""
    networks = Path(os.environ.get("LIMNER_HOME", ".limner")) / "networks"
    engine = open_engine(Workshop(networks))
    size = [(CELL + GAP) * n + GAP for n in (1 + len(prompts), len(photos))]
    sheet = Image.new("RGB", (size[0], size[1]), "white")
    for row, photo in enumerate(photos):
        cells = [ImageOps.exif_transpose(Image.open(photo)).convert("RGB")]
        for prompt in prompts:
            album = Album()
            wish = FaceToStickerInput(prompt=prompt, image_url=str(photo), seed=row + 1)
            try:
                list(engine.draw(wish, album))
            except CallersFault as fault:
                print(f"{photo.name}: {fault}", file=sys.stderr)
                break
            cells.append(Image.open(io.BytesIO(album.kept[0])))
        for column, cell in enumerate(cells):
            small = ImageOps.pad(cell, (CELL, CELL), Image.Resampling.LANCZOS, color="white")
            sheet.paste(small, (GAP + (CELL + GAP) * column, GAP + (CELL + GAP) * row))
    sheet.save(out, quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","), [Path(name) for name in sys.argv[3:]])
