"""Paints attributes onto aligned faces, so that a direction can be learnt from before and after.

Every edit takes a :class:`Face` and a random generator and answers the edited RGB picture. They
are crude on purpose: what they have in common over many faces and variants is the attribute.

Knows nothing of latents or networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from aligned_face import Face, blend, point, pull, strokes
from paint_hair import blond, dark_hair, grey_hair, long_hair, red_hair

Edit = Callable[[Face, np.random.Generator], np.ndarray]


def _lenses(face: Face, mask: np.ndarray, width: float, height: float, thick: int) -> None:
    angle = float(np.degrees(np.arctan2(*(face.marks[1] - face.marks[0])[::-1])))
    for side in (0, 1):
        centre = face.marks[side] + (face.at(0, 0.05) - face.at(0, 0))
        axes = (int(width * face.unit * 4), int(height * face.unit * 4))
        cv2.ellipse(mask, point(centre), axes, angle, 0, 360, 255, thick)


def glasses(face: Face, rng: np.random.Generator) -> np.ndarray:
    width, height = rng.uniform(0.33, 0.4), rng.uniform(0.24, 0.34)
    thick = int(rng.uniform(0.05, 0.09) * face.unit * 4)

    def draw(mask: np.ndarray) -> None:
        _lenses(face, mask, width, height, thick)
        gap = 0.5 - width
        cv2.line(mask, point(face.at(-gap, 0.0)), point(face.at(gap, 0.0)), 255, thick)
        for side in (-1, 1):
            hinge = face.at(side * (0.5 + width), -0.02)
            cv2.line(mask, point(hinge), point(face.at(side * 1.05, -0.08)), 255, thick)

    colour = np.array([30, 24, 22], np.float32) * rng.uniform(0.4, 1.6)
    return blend(face.picture, colour, strokes(draw, 0.4) * 0.95)


def sunglasses(face: Face, rng: np.random.Generator) -> np.ndarray:
    width, height = rng.uniform(0.36, 0.42), rng.uniform(0.26, 0.34)

    def draw(mask: np.ndarray) -> None:
        _lenses(face, mask, width, height, -1)
        thick = int(0.08 * face.unit * 4)
        cv2.line(mask, point(face.at(-0.2, -0.05)), point(face.at(0.2, -0.05)), 255, thick)
        for side in (-1, 1):
            hinge = face.at(side * (0.5 + width - 0.05), -0.05)
            cv2.line(mask, point(hinge), point(face.at(side * 1.05, -0.1)), 255, thick)

    colour = np.array([20, 18, 20], np.float32)
    return blend(face.picture, colour, strokes(draw, 0.4) * rng.uniform(0.85, 1.0))


def smile(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Corners of the mouth out and up, its middle down, cheeks up, and teeth."""
    unit, up = face.unit, rng.uniform(0.1, 0.16)
    left, right = face.mouth()
    centre = (left + right) / 2
    warped = pull(
        face,
        [
            (left, np.array([-0.1, -up]) * unit, 0.16 * unit),
            (right, np.array([0.1, -up]) * unit, 0.16 * unit),
            (centre + np.array([0, 0.1]) * unit, np.array([0, 0.08]) * unit, 0.14 * unit),
            (face.at(-0.55, 0.6), np.array([0, -0.05]) * unit, 0.2 * unit),
            (face.at(0.55, 0.6), np.array([0, -0.05]) * unit, 0.2 * unit),
        ],
    )
    if rng.random() < 0.3:
        return warped

    def draw(mask: np.ndarray) -> None:
        half = np.hypot(*(right - left)) / 2 * rng.uniform(0.8, 1.0)
        depth = rng.uniform(0.14, 0.24) * unit
        angle = float(np.degrees(np.arctan2(*(right - left)[::-1])))
        start = centre - np.array([0, 0.06]) * unit
        cv2.ellipse(mask, point(start), (int(half * 4), int(depth * 4)), angle, 0, 180, 255, -1)

    teeth = strokes(draw, 0.8)
    return blend(warped, np.array([236, 230, 222], np.float32), teeth * 0.9)


def _stubble(face: Face, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grain = cv2.GaussianBlur(rng.normal(size=(256, 256)).astype(np.float32), (0, 0), 0.8)
    dark = np.array([52, 38, 30], np.float32) * rng.uniform(0.5, 1.3) + grain[..., None] * 30
    return blend(face.picture, dark, cv2.GaussianBlur(mask, (0, 0), 2.0) * rng.uniform(0.8, 0.95))


def _mouth_hole(face: Face) -> np.ndarray:
    left, right = face.mouth()
    centre, half = (left + right) / 2, np.hypot(*(right - left)) / 2
    rows, columns = np.mgrid[0:256, 0:256].astype(np.float32)
    away = ((columns - centre[0]) / (half * 1.0)) ** 2 + (
        (rows - centre[1]) / (0.17 * face.unit)
    ) ** 2
    return np.clip((away - 0.9) * 4, 0, 1)


def _mouth_level(face: Face) -> float:
    middle = (face.marks[3] + face.marks[4]) / 2
    return float((middle - face.at(0, 0)) @ (face.at(0, 1) - face.at(0, 0)) / face.unit**2)


def _moustache_mask(face: Face) -> np.ndarray:
    across, down = face.grid()
    level = _mouth_level(face) - 0.2
    bend = level + 0.25 * across**2 / 0.3
    return np.exp(-(((down - bend) / 0.12) ** 4)) * np.exp(-((across / 0.48) ** 8))


def moustache(face: Face, rng: np.random.Generator) -> np.ndarray:
    return _stubble(face, _moustache_mask(face) * _mouth_hole(face), rng)


def beard(face: Face, rng: np.random.Generator) -> np.ndarray:
    across, down = face.grid()
    level = _mouth_level(face)
    jaw = (across / 0.85) ** 2 + ((down - level + 0.35) / 1.05) ** 2 < 1
    below = down > level - 0.25
    cheeks = (np.abs(across) > 0.42) | (down > level + 0.05)
    mask = (jaw & below & cheeks).astype(np.float32)
    mask = np.maximum(mask, _moustache_mask(face)) * _mouth_hole(face) * (face.matte > 0.5)
    return _stubble(face, mask.astype(np.float32), rng)


def _wrinkled(face: Face, rng: np.random.Generator) -> np.ndarray:
    unit = face.unit
    level = _mouth_level(face)

    def draw(mask: np.ndarray) -> None:
        thick = max(2, int(0.025 * unit * 4))
        for row in np.arange(-0.75, -0.4, 0.14):
            wave = [
                face.at(x, row + 0.03 * np.cos(x * 3) + rng.normal() * 0.01)
                for x in np.linspace(-0.55, 0.55, 12)
            ]
            cv2.polylines(mask, [np.int32([point(p) for p in wave])], False, 255, thick)
        for side in (-1, 1):
            fold = [
                face.at(side * x, y)
                for x, y in zip(
                    np.linspace(0.28, 0.5, 8), np.linspace(0.55, level + 0.15, 8), strict=True
                )
            ]
            cv2.polylines(mask, [np.int32([point(p) for p in fold])], False, 255, thick + 2)
            for k in range(3):
                start = face.at(side * 0.78, -0.08 + 0.1 * k)
                cv2.line(
                    mask, point(start), point(face.at(side * 0.95, -0.16 + 0.16 * k)), 255, thick
                )
            bag = [
                face.at(side * (0.5 + x), 0.22 + 0.08 * np.cos(x * 5))
                for x in np.linspace(-0.24, 0.24, 8)
            ]
            cv2.polylines(mask, [np.int32([point(p) for p in bag])], False, 255, thick)

    shade = face.skin() * 0.5
    return blend(face.picture, shade, strokes(draw, 0.7) * rng.uniform(0.6, 0.9))


def older(face: Face, rng: np.random.Generator) -> np.ndarray:
    lined = _wrinkled(face, rng)
    return grey_hair(Face(lined, face.marks, face.matte), rng)


def makeup(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Red lips, dark lashes and lids."""
    left, right = face.mouth()
    centre, half = (left + right) / 2, np.hypot(*(right - left)) / 2
    rows, columns = np.mgrid[0:256, 0:256].astype(np.float32)
    lips = np.exp(
        -(
            (
                ((columns - centre[0]) / (half * 1.0)) ** 2
                + ((rows - centre[1]) / (0.16 * face.unit)) ** 2
            )
            ** 3
        )
    )
    lab = cv2.cvtColor(face.picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 1] += lips * 45
    lab[..., 2] += lips * 10
    lab[..., 0] -= lips * 18
    red = cv2.cvtColor(lab.clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)

    def draw(mask: np.ndarray) -> None:
        for eye in face.marks[:2]:
            axes = (int(0.24 * face.unit * 4), int(0.13 * face.unit * 4))
            cv2.ellipse(mask, point(eye), axes, 0, 185, 355, 255, int(0.06 * face.unit * 4))

    return blend(
        red, np.array([25, 15, 20], np.float32), strokes(draw, 0.8) * rng.uniform(0.6, 0.85)
    )


def open_mouth(face: Face, rng: np.random.Generator) -> np.ndarray:
    unit = face.unit
    centre = (face.marks[3] + face.marks[4]) / 2
    dropped = pull(
        face, [(centre + np.array([0, 0.25]) * unit, np.array([0, 0.2]) * unit, 0.28 * unit)]
    )
    wide, tall = rng.uniform(0.2, 0.28) * unit * 4, rng.uniform(0.2, 0.28) * unit * 4

    def draw(mask: np.ndarray) -> None:
        cv2.ellipse(
            mask,
            point(centre + np.array([0, 0.14]) * unit),
            (int(wide), int(tall)),
            0,
            0,
            360,
            255,
            -1,
        )

    def upper_teeth(mask: np.ndarray) -> None:
        place = point(centre + np.array([0, 0.02]) * unit)
        cv2.ellipse(mask, place, (int(wide * 0.8), int(tall * 0.35)), 0, 0, 180, 255, -1)

    dark = blend(dropped, np.array([70, 22, 26], np.float32), strokes(draw, 1) * 0.95)
    return blend(dark, np.array([235, 228, 220], np.float32), strokes(upper_teeth, 0.6))


def angry(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Brows down and together, corners of the mouth down."""
    unit, down = face.unit, rng.uniform(0.12, 0.18)
    pulls = [
        (face.at(s * 0.25, -0.32), np.array([-s * 0.06, down]) * unit, 0.14 * unit) for s in (-1, 1)
    ]
    pulls += [(corner, np.array([0, 0.1]) * unit, 0.16 * unit) for corner in face.mouth()]
    warped = pull(face, pulls)

    def draw(mask: np.ndarray) -> None:
        thick = int(0.09 * unit * 4)
        for side in (-1, 1):
            cv2.line(
                mask,
                point(face.at(side * 0.18, -0.14)),
                point(face.at(side * 0.75, -0.36)),
                255,
                thick,
            )

    return blend(warped, face.skin() * 0.3, strokes(draw, 0.8) * 0.7)


#: Name of the direction → the edit it is learnt from, and how many times its mean effect a
#: strength of 1 is: found by looking, so that 1 is plainly visible on most faces.
EDITS: Mapping[str, tuple[Edit, float]] = {
    "glasses": (glasses, 2.0),
    "sunglasses": (sunglasses, 2.2),
    "smile": (smile, 2.0),
    "open_mouth": (open_mouth, 2.3),
    "angry": (angry, 2.3),
    "older": (older, 1.8),
    "beard": (beard, 2.2),
    "moustache": (moustache, 5.0),
    "makeup": (makeup, 2.5),
    "long_hair": (long_hair, 1.3),
    "blond_hair": (blond, 1.6),
    "dark_hair": (dark_hair, 1.7),
    "red_hair": (red_hair, 2.1),
    "grey_hair": (grey_hair, 1.6),
}
