"""Tiny adapters: what FaceID, InstantID and plus-face publish of theirs, and a sticker LoRA."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.diffusion.tiny import CLIP, LORA_RANK, TEXT_XL, TEXT_XL_2, WIDTHS, unet


def write_adapter(path: Path, family: str, *, plus: bool) -> None:
    """A FaceID adapter as tencent-ailab saved them: two dictionaries, pickled, fp16."""
    parts = {
        "image_proj": faceid_projection(WIDTHS[family], plus=plus),
        "ip_adapter": attention_tensors(unet(family), lora=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    halved = {name: {k: v.half() for k, v in part.items()} for name, part in parts.items()}
    torch.save(halved, path)


def faceid_projection(width: int, *, plus: bool) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    _linear(tensors, "proj.0", 512, 1024, scale=0.5)
    _linear(tensors, "proj.2", 1024, 4 * width, scale=0.3)
    _norm(tensors, "norm", width)
    if plus:
        perceiver(tensors, "perceiver_resampler.", (CLIP, width, width))
    return tensors


def perceiver(tensors: dict[str, Tensor], prefix: str, widths: tuple[int, int, int]) -> None:
    """Four blocks, ``widths``: read, inside, out."""
    reads, inside, out = widths
    _linear(tensors, f"{prefix}proj_in", reads, inside)
    _linear(tensors, f"{prefix}proj_out", inside, out)
    _norm(tensors, f"{prefix}norm_out", out)
    for block in range(4):
        name = f"{prefix}layers.{block}"
        _norm(tensors, f"{name}.0.norm1", inside)
        _norm(tensors, f"{name}.0.norm2", inside)
        _linear(tensors, f"{name}.0.to_q", inside, inside, bias=False)
        _linear(tensors, f"{name}.0.to_kv", inside, 2 * inside, bias=False)
        _linear(tensors, f"{name}.0.to_out", inside, inside, bias=False)
        _norm(tensors, f"{name}.1.0", inside)
        _linear(tensors, f"{name}.1.1", inside, 4 * inside, bias=False)
        _linear(tensors, f"{name}.1.3", 4 * inside, inside, bias=False)


def resampler_projection(reads: int, out: int, queries: int = 16) -> dict[str, Tensor]:
    """InstantID's (reads 512) and IP-Adapter-plus's (reads CLIP) projection; 1280 wide there."""
    tensors = {"latents": torch.randn(1, queries, 64) / 8}
    perceiver(tensors, "", (reads, 64, out))
    return tensors


def attention_tensors(model: Any, *, lora: bool) -> dict[str, Tensor]:
    """``{i}.to_k_ip.weight`` … for each layer, by diffusers' order of them."""
    tensors: dict[str, Tensor] = {}
    width = int(model.config["cross_attention_dim"])
    for number, name in enumerate(model.attn_processors):
        hidden = model.get_submodule(name.removesuffix(".processor")).to_q.weight.shape[0]
        reads = width if number % 2 else hidden
        if lora:
            for part, into in (("q", hidden), ("k", reads), ("v", reads), ("out", hidden)):
                stem = f"{number}.to_{part}_lora"
                _linear(tensors, f"{stem}.down", into, LORA_RANK, bias=False, scale=0.15)
                _linear(tensors, f"{stem}.up", LORA_RANK, hidden, bias=False, scale=0.15)
        if number % 2:
            _linear(tensors, f"{number}.to_k_ip", width, hidden, bias=False, scale=0.15)
            _linear(tensors, f"{number}.to_v_ip", width, hidden, bias=False, scale=0.15)
    return tensors


def write_sticker_lora(path: Path) -> None:
    """In kohya's names, for one attention layer of the UNet and one of each text encoder."""
    block = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to"
    text = "text_model_encoder_layers_0_self_attn"
    widths = {f"{block}_{part}": 64 for part in ("q", "k", "v", "out_0")}
    for part in ("q", "k", "v", "out"):
        widths[f"lora_te1_{text}_{part}_proj"] = TEXT_XL
        widths[f"lora_te2_{text}_{part}_proj"] = TEXT_XL_2
    tensors: dict[str, Tensor] = {}
    for name, width in widths.items():
        _linear(tensors, f"{name}.lora_down", width, LORA_RANK, bias=False, scale=0.15)
        _linear(tensors, f"{name}.lora_up", LORA_RANK, width, bias=False, scale=0.15)
        tensors[f"{name}.alpha"] = torch.tensor(float(LORA_RANK))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


#: The layers that they change: every linear map and convolution in the UNet's blocks.
_LCM_LAYERS = re.compile(
    r"(down_blocks|mid_block|up_blocks)\..*"
    r"(to_(q|k|v|out\.0)|proj_in|proj_out|net\.0\.proj|net\.2|conv\d?|conv_shortcut|time_emb_proj)"
)


def write_lcm_lora(path: Path, family: str) -> None:
    """In kohya's names of diffusers' layers, with an alpha that is not its rank."""
    tensors: dict[str, Tensor] = {}
    for name, layer in unet(family).named_modules():
        if _LCM_LAYERS.fullmatch(name):
            stem, weight = f"lora_unet_{name.replace('.', '_')}", layer.weight
            out, into, *sides = weight.shape
            tensors[f"{stem}.lora_down.weight"] = 0.1 * torch.randn(LORA_RANK, into, *sides)
            tensors[f"{stem}.lora_up.weight"] = 0.1 * torch.randn(
                out, LORA_RANK, *(1 for _ in sides)
            )
            tensors[f"{stem}.alpha"] = torch.tensor(LORA_RANK / 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def _linear(
    tensors: dict[str, Tensor],
    name: str,
    into: int,
    out: int,
    *,
    bias: bool = True,
    scale: float = 0.08,
) -> None:
    tensors[f"{name}.weight"] = torch.randn(out, into) * scale
    if bias:
        tensors[f"{name}.bias"] = torch.randn(out) * scale


def _norm(tensors: dict[str, Tensor], name: str, width: int) -> None:
    tensors[f"{name}.weight"] = 1 + 0.1 * torch.randn(width)
    tensors[f"{name}.bias"] = 0.1 * torch.randn(width)
