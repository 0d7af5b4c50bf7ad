"""Folders of tiny weights, each with all that one work needs, as ``root/<owner>/<name>/<file>``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    BeitConfig,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
)

from tests.diffusion.tiny import (
    ADAPTERS,
    ARCFACE,
    BASES,
    CLIP,
    CLIP_FOLDER,
    DEPTH_REPO,
    FACEID_REPO,
    INSTANTID_REPO,
    LCM_LORAS,
    NSFW_REPO,
    PLUS_FACE,
    STICKER_LORA,
    VAE_REPO,
    WIDTHS,
    ZOE_REPO,
    unet,
    vae,
    write_base,
    write_controlnet,
)
from tests.diffusion.tiny_adapters import (
    attention_tensors,
    resampler_projection,
    write_adapter,
    write_lcm_lora,
    write_sticker_lora,
)
from tests.diffusion.tiny_eyes import write_arcface, write_clip_vision, write_nsfw


def build(root: Path) -> Path:
    """Everything ip-adapter-face-id needs, as ``root/<owner>/<name>/<file>``."""
    torch.manual_seed(0)
    for family in BASES:
        write_base(root / BASES[family], family)
    vae(0.18215).save_pretrained(root / VAE_REPO)
    write_clip_vision(root / CLIP_FOLDER)
    for name, (family, plus) in ADAPTERS.items():
        write_adapter(root / FACEID_REPO / name, family, plus=plus)
    write_arcface(root / ARCFACE)
    write_nsfw(root / NSFW_REPO)
    for family, file in LCM_LORAS.items():
        write_lcm_lora(root / file, family)
    return root


def build_sticker(root: Path) -> None:
    """What face-to-sticker needs besides :func:`build`'s SDXL base and CLIP."""
    torch.manual_seed(5)
    model = unet("sdxl")
    image_keys = {"ip_adapter": attention_tensors(model, lora=False)}
    (root / INSTANTID_REPO).mkdir(parents=True)
    instantid = {"image_proj": resampler_projection(512, WIDTHS["sdxl"]), **image_keys}
    torch.save(instantid, root / INSTANTID_REPO / "ip-adapter.bin")
    plus = {
        "image_proj": resampler_projection(CLIP, WIDTHS["sdxl"]),
        "ip_adapter": attention_tensors(model, lora=False),
    }
    flat = {f"{part}.{key}": value for part, all in plus.items() for key, value in all.items()}
    (root / PLUS_FACE).parent.mkdir(parents=True, exist_ok=True)
    save_file(flat, root / PLUS_FACE)
    write_controlnet(root / INSTANTID_REPO / "ControlNetModel")
    write_sticker_lora(root / STICKER_LORA)


def build_depth(root: Path) -> None:
    """What a sticker may be kept to a photo's depth with."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        beit: Any = BeitConfig
        backbone = beit(
            image_size=64,
            patch_size=16,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=2,
            use_relative_position_bias=True,
            reshape_hidden_states=False,
            out_features=[f"stage{number}" for number in range(1, 5)],
        )
        config = ZoeDepthConfig(
            backbone_config=backbone,
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
            bottleneck_features=16,
            num_relative_features=8,
            bin_configurations=[{"n_bins": 16, "min_depth": 0.001, "max_depth": 10.0}],
            bin_embedding_dim=16,
            num_attractors=[4, 4, 2, 1],
            initializer_range=0.2,
        )
        ZoeDepthForDepthEstimation(config).save_pretrained(root / ZOE_REPO)
        write_controlnet(root / DEPTH_REPO)
