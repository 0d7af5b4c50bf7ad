"""Arithmetic of pictures with straight alpha: scaling and laying one over the other.

Colours are weighed by their alpha, so nothing of what is transparent seeps into an edge. Where a
picture is empty its colour is zero. Knows pixels; nothing of stickers.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
#: (left, top, right, bottom) in pixels; right and bottom are outside.
Box = tuple[int, int, int, int]


def visible(rgba: Pixels) -> Box | None:
    """The smallest box around everything that is not wholly transparent; None if nothing is."""
    seen = rgba[..., 3] > 0
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def resized(rgba: Pixels, size: tuple[int, int]) -> Pixels:
    """``rgba`` [h, w, 4] at (width, height) pixels."""
    if rgba.shape[1::-1] == size:
        return rgba
    weighed = rgba.astype(np.float32)
    weighed[..., :3] *= weighed[..., 3:] / 255
    shrinks = size[0] <= rgba.shape[1] and size[1] <= rgba.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    scaled = cast("Floats", cv2.resize(weighed, size, interpolation=how)).clip(0, 255)
    return straight(scaled[..., :3], np.asarray(scaled[..., 3] / 255, np.float32))


def straight(weighed: Floats, alpha: Floats) -> Pixels:
    """RGBA [h, w, 4] of colours [h, w, 3] 0…255 that were weighed by their alpha [h, w] 0…1."""
    rgb = weighed / np.maximum(alpha, 1e-6)[..., None]
    rgba = (np.dstack([rgb, alpha * 255]) + 0.5).clip(0, 255).astype(np.uint8)
    rgba[rgba[..., 3] == 0] = 0
    return rgba


def placed(rgba: Pixels, canvas: tuple[int, int], corner: tuple[int, int]) -> Pixels:
    """An empty canvas (width, height) with the picture's upper left at ``corner`` (x, y).

    The picture must lie within the canvas.
    """
    whole = np.zeros((canvas[1], canvas[0], 4), np.uint8)
    x, y = corner
    whole[y : y + rgba.shape[0], x : x + rgba.shape[1]] = rgba
    return whole
