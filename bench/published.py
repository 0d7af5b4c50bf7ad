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

#: What makes the networks small enough for any machine, and leaves every layer in its place.
_UNET_XL: dict[str, Any] = {
    "block_out_channels": (32, 64, 64),
    "cross_attention_dim": 128,
    "attention_head_dim": (2, 4, 4),
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 64 + 6 * 8,
}
_CLIP: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "projection_dim": 64,
}
SMALL: dict[str, dict[str, Any]] = {
    "unet-sd15": {"block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 64},
    "unet-sdxl": _UNET_XL,
    "controlnet-sdxl": _UNET_XL,
    "vae": {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4},
    "clip-l": _CLIP,
    "clip-g": _CLIP,
    "clip-vision": {**_CLIP, "patch_size": 56},
}


def shape(name: str) -> dict[str, Any]:
    """The configuration called ``name``."""
    return json.loads((SHAPES / f"{name}.json").read_bytes())


def on_meta(name: str, *, small: bool = False) -> Any:
    """The network called ``name`` on the meta device, in bf16; ``small``: narrow and shallow."""
    given, before = shape(name) | (SMALL[name] if small else {}), torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            return _made(name, given).requires_grad_(False).eval()
    finally:
        torch.set_default_dtype(before)


@torch.no_grad()
def with_noise(network: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A network of the meta device, on ``device`` and full of random numbers that stay finite.

    Speed does not depend on them, except that zeros would draw less power.
    """
    network = network.to(dtype).to_empty(device=device)
    for name, weight in network.named_parameters():
        if weight.ndim > 1:
            weight.normal_(std=weight[0].numel() ** -0.5)
        else:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
    for name, buffer in network.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.numel()).view_as(buffer))
    return network


def _made(name: str, given: dict[str, Any]) -> Any:
    if name == "clip-l":
        return CLIPTextModel(CLIPTextConfig(**given))
    if name == "clip-g":
        return CLIPTextModelWithProjection(CLIPTextConfig(**given))
    if name == "clip-vision":
        return CLIPVisionModelWithProjection(CLIPVisionConfig(**given))
    kinds = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "controlnet": ControlNetModel}
    return kinds[name.partition("-")[0]](**given)
