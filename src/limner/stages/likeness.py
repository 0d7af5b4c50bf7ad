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
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        row = np.array([*face.box, *face.landmarks.ravel(), face.score], np.float32)
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
