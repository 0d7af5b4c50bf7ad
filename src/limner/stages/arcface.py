"""A face as a recogniser of ArcFace's kind describes it: 512 numbers (arXiv 1801.07698).

Knows the networks' common shape (InsightFace's w600k_r50, AuraFace's glintr100) and the
alignment they were trained with. It does not know who the face belongs to, what is drawn from
it, or where the network's file comes from.
"""

# onnxruntime's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.errors import NetworkMissing, NetworkUnfit
from limner.stages.face import Face
from limner.stages.remembered import Remembered
from limner.stages.runtime import open_session

Pixels = npt.NDArray[np.uint8]
Embedding = npt.NDArray[np.float32]

#: Pixels along a side of the aligned face that the network reads, and its numbers.
SIDE, LENGTH = 112, 512

#: Faces whose numbers are remembered: 2 KB each.
MOST_REMEMBERED = 256

#: Where the landmarks of an aligned face lie in 112 pixels: x and y of the eye on the left of the
#: image, the one on its right, the nose, the mouth's corners on the left and right.
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


class ArcFace:
    """A recogniser from ``weights`` (an .onnx file). Safe to share between threads.

    Raises NetworkMissing if the file is not there, NetworkUnfit if it is another network.
    """

    def __init__(self, weights: Path, threads: int) -> None:
        if not weights.is_file():
            raise NetworkMissing(f"The face recogniser {weights} is not there.")
        self._session = open_session(weights, threads)
        session = cast("Any", self._session)
        given, answer = session.get_inputs()[0], session.get_outputs()[0]
        if list(given.shape)[1:] != [3, SIDE, SIDE] or list(answer.shape)[-1] != LENGTH:
            raise NetworkUnfit(f"{weights.name} does not turn 112×112 pixels into 512 numbers.")
        self._input = given.name
        self._known: Remembered[Embedding] = Remembered(MOST_REMEMBERED)
        self._whose = ""

    def serving(self, whose: str) -> ArcFace:
        """The same network for somebody whose faces are remembered for nobody else."""
        other = copy.copy(self)
        other._whose = whose
        return other

    def embed(self, rgb: Pixels, face: Face) -> Embedding:
        """The face in ``rgb`` [h, w, 3] as a unit vector [512]: what FaceID reads."""
        numbers = self.measure(rgb, face)
        return numbers / max(float(np.linalg.norm(numbers)), 1e-12)

    def measure(self, rgb: Pixels, face: Face) -> Embedding:
        """The face as the network's own numbers [512], about 20 long: what InstantID reads."""
        aligned = align(rgb, face, SIDE)
        return self._known.of(
            aligned.tobytes(), lambda: self._measured(aligned), self._whose
        ).copy()

    def _measured(self, aligned: Pixels) -> Embedding:
        scaled = (aligned.astype(np.float32) - 127.5) / 127.5
        batch = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
        answers = cast("list[Any]", self._session.run(None, {self._input: batch}))
        return np.asarray(answers[0], np.float32)[0]


def align(rgb: Pixels, face: Face, side: int) -> Pixels:
    """The face [side, side, 3], turned, scaled and moved onto the template; black beyond.

    ``side`` is a multiple of 112 (224 for what CLIP looks at): other sizes have other templates.
    """
    if side % SIDE:
        raise ValueError(f"{side} is not a multiple of {SIDE}")
    move = similarity(face.landmarks.astype(np.float64), TEMPLATE * (side / SIDE))
    return np.asarray(cv2.warpAffine(rgb, move, (side, side), borderValue=0), np.uint8)


def similarity(
    points: npt.NDArray[np.float64], onto: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The [2, 3] turn, scale and shift that lays ``points`` [n, 2] best on ``onto`` [n, 2].

    Least squares, after Umeyama (1991).
    """
    centre, goal = points.mean(0), onto.mean(0)
    spread = points - centre
    left, sizes, right = np.linalg.svd((onto - goal).T @ spread / len(points))
    # A mirrored fit is not a turn: the smaller axis is turned back.
    signs = np.array([1.0, np.sign(np.linalg.det(left @ right))])
    scale = float((sizes * signs).sum() / spread.var(0).sum())
    turn = scale * left @ np.diag(signs) @ right
    return np.column_stack([turn, goal - turn @ centre])
