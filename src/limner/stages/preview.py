"""A picture that is still being drawn, made small enough to send along with every few steps.

Knows pixels and WebP; nothing of steps, streams or where bytes go.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.safety import SafetyChecker

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Pixels along the longer side, and bytes, of the largest preview.
LONGEST = 256
MOST_BYTES = 12 * 1024

#: WebP's qualities, tried in turn. At the last one even white noise of 256² fits.
_QUALITIES = (75, 50, 25, 1)


def preview(
    picture: Pixels, safety: SafetyChecker | None, alpha: Floats | None = None
) -> bytes | None:
    """RGB [h, w, 3] as a small WebP; None where ``safety`` would keep the picture from the caller.

    ``safety`` is None where the caller switched the check off. Where ``alpha`` [h, w] (0…1) is
    given, the picture is laid on white.
    """
    small = _shrunk(picture)
    if alpha is not None:
        over = _shrunk(alpha)[..., None]
        small = (small * over + 255 * (1 - over) + 0.5).astype(np.uint8)
    if safety is not None and safety.unsafe(small):
        return None
    return next(
        encoded for quality in _QUALITIES if len(encoded := _webp(small, quality)) <= MOST_BYTES
    )


def _shrunk(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """No side longer than LONGEST; a smaller picture stays as it is."""
    height, width = picture.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, picture.dtype)


def _webp(picture: Pixels, quality: int) -> bytes:
    bgr = np.ascontiguousarray(picture[..., ::-1])
    return cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
