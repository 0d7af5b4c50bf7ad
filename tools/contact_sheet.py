"""A contact sheet: photos in the first column, what an endpoint made of them beside.

    python tools/contact_sheet.py ENDPOINT OUT.jpg PROMPT[,PROMPT…] PHOTO…

One row a photo, one column a prompt; a photo that cannot be drawn leaves its cells empty and says
why on standard error. For eyes, ours first: so ``docs/stickers.jpg`` and ``docs/portraits.jpg`` are
made, by the sketch engine. Knows the endpoints' contract; knows no server.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path

from PIL import Image, ImageOps

from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint, Workshop
from limner.endpoints.fields import Image as Description
from limner.errors import CallersFault
from limner.stages.provenance import Source

CELL, GAP = 256, 8


class Album:
    """Reads photos by their path, keeps pictures in memory."""

    caller = ""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def mark(self, source: Source) -> Source | None:
        return None

    def read(self, url: str) -> bytes:
        return Path(url).read_bytes()

    def publish(
        self, encoded: bytes, *, width: int, height: int, format: str = "PNG"
    ) -> Description:
        self.kept.append(encoded)
        return Description(url="", width=width, height=height)


def photo_field(endpoint: Endpoint) -> str:
    """The input that takes the photo: the first that fal's page shows as a picture."""
    fields = endpoint.input.model_json_schema()["properties"]
    return next(name for name, said in fields.items() if said.get("ui") == {"field": "image"})


def main(endpoint: Endpoint, out: Path, prompts: list[str], photos: list[Path]) -> None:
    """Draw every photo with every prompt and lay them out."""
    networks = Path(os.environ.get("LIMNER_HOME", ".limner")) / "networks"
    module, _, function = endpoint.engines["sketch"].partition(":")
    engine = getattr(importlib.import_module(module), function)(Workshop(networks))
    size = [(CELL + GAP) * n + GAP for n in (1 + len(prompts), len(photos))]
    sheet = Image.new("RGB", (size[0], size[1]), "white")
    for row, photo in enumerate(photos):
        cells = [ImageOps.exif_transpose(Image.open(photo)).convert("RGB")]
        for prompt in prompts:
            album = Album()
            given = {"prompt": prompt, photo_field(endpoint): str(photo), "seed": row + 1}
            try:
                list(engine.draw(endpoint.input.model_validate(given), album))
            except CallersFault as fault:
                print(f"{photo.name}: {fault}", file=sys.stderr)
                break
            cells.append(Image.open(io.BytesIO(album.kept[0])))
        for column, cell in enumerate(cells):
            small = ImageOps.pad(cell, (CELL, CELL), Image.Resampling.LANCZOS, color="white")
            sheet.paste(small, (GAP + (CELL + GAP) * column, GAP + (CELL + GAP) * row))
    sheet.save(out, quality=88)


if __name__ == "__main__":
    (wanted,) = [endpoint for endpoint in ENDPOINTS if endpoint.alias == sys.argv[1]]
    main(wanted, Path(sys.argv[2]), sys.argv[3].split(","), [Path(name) for name in sys.argv[4:]])
