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

from limner.diffusion.plan import TILE
from limner.diffusion.sampling import VAE_SCALE
from limner.errors import BrokenPicture

Pixels = npt.NDArray[np.uint8]


@torch.inference_mode()
def decode(vae: Any, latent: Tensor, whole: int | None = None) -> Pixels:
    """Latents [1, 4, h, w] → red, green, blue [8h, 8w, 3].

    A picture of more than ``whole`` pixels is decoded in overlapping tiles, in the memory of one.

    A VAE whose half-precision numbers break is asked once more in fp32. Raises BrokenPicture if
    that is no picture either.
    """
    for dtype in dict.fromkeys((vae.dtype, torch.float32)):
        # A copy, so that the shared VAE stays as it is for whoever decodes at the same time.
        fitting = vae if vae.dtype == dtype else copy.deepcopy(vae).to(dtype)
        given = latent.to(fitting.device, dtype) / fitting.config.scaling_factor
        decoded = _decoded(fitting, given, whole).float()
        if bool(torch.isfinite(decoded).all()) and bool((decoded > -1).any()):
            scaled = (decoded[0].clamp(-1, 1) + 1) * 127.5
            return scaled.round().byte().permute(1, 2, 0).cpu().numpy()
    raise BrokenPicture("The VAE's numbers are no picture: not finite, or nothing but black.")


def _decoded(vae: Any, given: Tensor, whole: int | None) -> Tensor:
    """Scaled latents → [1, 3, 8h, 8w], -1…1."""
    height, width = (VAE_SCALE * side for side in given.shape[-2:])
    if whole is None or height * width <= whole:
        return vae.decode(given, return_dict=False)[0]
    # diffusers tiles a VAE at its own training size, which for SDXL is as large as the picture.
    vae.tile_sample_min_size, vae.tile_latent_min_size = TILE, TILE // VAE_SCALE
    return vae.tiled_decode(given, return_dict=False)[0]
