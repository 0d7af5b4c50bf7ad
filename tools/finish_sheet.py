"""One sticker in six finishes, on light and on dark: so ``docs/sticker-craft.jpg`` is made.

    python tools/finish_sheet.py OUT.jpg PHOTO

For eyes. Knows the sketch engine and what a cut-out may wear; knows no server.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
from contact_sheet import Album
from PIL import Image

from limner.endpoints.base import Workshop
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput
from limner.endpoints.face_to_sticker.sketch import open_engine
from limner.stages.finish import Finish, finished

CELL, GAP = 300, 8
GROUNDS = ((246, 246, 248), (24, 26, 32))
FINISHES = (
    Finish(),
    Finish(shadow=True),
    Finish(outline=16),
    Finish(outline=16, shadow=True),
    Finish(outline=28, color=(255, 78, 120), shadow=True),
    Finish(outline=28, color=(64, 124, 255), trim=True, margin=12),
)


def main(out: Path, photo: Path) -> None:
    """Draw the photo once and lay its finishes out, a row a ground."""
    engine = open_engine(Workshop(Path(os.environ.get("LIMNER_HOME", ".limner")) / "networks"))
    album = Album()
    asked = FaceToStickerInput(prompt="a person", image_url=str(photo), seed=7)
    for step in engine.draw(asked, album):
        print(step.message, file=sys.stderr)
    cutout = np.asarray(Image.open(io.BytesIO(album.kept[1])))
    size = [(CELL + GAP) * n + GAP for n in (len(FINISHES), len(GROUNDS))]
    sheet = Image.new("RGB", (size[0], size[1]), "white")
    for row, ground in enumerate(GROUNDS):
        for column, finish in enumerate(FINISHES):
            cell = Image.new("RGBA", (CELL, CELL), ground)
            sticker = Image.fromarray(finished(cutout, finish))
            sticker.thumbnail((CELL, CELL))
            cell.alpha_composite(
                sticker, ((CELL - sticker.width) // 2, (CELL - sticker.height) // 2)
            )
            corner = (GAP + column * (CELL + GAP), GAP + row * (CELL + GAP))
            sheet.paste(cell.convert("RGB"), corner)
    sheet.save(out, quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
