"""Cutting what is drawn out of its background, by a network of BiRefNet's kind (arXiv 2401.03407).

Knows the network's input and output, and what colour an edge has without what lies behind it;
knows nothing of stickers, or where the network's file is.
"""

# onnxruntime's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.errors import BrokenPicture
from limner.stages.runtime import open_session

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Pixels along a side of what the network looks at.
SIDE = 1024
#: The mean and deviation of red, green and blue in ImageNet, with which it was trained.
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)
#: How far colours are carried into an edge, far first: Forte's two passes. Pixels.
_REACHES = (91, 7)


class Cutter:
    """The network, loaded from ``weights`` (an .onnx file). Safe to share between threads."""

    def __init__(self, weights: Path, threads: int) -> None:
        self._session: Any = open_session(weights, threads)
        self._input = str(self._session.get_inputs()[0].name)

    def __call__(self, rgb: Pixels) -> Floats:
        """Alpha [h, w] 0…1 of what stands out in ``rgb`` [h, w, 3].

        Raises BrokenPicture if nothing does: then there is no sticker in the picture.
        """
        height, width = rgb.shape[:2]
        scaled = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        given = ((scaled / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
        answers = cast("list[Any]", self._session.run(None, {self._input: given}))
        seen = np.asarray(1 / (1 + np.exp(-answers[-1][0, 0])), np.float32)
        low, high = float(seen.min()), float(seen.max())
        if not high > low:
            raise BrokenPicture("Nothing in the picture stands out from its background.")
        alpha = np.asarray((seen - low) / (high - low), np.float32)
        back = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(back.clip(0, 1), np.float32)


def cut(rgb: Pixels, alpha: Floats) -> Pixels:
    """Red, green, blue and straight alpha [h, w, 4]; where there is nothing it is all zero.

    Edge pixels are mixed of the sticker and what lay behind it: the sticker's part is estimated
    (Forte 2021, arXiv 2006.14970), so that no fringe is left on another background.
    """
    image, share = rgb.astype(np.float32), alpha[..., None]
    front, behind = image, image
    for reach in _REACHES:
        front_share, behind_share = _spread(share, reach), _spread(1 - share, reach)
        front_near = _spread(front * share, reach) / np.maximum(front_share, 1e-5)
        behind = _spread(behind * (1 - share), reach) / np.maximum(behind_share, 1e-5)
        front = front_near + share * (image - share * front_near - (1 - share) * behind)
        front = np.asarray(front.clip(0, 255), np.float32)
    cutout = np.dstack([front, share * 255]).round().astype(np.uint8)
    cutout[cutout[..., 3] == 0] = 0
    return cutout


def _spread(values: Floats, reach: int) -> Floats:
    """The mean over a square of ``reach`` pixels; [h, w, c] stays [h, w, c]."""
    return np.asarray(cv2.blur(values, (reach, reach)), np.float32).reshape(values.shape)
