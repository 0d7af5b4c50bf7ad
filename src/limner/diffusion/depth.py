"""How far away things in a photo are, as the picture a depth ControlNet was taught with.

By ZoeDepth (Bhat et al. 2023, arXiv 2302.12288): near is bright, far is dark, and the nearest and
farthest few are cut off as its ControlNet's authors did. Knows transformers' network; knows no
face, canvas or request.
"""

# transformers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from limner.diffusion.decode import Pixels
from limner.errors import BrokenPicture

#: Pixels of the longer side that the network is given, and what sides are multiples of.
LONGEST, GRID = 512, 32
#: Percentiles of the distances between which the picture goes from white to black.
NEAREST, FARTHEST = 2, 85


@dataclass(frozen=True, eq=False)
class DepthEye:
    """A ZoeDepthForDepthEstimation."""

    model: Any

    def see(self, rgb: Pixels) -> Pixels:
        """Red, green, blue [h, w, 3] → nearness [h, w], 0…255. Raises BrokenPicture."""
        height, width = rgb.shape[:2]
        scale = LONGEST / max(height, width)
        sides = (max(GRID, round(side * scale / GRID) * GRID) for side in (width, height))
        scaled = cv2.resize(rgb, tuple(sides), interpolation=cv2.INTER_AREA).astype(np.float32)
        given = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))[None] / 127.5 - 1
        with torch.inference_mode():
            seen = self.model(given.to(self.model.device, self.model.dtype)).predicted_depth
        distance = np.asarray(seen[0].float().cpu().numpy(), np.float32)
        if not np.isfinite(distance).all():
            raise BrokenPicture("The depth network's numbers are not finite.")
        return nearness(cv2.resize(distance, (width, height), interpolation=cv2.INTER_CUBIC))


def nearness(distance: npt.ArrayLike) -> Pixels:
    """Distances [h, w] → 255 for the nearest, 0 for the farthest and for what is all alike."""
    far = np.asarray(distance, np.float64)
    near, end = np.percentile(far, (NEAREST, FARTHEST))
    if not end > near:
        return np.zeros(far.shape, np.uint8)
    return ((1 - (far - near) / (end - near)).clip(0, 1) * 255).astype(np.uint8)
