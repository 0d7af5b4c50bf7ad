"""The published networks' shapes, with no numbers in them: their configurations are in ``shapes/``.

The values are those of the ``config.json`` files beside the published weights. A network of the
meta device has every tensor and no memory; what it takes can be counted without having it.
"""

# diffusers' and transformers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

SHAPES = Path(__file__).parent / "shapes"


def shape(name: str) -> dict[str, Any]:
    """The configuration called ``name``."""
    return json.loads((SHAPES / f"{name}.json").read_bytes())


def on_meta(name: str) -> Any:
    """The network called ``name`` on the meta device, in bf16."""
    given, before = shape(name), torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            return _made(name, given).requires_grad_(False).eval()
    finally:
        torch.set_default_dtype(before)


def _made(name: str, given: dict[str, Any]) -> Any:
    if name == "clip-l":
        return CLIPTextModel(CLIPTextConfig(**given))
    if name == "clip-g":
        return CLIPTextModelWithProjection(CLIPTextConfig(**given))
    if name == "clip-vision":
        return CLIPVisionModelWithProjection(CLIPVisionConfig(**given))
    kinds = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "controlnet": ControlNetModel}
    return kinds[name.partition("-")[0]](**given)
