"""An aligned face with its own measure, and the brushes that edits are painted with.

Knows nothing of single attributes, latents or networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Face:
    """An aligned face, 256×256."""

    #: RGB uint8 [256, 256, 3].
    picture: np.ndarray
    #: Five (x, y) pixels: eye on the left, other eye, nose, mouth's left and right corner.
    marks: np.ndarray
    #: How much of each pixel is the person, 0…1, [256, 256].
    matte: np.ndarray

    @property
    def unit(self) -> float:
        """The distance between the eyes, in pixels; every edit measures by it."""
        return float(np.hypot(*(self.marks[1] - self.marks[0])))

    def at(self, across: float, down: float) -> np.ndarray:
        """The pixel that many eye distances from the point between the eyes."""
        middle = (self.marks[0] + self.marks[1]) / 2
        x = (self.marks[1] - self.marks[0]) / self.unit
        return middle + (across * x + down * np.array([-x[1], x[0]])) * self.unit

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """(across, down) of every pixel in eye distances from the point between the eyes."""
        rows, columns = np.mgrid[0:256, 0:256].astype(np.float32)
        middle = (self.marks[0] + self.marks[1]) / 2
        x = (self.marks[1] - self.marks[0]) / self.unit**2
        dx, dy = columns - middle[0], rows - middle[1]
        return dx * x[0] + dy * x[1], dy * x[0] - dx * x[1]

    def mouth(self) -> tuple[np.ndarray, np.ndarray]:
        """Mouth's left and right corner."""
        return self.marks[3], self.marks[4]

    def skin(self) -> np.ndarray:
        """The colour of the cheeks, RGB float [3]."""
        spots = [
            self.picture[tuple(np.int32(self.at(x, 0.55)[::-1]).clip(0, 255))]
            for x in (-0.45, 0.45)
        ]
        return np.mean(spots, 0).astype(np.float32)

    def hair(self) -> np.ndarray:
        """Where hair probably is, 0…1 [256, 256]: the person around, not in, the face."""
        across, down = self.grid()
        lab = cv2.cvtColor(self.picture, cv2.COLOR_RGB2LAB).astype(np.float32)
        skin = cv2.cvtColor(self.skin()[None, None].astype(np.uint8), cv2.COLOR_RGB2LAB)[0, 0]
        unlike = np.clip(np.hypot(*(lab[..., k] - float(skin[k]) for k in (0, 1))) / 25 - 0.6, 0, 1)
        face = (across / 0.98) ** 2 + ((down - 0.45) / 1.5) ** 2
        outside = np.clip((face - 0.8) * 4, 0, 1)
        above = np.clip((1.0 - down) * 4, 0, 1)
        return cv2.GaussianBlur(self.matte * outside * above * unlike, (0, 0), 1.5)


def blend(picture: np.ndarray, colour: np.ndarray, mask: np.ndarray) -> np.ndarray:
    mask = mask[..., None].astype(np.float32)
    return (picture * (1 - mask) + colour * mask).clip(0, 255).astype(np.uint8)


def strokes(draw: Callable[[np.ndarray], None], blur: float) -> np.ndarray:
    mask = np.zeros((1024, 1024), np.uint8)  # drawn four times larger: smooth edges
    draw(mask)
    small = cv2.resize(mask, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.GaussianBlur(small, (0, 0), blur) if blur else small


def point(pixel: np.ndarray) -> tuple[int, int]:
    return int(pixel[0] * 4), int(pixel[1] * 4)


def pull(face: Face, pulls: list[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """Move what is at each point by an offset, fading with the distance (all in pixels)."""
    rows, columns = np.mgrid[0:256, 0:256].astype(np.float32)
    x, y = columns.copy(), rows.copy()
    for point, offset, reach in pulls:
        near = np.exp(
            -((columns - point[0] - offset[0]) ** 2 + (rows - point[1] - offset[1]) ** 2)
            / (2 * reach**2)
        )
        x -= near * offset[0]
        y -= near * offset[1]
    return cv2.remap(face.picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
