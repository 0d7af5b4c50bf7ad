"""Between latents and pixels, and seeing when they are none.

Knows diffusers' VAE; knows no request.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import copy
from collections.abc import Iterator
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
def decode(
    vae: Any, latent: Tensor, whole: int | None = None, *, may_be_black: bool = False
) -> Pixels:
    """Latents [1, 4, h, w] → red, green, blue [8h, 8w, 3].

    A picture of more than ``whole`` pixels is decoded in overlapping tiles, in the memory of one.

    A VAE whose half-precision numbers break is asked once more in fp32. Raises BrokenPicture if
    that is no picture either; ``may_be_black``: nothing but black is one.
    """
    for fitting in _ever_finer(vae):
        given = latent.to(fitting.device, fitting.dtype) / fitting.config.scaling_factor
        decoded = _decoded(fitting, given, whole).float()
        seen = may_be_black or bool((decoded > -1).any())
        if bool(torch.isfinite(decoded).all()) and seen:
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


@torch.inference_mode()
def encode(vae: Any, rgb: Pixels) -> Tensor:
    """Red, green, blue [8h, 8w, 3] → fp32 latents [1, 4, h, w] on the CPU, the likeliest ones.

    Asked once more in fp32 as :func:`decode` is. Raises BrokenPicture.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]
    for fitting in _ever_finer(vae):
        given = (pixels.float() / 127.5 - 1).to(fitting.device, fitting.dtype)
        latent = fitting.encode(given, return_dict=False)[0].mode().float().cpu()
        if bool(torch.isfinite(latent).all()):
            return latent * fitting.config.scaling_factor
    raise BrokenPicture("The VAE's numbers for a picture are not finite.")


def _ever_finer(vae: Any) -> Iterator[Any]:
    """The VAE as it is, then in fp32.

    A copy, so that the shared VAE stays as it is for whoever decodes at the same time.
    """
    yield vae
    if vae.dtype != torch.float32:
        yield copy.deepcopy(vae).to(torch.float32)
