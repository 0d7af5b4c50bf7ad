"""How alike two faces are, by SFace (Zhong et al. 2021, arXiv 2205.12010).

Knows the recogniser and five landmarks; knows nothing of finding faces or of drawing.
"""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from limner.errors import NetworkMissing
from limner.stages.face import Face

Pixels = npt.NDArray[np.uint8]
Embedding = npt.NDArray[np.float32]

#: How far around the five landmarks the recogniser looks, in their own extents, and more.
_REACH = 2.0
#: The recogniser's own picture: 112 px, in which the landmarks span about this many.
_SPAN = 40.0

#: OpenCV's own threshold: above it two photos are taken to show the same person.
SAME_PERSON = 0.363


class Recogniser:
    """SFace from ``weights`` (an .onnx file). Safe to share between threads.

    Raises NetworkMissing if the file is not there.
    """

    def __init__(self, weights: Path) -> None:
        if not weights.is_file():
            raise NetworkMissing(f"The face recogniser {weights} is not there.")
        self._weights = weights
        self._own = threading.local()

    def embed(self, rgb: Pixels, face: Face) -> Embedding:
        """The face in ``rgb`` [h, w, 3] as a unit vector [128]."""
        network = self._network()
        part, landmarks = _near(rgb, face.landmarks)
        bgr = cv2.cvtColor(part, cv2.COLOR_RGB2BGR)
        # The box is in the row, but the alignment goes by the landmarks alone.
        row = np.array([*face.box, *landmarks.ravel(), face.score], np.float32)
        feature = network.feature(network.alignCrop(bgr, row)).ravel().astype(np.float32)
        return feature / max(float(np.linalg.norm(feature)), 1e-12)

    def _network(self) -> cv2.FaceRecognizerSF:
        """This thread's own network: OpenCV's keeps its input between calls."""
        network: cv2.FaceRecognizerSF | None = getattr(self._own, "network", None)
        if network is None:
            network = cv2.FaceRecognizerSF.create(str(self._weights), "")
            self._own.network = network
        return network


def likeness(one: Embedding, other: Embedding) -> float:
    """The cosine of two unit vectors, -1…1; ``SAME_PERSON`` or more: probably the same."""
    return float(one @ other)


def _near(rgb: Pixels, landmarks: npt.NDArray[np.float32]) -> tuple[Pixels, Embedding]:
    """The part of ``rgb`` the recogniser looks at, and the landmarks [5, 2] in its pixels.

    It reads single pixels; where a face is large, they are averaged first.
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    extent = max(float((high - low).max()), 1.0)
    reach = _REACH * extent
    left, top = (max(0, int(value - reach)) for value in low)
    right, bottom = (int(value + reach) + 1 for value in high)
    part = rgb[top:bottom, left:right]
    moved = (landmarks - np.array([left, top], np.float32)).astype(np.float32)
    shrink = 2 * _SPAN / extent
    if shrink >= 1:
        return part, moved
    size = (max(1, round(part.shape[1] * shrink)), max(1, round(part.shape[0] * shrink)))
    ratio = np.array(size, np.float32) / np.array(part.shape[1::-1], np.float32)
    small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, (moved * ratio).astype(np.float32)
