"""Drawing portraits in tests: one request to ip-adapter-face-id's engine, and what came of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.endpoints.base import Step
from limner.endpoints.ip_adapter_face_id.schema import (
    IpAdapterFaceIdInput,
    IpAdapterFaceIdOutput,
)
from limner.endpoints.ip_adapter_face_id.sketch import SketchFaceId
from tests.endpoints.conftest import ASTRONAUT, FACES, Album

Pixels = npt.NDArray[np.uint8]


@dataclass
class Desk(Album):
    """An album that also keeps files of the test's own, by name."""

    own: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def read(self, url: str) -> bytes:
        return self.own[url] if url in self.own else super().read(url)


@dataclass
class Portrait:
    """What one request came to."""

    output: IpAdapterFaceIdOutput
    files: list[bytes]
    steps: list[Step]

    @property
    def file(self) -> bytes:
        """The answer's own file."""
        return self.files[int(self.output.image.url.rpartition("/")[2]) - 1]

    @property
    def picture(self) -> Pixels:
        return np.asarray(Image.open(io.BytesIO(self.file)))

    @property
    def said(self) -> str:
        return "\n".join(step.message for step in self.steps)

    @property
    def likeness(self) -> float:
        """What the answer's scores say."""
        assert self.output.scores is not None
        return self.output.scores.similarity


Portray = Callable[..., Portrait]


def portrayed_by(
    engine: SketchFaceId, photo: str | None = ASTRONAUT, archive: bytes | None = None, **wishes: Any
) -> Portrait:
    """Draw to the end; one small seeded sample and one step unless the test says otherwise."""
    asked = {
        "prompt": "a person",
        "seed": 7,
        "width": 256,
        "height": 256,
        "num_samples": 1,
        "num_inference_steps": 1,
        **wishes,
    }
    if photo is not None:
        asked["face_image_url"] = photo
    if archive is not None:
        asked["face_images_data_url"] = "archive"
    desk, steps = Desk(own={"archive": archive or b""}), list[Step]()
    work = engine.draw(IpAdapterFaceIdInput(**asked), desk)
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return Portrait(end.value, desk.kept, steps)


def zipped(*photos: str) -> bytes:
    """A zip of test photos."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for photo in photos:
            archive.writestr(photo, (FACES / photo).read_bytes())
    return packed.getvalue()
