"""From latents to pixels, and seeing when they are none.

Knows diffusers' VAE; knows no request.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limner.errors import BrokenPicture

Pixels = npt.NDArray[np.uint8]


@torch.inference_mode()
def decode(vae: Any, latent: Tensor) -> Pixels:
    """Latents [1, 4, h, w] → red, green, blue [8h, 8w, 3].

    A VAE whose half-precision numbers break is asked once more in fp32. Raises BrokenPicture if
    that is no picture either.
    """
    for dtype in dict.fromkeys((vae.dtype, torch.float32)):
        # A copy, so that the shared VAE stays as it is for whoever decodes at the same time.
        fitting = vae if vae.dtype == dtype else copy.deepcopy(vae).to(dtype)
        given = latent.to(fitting.device, dtype) / fitting.config.scaling_factor
        decoded = fitting.decode(given, return_dict=False)[0].float()
        if bool(torch.isfinite(decoded).all()) and bool((decoded > -1).any()):
            scaled = (decoded[0].clamp(-1, 1) + 1) * 127.5
            return scaled.round().byte().permute(1, 2, 0).cpu().numpy()
    raise BrokenPicture("The VAE's numbers are no picture: not finite, or nothing but black.")
