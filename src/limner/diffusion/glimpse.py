"""Latents seen as they are, without a decoder: four channels mixed into red, green and blue.

A VAE's channels are nearly linear in colour, so a 4×3 matrix shows what will be there at an eighth
of its size. Good enough to look at while it is drawn; the picture itself is decoded.
Knows two latent spaces; knows no step and no request.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

Pixels = npt.NDArray[np.uint8]
Factors = tuple[tuple[float, float, float], ...]

#: Red, green and blue (-1…1) of each channel, fitted by linear regression. SD 1.5: torridgristle
#: in "Decoding latents to RGB without upscaling" (discuss.huggingface.co/t/23204); SDXL:
#: StAlKeR7779 for InvokeAI (Apache-2.0, app/util/step_callback.py).
SD_1_5: Factors = (
    (0.3444, 0.1385, 0.0670),
    (0.1247, 0.4027, 0.1494),
    (-0.3192, 0.2513, 0.2103),
    (-0.1307, -0.1874, -0.7445),
)
SDXL: Factors = (
    (0.3816, 0.4930, 0.5320),
    (-0.3753, 0.1631, 0.1739),
    (0.1770, 0.3588, -0.2048),
    (-0.4350, -0.2644, -0.4289),
)

#: Previews of a picture, at equal distances; none of its last step, which is the picture.
GLIMPSES = 4


def is_due(step: int, steps: int) -> bool:
    """Whether to look after ``step`` (1…steps): at most GLIMPSES times, and not at the end."""
    parts = GLIMPSES + 1
    return step < steps and step * parts // steps > (step - 1) * parts // steps


def glimpse(latent: Tensor, *, xl: bool) -> Pixels:
    """Latents [1, 4, h, w] of SDXL (``xl``) or SD 1.5 → red, green, blue [h, w, 3].

    Numbers that are not finite are black: whoever looks is not told of them here.
    """
    channels = latent[0].float().cpu().numpy()
    rgb = np.einsum("chw,cr->hwr", channels, np.array(SDXL if xl else SD_1_5, np.float32))
    rgb = np.nan_to_num(rgb, nan=-1.0)
    return ((rgb.clip(-1, 1) + 1) * 127.5 + 0.5).astype(np.uint8)
