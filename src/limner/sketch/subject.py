"""The part of a photo that will be drawn: one person, near enough and cut free.

Knows faces, mattes and enlarging; knows nothing of styles, canvases or requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.instruments import Instruments
from limner.sketch.light import exposed
from limner.stages.doubt import agrees, redrawn
from limner.stages.face import Face
from limner.stages.lift import around
from limner.stages.silhouette import Box

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: A part whose longer side is below this is enlarged by a network first. Pixels.
SMALL = 220
#: A part whose longer side is above this is shrunk first, unless more is asked for. Pixels.
LARGE = 2048
#: Below this height of a face in the photo, a matting network sees no person. Pixels.
TINY_FACE = 40


@dataclass(frozen=True, eq=False, slots=True)
class Subject:
    """A person in a part of a photo. ``alpha`` [h, w] 0…1; boxes and landmarks in its pixels."""

    rgb: Picture
    alpha: Floats
    face: Face
    others: tuple[Box, ...]


def is_small(photo: Picture, face: Face) -> bool:
    """Whether the person with ``face`` will have to be enlarged by a network."""
    left, top, right, bottom = around(face.box, photo.shape[1], photo.shape[0])
    return max(right - left, bottom - top) < SMALL


def take(
    photo: Picture, faces: Sequence[Face], instruments: Instruments, longest: int = LARGE
) -> Subject:
    """The person with the first of ``faces`` in ``photo`` [h, w, 3]; the others are left out.

    ``longest``: pixels that the longer side may have. A phone's photo has several times what is
    drawn, and every map of it would cost as much memory again.
    """
    face = faces[0]
    left, top, right, bottom = around(face.box, photo.shape[1], photo.shape[0])
    rgb = np.ascontiguousarray(photo[top:bottom, left:right])
    scale = min(1.0, longest / max(rgb.shape[:2]))
    if is_small(photo, face):
        scale = 4.0
        rgb = instruments.upscaler(4)(rgb)
    elif scale < 1:
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    moved = [_moved(each, left, top, scale) for each in faces]
    alpha = instruments.matte(rgb)
    if face.box[3] < TINY_FACE or not agrees(alpha, moved[0].box):
        alpha = redrawn(rgb, alpha, moved[0].box)
    lit = exposed(rgb, alpha, moved[0].landmarks)
    return Subject(lit, alpha, moved[0], tuple(other.box for other in moved[1:]))


def _moved(face: Face, left: int, top: int, scale: float) -> Face:
    x, y, width, height = face.box
    return Face(
        ((x - left) * scale, (y - top) * scale, width * scale, height * scale),
        ((face.landmarks - np.array([left, top], np.float32)) * scale).astype(np.float32),
        face.score,
    )
