"""Finding the face in a picture, whichever way up it is.

Knows YuNet (OpenCV's face detector) and a ladder of second tries. It does not know who the
face belongs to, what will be drawn from it, or where its network's file comes from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from limner.errors import FaceNotFound, NetworkMissing

Pixels = NDArray[np.uint8]

#: Below this YuNet sees faces in leaves and clouds; above 0.7 it misses 16-pixel faces.
MIN_SCORE = 0.6
#: Beside a face this certain, less certain ones were flags and shoulders on our photos.
CERTAIN_SCORE = 0.8
#: Upright faces score higher; an upside-down one is "found", with wrong landmarks, at up to 0.89.
UPRIGHT_SCORE = 0.9
#: How much better a turned picture must score: on our photos the right way gains 0.05 or more.
TURN_GAIN = 0.03
#: A second face of more than this share of the largest one's area is a rival.
RIVAL_SHARE = 0.6

_NMS_OVERLAP = 0.3
_SMALLEST, _LARGEST = 64, 2048
_TURNS = {
    180: cv2.ROTATE_180,
    90: cv2.ROTATE_90_CLOCKWISE,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@dataclass(frozen=True, eq=False)
class Face:
    """One face. ``box``: x, y, width, height in pixels, perhaps reaching over the border.

    ``landmarks``: float32 [5,2], x and y in pixels of the right eye (on the image's left), the
    left eye, the nose, the right and the left corner of the mouth. ``score``: 0..1.
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float

    @property
    def area(self) -> float:
        """The box's area in square pixels."""
        return self.box[2] * self.box[3]


@dataclass(frozen=True, eq=False)
class Found:
    """The faces of a picture: at least one, largest first, ties by score (or a chosen one first).

    ``rgb``: uint8 [H,W,3], turned so that the face is upright; the faces' pixels are its.
    ``tried``: every try in order. ``turned``: degrees clockwise it was turned by (0, 90…270).
    """

    rgb: Pixels
    faces: tuple[Face, ...]
    tried: tuple[str, ...]
    turned: int

    @property
    def face(self) -> Face:
        """The face that is meant: the largest, unless another was chosen."""
        return self.faces[0]

    @property
    def rival(self) -> Face | None:
        """The second face, if it is nearly as large as the first; None otherwise."""
        if len(self.faces) > 1 and self.faces[1].area > RIVAL_SHARE * self.faces[0].area:
            return self.faces[1]
        return None


_Look = Callable[[Pixels], list[Face]]


class FaceDetector:
    """YuNet from ``weights`` (an .onnx file). Safe to share between threads.

    Raises NetworkMissing if the file is not there.
    """

    def __init__(self, weights: Path) -> None:
        if not weights.is_file():
            raise NetworkMissing(f"The face detector {weights} is not there.")
        self._weights = weights
        self._own = threading.local()

    def detect(self, rgb: Pixels, det_size: int) -> list[Face]:
        """The faces of ``rgb`` (uint8 [H,W,3]) as it stands, largest first; perhaps none.

        The picture is scaled to fit a black square of ``det_size`` px, rounded to 32 and
        clamped to 64…2048. Boxes and landmarks are in pixels of ``rgb``.
        """
        side = rounded_size(det_size)
        height, width = rgb.shape[:2]
        scale = side / max(height, width)
        inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        square = np.zeros((side, side, 3), np.uint8)
        square[:inner_h, :inner_w] = cv2.resize(rgb, (inner_w, inner_h), interpolation=how)
        network = self._network()
        network.setInputSize((side, side))
        _, rows = network.detect(cv2.cvtColor(square, cv2.COLOR_RGB2BGR))
        # OpenCV answers None, which its types do not say, where there is no face.
        found = np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)  # pyright: ignore[reportUnnecessaryComparison]
        # Each side has its own rounding: on a thin picture the two scales differ.
        ratio = np.array([width / inner_w, height / inner_h], np.float32)
        return _largest_first([_face(row, ratio) for row in found if np.isfinite(row).all()])

    def find(self, rgb: Pixels, det_size: int = 640) -> Found:
        """The faces of ``rgb`` (uint8 [H,W,3]), trying harder where none is seen at once.

        Tried in order: ``det_size``, smaller, larger (if the picture is), with a border, the
        640 centre crop, turned. Raises FaceNotFound, whose message says what was tried and
        whose ctx ``looked`` says where: x, y, width, height in pixels of ``rgb``.
        """
        sizes = _ladder(rounded_size(det_size), max(rgb.shape[:2]))
        looks: list[tuple[str, _Look]] = [(f"{size} px", self._at(size)) for size in sizes]
        looks += [("a border around it", self._bordered), ("the 640 centre crop", self._cropped)]
        tried: list[str] = []
        for name, look in looks:
            tried.append(name)
            faces = _trusted(look(rgb))
            if faces:
                return self._right_way_up(rgb, faces, look, tried)
        for _, look in looks[:2]:
            found = self._right_way_up(rgb, [], look, tried)
            if found.faces:
                return found
        raise FaceNotFound(
            f"Could not detect face in the image: tried {', '.join(dict.fromkeys(tried))}. "
            "Use a photo in which one face is large, well lit and seen from the front.",
            ctx={"looked": _looked(rgb)},
        )

    def _right_way_up(self, rgb: Pixels, faces: list[Face], look: _Look, tried: list[str]) -> Found:
        """``faces`` of ``rgb``, or those of a turned copy where it shows a face clearly better."""
        best = _best_score(faces)
        if best >= UPRIGHT_SCORE:
            return Found(rgb, tuple(faces), tuple(tried), 0)
        chosen, turned, upright = faces, 0, rgb
        for degrees, turn in _TURNS.items():
            tried.append(f"turned by {degrees}°")
            copy = np.asarray(cv2.rotate(rgb, turn), np.uint8)
            there = _trusted(look(copy))
            if _best_score(there) > best + TURN_GAIN:
                best = _best_score(there)
                chosen, turned, upright = there, degrees, copy
        return Found(upright, tuple(chosen), tuple(dict.fromkeys(tried)), turned)

    def _network(self) -> cv2.FaceDetectorYN:
        """This thread's own network: OpenCV's keeps its input between calls."""
        network: cv2.FaceDetectorYN | None = getattr(self._own, "network", None)
        if network is None:
            network = cv2.FaceDetectorYN.create(
                str(self._weights), "", (320, 320), MIN_SCORE, _NMS_OVERLAP, 5000
            )
            self._own.network = network
        return network

    def _at(self, size: int) -> _Look:
        return lambda rgb: self.detect(rgb, size)

    def _bordered(self, rgb: Pixels) -> list[Face]:
        """Faces that fill the picture: half its size of gray is put on every side."""
        height, width = rgb.shape[:2]
        top, left = height // 2, width // 2
        gray = (128, 128, 128)
        wide = cv2.copyMakeBorder(rgb, top, top, left, left, cv2.BORDER_CONSTANT, value=gray)
        return _moved(self.detect(np.asarray(wide, np.uint8), 640), -left, -top)

    def _cropped(self, rgb: Pixels) -> list[Face]:
        """Faces in the centre square at 640 px, which is all that fal looks at."""
        left, top, side = _centre(rgb)
        return _moved(self.detect(rgb[top : top + side, left : left + side], 640), left, top)


def rounded_size(det_size: int) -> int:
    """``det_size`` as the detector takes it: a multiple of 32 in 64…2048 px."""
    return min(_LARGEST, max(_SMALLEST, round(det_size / 32) * 32))


def _ladder(first: int, longer_side: int) -> list[int]:
    """The sizes to try: the first, halves of it (large faces), then doubles (small faces)."""
    sizes = [first]
    sizes += [rounded_size(first // part) for part in (2, 4) if first // part >= _SMALLEST]
    if longer_side > first:
        sizes += [rounded_size(first * times) for times in (2, 4)]
    return list(dict.fromkeys(sizes))


def _centre(rgb: Pixels) -> tuple[int, int, int]:
    """The largest square in the middle of ``rgb``: left, top and side in pixels."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _looked(rgb: Pixels) -> list[list[int]]:
    """The parts of ``rgb`` in which faces are looked for: the whole, and its centre if less."""
    height, width = rgb.shape[:2]
    left, top, side = _centre(rgb)
    whole, centre = [0, 0, width, height], [left, top, side, side]
    return [whole] if whole == centre else [whole, centre]


def _face(row: NDArray[np.float32], ratio: NDArray[np.float32]) -> Face:
    """One of YuNet's rows [15]: box 4, landmarks 5 x 2, score; ``ratio`` [2] undoes the scale."""
    x, y = (float(value) for value in row[0:2] * ratio)
    width, height = (float(value) for value in row[2:4] * ratio)
    landmarks = (row[4:14].reshape(5, 2) * ratio).astype(np.float32)
    return Face((x, y, width, height), landmarks, float(row[14]))


def _moved(faces: list[Face], right: int, down: int) -> list[Face]:
    shift = np.array([right, down], np.float32)
    return [
        Face(
            (face.box[0] + right, face.box[1] + down, face.box[2], face.box[3]),
            face.landmarks + shift,
            face.score,
        )
        for face in faces
    ]


def _trusted(faces: list[Face]) -> list[Face]:
    """Only the certain faces where there is one; all of them where there is none."""
    return [face for face in faces if face.score >= CERTAIN_SCORE] or faces


def _best_score(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


def _largest_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: (-face.area, -face.score, face.box))
