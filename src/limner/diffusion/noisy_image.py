"""A picture torn apart: what an adapter's unconditional pass sees, so that it does not copy.

The more noise, the rougher the tear: the picture is warped by a smooth random field, turned upside
down and mirrored, and grain is added. Always the same for the same picture and noise.
Knows pixels; knows no network.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: How far the warp reaches, in pixels before it is smoothed.
REACH = 75.0
#: The warp is smoothed over this many pixels for a noise of 1.
SMOOTH = 3.5


def noisy(rgb: Pixels, noise: float) -> Pixels:
    """``rgb`` [side, side, 3] torn apart by ``noise``, above 0 and up to 1."""
    random = np.random.default_rng(0)
    height, width = rgb.shape[:2]
    warp = random.uniform(-1, 1, (2, height, width)).astype(np.float32)
    # A Gaussian of three deviations to each side; it is at least a pixel wide.
    reach = 2 * max(1, round(3 * SMOOTH * noise)) + 1
    across, down = (_smoothed(field, reach, SMOOTH * noise) * (REACH / 2) for field in warp)
    rows, columns = np.indices((height, width), dtype=np.float32)
    torn = cv2.remap(
        rgb,
        columns + across,
        rows + down,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    grain = (0.25 * (1 - noise) + 0.05) * random.standard_normal(rgb.shape)
    mixed = torn[::-1, ::-1].astype(np.float64) / 255 + grain
    return (mixed.clip(0, 1) * 255).round().astype(np.uint8)


def _smoothed(field: Floats, reach: int, deviation: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(field, (reach, reach), deviation), np.float32)
