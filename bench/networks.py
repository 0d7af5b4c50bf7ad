"""UNets of several sizes with an adapter in them, twice: as diffusers and as Limner runs them.

Random numbers: speed does not depend on them. Knows networks; knows nothing of what is measured.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor2_0, IPAdapterAttnProcessor2_0
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from limner.diffusion.adapter import Adapter, attention_names, fit
from limner.diffusion.denoiser.network import Network
from limner.diffusion.sniff import AdapterKind

#: Tokens of FaceID's adapter.
TOKENS = 4

_SD15: dict[str, Any] = {
    "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
    "attention_head_dim": 8,
}
_SDXL: dict[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
#: Name → configuration. ``tiny`` and ``middle`` have SD 1.5's layers, all 32 of attention;
#: ``tiny-xl`` has SDXL's, all 140.
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {**_SD15, "block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 64},
    "tiny-xl": {
        **_SDXL,
        "block_out_channels": (32, 64, 64),
        "cross_attention_dim": 64,
        "attention_head_dim": (2, 4, 4),
    },
    "middle": {**_SD15, "block_out_channels": (96, 192, 256, 256), "cross_attention_dim": 256},
    "sd15": {**_SD15, "block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768},
    "sdxl": {**_SDXL, "block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048},
}


@dataclass(frozen=True, eq=False)
class Twins:
    """The same numbers twice. ``stock``: with diffusers' processors, called as a pipeline does."""

    stock: Any
    network: Network

    @property
    def width(self) -> int:
        """Of text and tokens."""
        return int(self.stock.config.cross_attention_dim)


class _Tokens(torch.nn.Module):
    """diffusers projects image embeddings in every call; they are given here projected."""

    def forward(self, embeds: list[torch.Tensor]) -> list[torch.Tensor]:
        return embeds


def unet(name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A UNet of ``SHAPES``, random."""
    torch.manual_seed(0)
    with torch.device(device):
        made: Any = UNet2DConditionModel(**SHAPES[name])
    return made.to(dtype).eval().requires_grad_(False)


def control(name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A ControlNet for a UNet of ``SHAPES``, random."""
    with torch.device(device):
        made: Any = ControlNetModel.from_unet(unet(name, device, dtype))
    return made.to(device, dtype).eval().requires_grad_(False)


def twins(name: str, device: torch.device, dtype: torch.dtype) -> Twins:
    """A UNet of ``SHAPES`` with an adapter of four tokens, both ways."""
    stock = unet(name, device, dtype)
    width = int(stock.config.cross_attention_dim)
    tensors: dict[str, torch.Tensor] = {}
    processors: dict[str, Any] = {}
    for number, layer in enumerate(attention_names(stock)):
        processors[f"{layer}.processor"] = AttnProcessor2_0()
        if number % 2:
            hidden = stock.get_submodule(layer).to_q.weight.shape[0]
            own: Any = IPAdapterAttnProcessor2_0(hidden, width, num_tokens=(TOKENS,))
            own.to(device, dtype).requires_grad_(False)
            processors[f"{layer}.processor"] = own
            tensors[f"{number}.to_k_ip.weight"] = own.to_k_ip[0].weight
            tensors[f"{number}.to_v_ip.weight"] = own.to_v_ip[0].weight
    # The weights themselves are shared: an adapter without a LoRA changes none.
    fitted = copy.deepcopy(stock, {id(each): each for each in stock.parameters()})
    fit(fitted, [Adapter(AdapterKind("faceid", width, False, 512), {}, tensors)])
    stock.set_attn_processor(processors)
    stock.encoder_hid_proj = _Tokens()
    stock.register_to_config(encoder_hid_dim_type="ip_image_proj")
    return Twins(stock, Network(fitted))
