"""Learns the latent directions of ``limner.sketch.directions`` from paired edits.

For every face and every attribute: encode(face with the attribute painted on) - encode(face),
also mirrored, averaged over faces. Nothing but the encoder's own answers goes in: no labels, no
other network's data set. The faces are public-domain photos and Apache-2.0 AI pictures
(``shared/faces/SOURCES.md``).

    python tools/learn_directions.py FACES_FOLDER src/limner/sketch/directions.npz SHEET.png

The sheet shows each direction at strength 1, learnt *without* the face it is shown on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from aligned_face import Face
from paint_attributes import EDITS
from PIL import Image, ImageOps

from limner.sketch.networks import ensure
from limner.sketch.stylizer import Stylizer, align

PICTURES = ("01", "03", "04", "06", "08", "11", "13", "14", "15")
VARIANTS = 4


def read_faces(folder: Path, home: Path) -> list[Face]:
    """Every face of the chosen pictures (two of the picture with two), aligned."""
    yunet = cv2.FaceDetectorYN.create(str(ensure("yunet", home)), "", (320, 320), 0.6, 0.3, 5000)
    modnet = onnxruntime.InferenceSession(str(ensure("modnet", home)))
    faces: list[Face] = []
    for number in PICTURES:
        with Image.open(next(folder.glob(f"{number}_*"))) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((1600, 1600))
        picture = np.asarray(upright)
        yunet.setInputSize(upright.size)
        _, found = yunet.detect(np.ascontiguousarray(picture[..., ::-1]))
        for row in sorted(found, key=lambda row: -row[2] * row[3])[:2]:
            marks = row[4:14].reshape(5, 2)
            crop, affine = align(picture, marks)
            faces.append(Face(crop, marks @ affine[:, :2].T + affine[:, 2], matte(modnet, crop)))
    return faces


def matte(modnet: onnxruntime.InferenceSession, crop: np.ndarray) -> np.ndarray:
    """How much of each pixel is the person, 0…1."""
    large = cv2.resize(crop, (512, 512), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    feed = {modnet.get_inputs()[0].name: (large / 127.5 - 1).transpose(2, 0, 1)[None]}
    return cv2.resize(modnet.run(None, feed)[0][0, 0], (256, 256), interpolation=cv2.INTER_AREA)


def mirrored(face: Face) -> Face:
    """The face in a mirror; left and right marks change places."""
    marks = (face.marks * [-1, 1] + [255, 0])[[1, 0, 2, 4, 3]]
    flip = np.ascontiguousarray
    return Face(flip(face.picture[:, ::-1]), marks, flip(face.matte[:, ::-1]))


def effects(faces: list[Face], stylizer: Stylizer) -> dict[str, np.ndarray]:
    """Name → mean change of the latent for each face, [faces, 12, 512]."""
    rng = np.random.default_rng(7)
    changes: dict[str, list[np.ndarray]] = {name: [] for name in EDITS}
    for face in faces:
        sides = [face, mirrored(face)]
        plain = [stylizer.encode(side.picture) for side in sides]
        for name, (edit, _) in EDITS.items():
            edited = [
                stylizer.encode(edit(side, rng)) - latent
                for side, latent in zip(sides, plain, strict=True)
                for _ in range(VARIANTS // 2)
            ]
            changes[name].append(np.mean(edited, 0))
    return {name: np.stack(each) for name, each in changes.items()}


def average(faces: list[Face], stylizer: Stylizer) -> np.ndarray:
    """The mean latent [12, 512] of all faces and their mirror images: nobody in particular."""
    sides = [side for face in faces for side in (face, mirrored(face))]
    return np.mean([stylizer.encode(side.picture) for side in sides], 0)


def sheet(faces: list[Face], stylizer: Stylizer, changes: dict[str, np.ndarray]) -> np.ndarray:
    """A row per face and style: photo, drawing, then each direction learnt from other faces."""
    rows: list[np.ndarray] = []
    for number in (0, 1, 3, 6, 8):
        latent = stylizer.encode(faces[number].picture)
        for style in stylizer.styles:
            cells = [faces[number].picture, stylizer.draw(style, latent, 0)]
            for name, (_, gain) in EDITS.items():
                others = np.delete(changes[name], number, 0).mean(0)
                cells.append(stylizer.draw(style, latent + gain * others, 0))
            rows.append(np.hstack([cv2.resize(cell, (128, 128)) for cell in cells]))
    return np.vstack(rows)


def main(folder: Path, learnt: Path, contact_sheet: Path) -> None:
    home = Path(os.environ.get("LIMNER_HOME", ".limner"), "networks")
    styles = {name: ensure(f"face-stylizer-{name}", home) for name in ("color-sketch", "color-ink")}
    stylizer = Stylizer(ensure("face-stylizer-encoder", home), styles, threads=2)
    faces = read_faces(folder, home)
    changes = effects(faces, stylizer)
    # The encoder gives four rows of the latent each the same offset: three vectors say it all.
    np.savez_compressed(
        learnt,
        average=average(faces, stylizer).astype(np.float16),
        **{
            name: (gain * changes[name].mean(0)[::4]).astype(np.float16)
            for name, (_, gain) in EDITS.items()
        },
    )
    Image.fromarray(sheet(faces, stylizer, changes)).save(contact_sheet)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
