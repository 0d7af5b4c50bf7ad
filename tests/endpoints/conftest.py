"""The engine of face-to-sticker itself, without server or queue."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from limner.endpoints.base import Step, Workshop
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput, FaceToStickerOutput
from limner.endpoints.face_to_sticker.sketch import SketchSticker, open_engine
from limner.endpoints.fields import Image as Description
from limner.stages.provenance import Source

FACES = Path(__file__).parents[1] / "faces"
ASTRONAUT = "01_astronaut_frontal.png"


@dataclass
class Album:
    """Pictures that are read from the test photos and kept in memory."""

    kept: list[bytes] = field(default_factory=list[bytes])
    caller: str = ""

    def mark(self, source: Source) -> Source | None:
        return source

    def read(self, url: str) -> bytes:
        return (FACES / url).read_bytes()

    def publish(
        self, encoded: bytes, *, width: int, height: int, format: str = "PNG"
    ) -> Description:
        return self.publish_file(
            encoded,
            file_name=str(len(self.kept) + 1),
            content_type=f"image/{format}",
            size=(width, height),
        )

    def publish_file(
        self, content: bytes, *, file_name: str, content_type: str, size: tuple[int, int]
    ) -> Description:
        self.kept.append(content)
        return Description(
            url=f"kept/{len(self.kept)}",
            content_type=content_type,
            file_name=file_name,
            file_size=len(content),
            width=size[0],
            height=size[1],
        )


@dataclass
class Drawn:
    """What one request came to."""

    output: FaceToStickerOutput
    files: list[bytes]
    steps: list[Step]

    @property
    def plain(self) -> npt.NDArray[np.uint8]:
        return np.asarray(Image.open(io.BytesIO(self.files[0])))

    @property
    def cutout(self) -> npt.NDArray[np.uint8]:
        return np.asarray(Image.open(io.BytesIO(self.files[1])))

    @property
    def said(self) -> str:
        return "\n".join(step.message for step in self.steps)


Draw = Callable[..., Drawn]


def drawn_by(engine: SketchSticker, photo: str = ASTRONAUT, **wishes: Any) -> Drawn:
    """Draw a photo to the end; small and seeded unless the test says otherwise."""
    asked = {"prompt": "a person", "seed": 7, "image_size": {"width": 320, "height": 320}, **wishes}
    album, steps = Album(), list[Step]()
    work = engine.draw(FaceToStickerInput(image_url=photo, **asked), album)
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return Drawn(end.value, album.kept, steps)


@pytest.fixture(scope="session")
def engine(networks: Path) -> SketchSticker:
    return open_engine(Workshop(networks, may_fetch=False))


@pytest.fixture(scope="session")
def draw(engine: SketchSticker) -> Draw:
    return lambda photo=ASTRONAUT, **wishes: drawn_by(engine, photo, **wishes)


@pytest.fixture(scope="session")
def face_id_engine(networks: Path) -> Any:
    from limner.endpoints.ip_adapter_face_id.sketch import open_engine as open_face_id

    return open_face_id(Workshop(networks, may_fetch=False))


@pytest.fixture(scope="session")
def portray(face_id_engine: Any) -> Any:
    """Draw a portrait; the same request is drawn once for all tests."""
    from tests.endpoints.portraits import Portrait, portrayed_by

    drawn: dict[str, Portrait] = {}

    def ask(photo: str | None = ASTRONAUT, **wishes: Any) -> Portrait:
        key = repr((photo, sorted(wishes.items())))
        if key not in drawn:
            drawn[key] = portrayed_by(face_id_engine, photo, **wishes)
        return drawn[key]

    return ask
