"""Where a face's parts are: soft maps of eyes, mouth, face and skin.

Knows five landmarks and colours; nothing of how anything is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Features:
    """Soft maps [h, w] 0…1 of a face's parts, and the size of the face.

    ``unit`` is the distance between the eyes in pixels, or what it would be seen from the front.
    """

    eyes: Floats
    mouth: Floats
    face: Floats
    skin: Floats
    unit: float


def find_features(lab: Floats, landmarks: Floats) -> Features:
    """The parts of the face in ``lab`` [h, w, 3] (L 0…100), by its landmarks [5, 2] in pixels."""
    right, left, nose, mouth_right, mouth_left = landmarks.astype(np.float64)
    eyes, mouth = (right + left) / 2, (mouth_right + mouth_left) / 2
    tall = float(np.hypot(*(mouth - eyes)))
    unit = max(float(np.hypot(*(left - right))), 0.85 * tall)
    angle = float(np.arctan2(*(left - right)[::-1]))
    shape = lab.shape[:2]
    up = (eyes - mouth) / max(tall, 1e-6)
    both = np.maximum(
        blob(shape, right + up * unit * 0.08, (unit * 0.36, unit * 0.27), angle),
        blob(shape, left + up * unit * 0.08, (unit * 0.36, unit * 0.27), angle),
    )
    lips = blob(shape, mouth, (unit * 0.5, unit * 0.27), angle)
    head = blob(shape, eyes + (mouth - eyes) * 0.45, (unit * 1.0, unit * 1.35), angle, 0.35)
    cheeks = [
        nose * 0.25 + 0.75 * (eye * 0.5 + corner * 0.5)
        for eye, corner in ((right, mouth_right), (left, mouth_left))
    ]
    forehead = eyes + up * unit * 0.55
    skin = _like(lab, [*cheeks, forehead, nose], unit)
    return Features(both, lips, head, skin, unit)


def blob(
    shape: tuple[int, ...],
    centre: npt.ArrayLike,
    radii: tuple[float, float],
    angle: float = 0.0,
    soft: float = 0.5,
) -> Floats:
    """An ellipse [h, w]: 1 inside, falling to 0 over the share ``soft`` outside its radii."""
    x0, y0 = (float(value) for value in np.asarray(centre))
    ys = np.arange(shape[0], dtype=np.float32)[:, None] - y0
    xs = np.arange(shape[1], dtype=np.float32)[None, :] - x0
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    u, v = (xs * cos + ys * sin) / radii[0], (ys * cos - xs * sin) / radii[1]
    t = np.clip((1 + soft - np.sqrt(u * u + v * v)) / soft, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _like(lab: Floats, points: list[npt.NDArray[np.float64]], unit: float) -> Floats:
    """How much each pixel's colour is that of the given points, which lie on skin."""
    radius = max(1, round(unit * 0.09))
    samples: list[Floats] = []
    for x, y in points:
        column, row = round(x), round(y)
        patch = lab[max(0, row - radius) : row + radius, max(0, column - radius) : column + radius]
        if patch.size:
            samples.append(patch.reshape(-1, 3))
    tone = np.median(np.concatenate(samples), axis=0) if samples else np.array([65, 14, 16])
    apart = lab - tone.astype(np.float32)
    # Skin's hue hardly changes with its light; its lightness does.
    far = (apart[..., 0] / 30) ** 2 + (apart[..., 1] / 10) ** 2 + (apart[..., 2] / 12) ** 2
    return cv2.GaussianBlur(np.exp(-0.5 * far), (0, 0), max(0.8, unit * 0.025)).astype(np.float32)
