"""Matting: how much of each pixel is person, by MODNet (Ke et al. 2022, arXiv 2011.11961).

Knows the network's input and output; knows nothing of faces, stickers or where its file is.
"""

# onnxruntime's own annotations are partial.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.runtime import open_session

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: The shorter side the network was trained at, in pixels.
SHORT_SIDE = 512
#: The longer side it is given at most: a strip would otherwise cost without bound.
LONGEST_SIDE = 1024


class Matte:
    """The network, loaded from ``weights`` (an .onnx file). Safe to share between threads."""

    def __init__(self, weights: Path, threads: int) -> None:
        self._session = open_session(weights, threads)

    def __call__(self, rgb: Pixels) -> Floats:
        """Alpha [h, w] 0…1 of the person or people in ``rgb`` [h, w, 3]."""
        height, width = rgb.shape[:2]
        size = network_size(width, height)
        how = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
        scaled = cv2.resize(rgb, size, interpolation=how).astype(np.float32)
        given = (scaled / np.float32(127.5) - 1).transpose(2, 0, 1)[None]
        alpha = cast("Floats", self._session.run(["output"], {"input": given})[0])[0, 0]
        back = cv2.resize(
            np.asarray(alpha.clip(0, 1), np.float32),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        return np.asarray(back, np.float32)


def network_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) that a picture is given to the network at: multiples of 32 pixels."""
    scale = min(SHORT_SIDE / min(width, height), LONGEST_SIDE / max(width, height))
    return (
        max(32, round(width * scale / 32) * 32),
        max(32, round(height * scale / 32) * 32),
    )
