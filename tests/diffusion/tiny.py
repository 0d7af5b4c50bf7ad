"""Tiny random checkpoints in the published file layouts, under the published names.

What is small is free in the real files too (widths, text layers, LoRA rank); what is fixed there
is fixed here: 32 and 140 attention layers, a resampler of depth 4 with heads of 64, 512 numbers
of a face, pickled fp16 ``.bin`` adapters, text encoders with the ``text_model.`` prefix.
"""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

#: Widths. SDXL's two text encoders differ, as they do there.
CLIP, TEXT, TEXT_XL, TEXT_XL_2 = 32, 64, 32, 96
WIDTHS = {"sd15": TEXT, "sdxl": TEXT_XL + TEXT_XL_2}
LORA_RANK = 4

REFERENCE_DDIM: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}

BASES = {"sd15": "SG161222/Realistic_Vision_V4.0_noVAE", "sdxl": "SG161222/RealVisXL_V3.0"}
VAE_REPO = "stabilityai/sd-vae-ft-mse"
FACEID_REPO = "h94/IP-Adapter-FaceID"
CLIP_FOLDER = "h94/IP-Adapter/models/image_encoder"
ARCFACE = "public-data/insightface/models/buffalo_l/w600k_r50.onnx"

NSFW_REPO = "Falconsai/nsfw_image_detection"

#: File of the FaceID repository → (family, has a perceiver).
ADAPTERS = {
    "ip-adapter-faceid_sd15.bin": ("sd15", False),
    "ip-adapter-faceid-plus_sd15.bin": ("sd15", True),
    "ip-adapter-faceid-plusv2_sd15.bin": ("sd15", True),
    "ip-adapter-faceid_sdxl.bin": ("sdxl", False),
    "ip-adapter-faceid-plusv2_sdxl.bin": ("sdxl", True),
}


ZOE_REPO = "Intel/zoedepth-nyu"
DEPTH_REPO = "diffusers/controlnet-zoe-depth-sdxl-1.0"


INSTANTID_REPO = "InstantX/InstantID"
PLUS_FACE = "h94/IP-Adapter/sdxl_models/ip-adapter-plus-face_sdxl_vit-h.safetensors"
STICKER_LORA = "artificialguybr/StickersRedmond/StickersRedmond.safetensors"
#: Families' LCM-LoRAs.
LCM_LORAS = {
    family: f"latent-consistency/lcm-lora-{name}/pytorch_lora_weights.safetensors"
    for family, name in (("sd15", "sdv1-5"), ("sdxl", "sdxl"))
}


_UNETS: dict[str, dict[str, Any]] = {
    "sd15": {
        "sample_size": 64,
        "block_out_channels": (32, 64, 64, 64),
        "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        "cross_attention_dim": WIDTHS["sd15"],
        "attention_head_dim": 8,
    },
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (32, 64, 64),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": WIDTHS["sdxl"],
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (2, 4, 4),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": TEXT_XL_2 + 6 * 8,
    },
}

_VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (8, 8, 8, 8),
    "norm_num_groups": 4,
    "latent_channels": 4,
    "sample_size": 64,
}


def unet(family: str) -> Any:
    """A narrow UNet with every attention layer of the real one; always the same numbers."""
    return copy.deepcopy(_unet(family))


@functools.cache
def _unet(family: str) -> UNet2DConditionModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return UNet2DConditionModel(**_UNETS[family])


def vae(scaling_factor: float, **changes: Any) -> Any:
    """A narrow VAE of four levels, so that it scales by 8."""
    return AutoencoderKL(**_VAE, scaling_factor=scaling_factor, **changes)


def write_base(folder: Path, family: str) -> None:
    """A diffusers folder, as the base repositories are."""
    xl = family == "sdxl"
    write_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    unet(family).save_pretrained(folder / "unet")
    vae(0.13025 if xl else 0.18215, force_upcast=xl).save_pretrained(folder / "vae")
    DDIMScheduler(**REFERENCE_DDIM).save_pretrained(folder / "scheduler")
    _write_text(folder / "text_encoder", CLIPTextModel(text_config(TEXT_XL if xl else TEXT)))
    parts = {
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if xl:
        write_tokenizer(folder / "tokenizer_2", pad="!")
        second = CLIPTextModelWithProjection(text_config(TEXT_XL_2, "gelu"))
        second.save_pretrained(folder / "text_encoder_2")
        parts["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
        parts["tokenizer_2"] = ["transformers", "CLIPTokenizer"]
    pipeline = "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline"
    index = {"_class_name": pipeline, "_diffusers_version": "0.30.0", **parts}
    (folder / "model_index.json").write_text(json.dumps(index))


def text_config(hidden: int, act: str = "quick_gelu") -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=hidden,
        hidden_act=act,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=1,
    )


def _write_text(folder: Path, model: CLIPTextModel) -> None:
    """With the ``text_model.`` prefix of published files, which transformers no longer writes."""
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    prefixed = {f"text_model.{key.removeprefix('text_model.')}": weights[key] for key in weights}
    save_file(prefixed, path, metadata={"format": "pt"})


def write_tokenizer(folder: Path, pad: str) -> None:
    """CLIP's byte-level tokenizer that merges nothing: one token for each letter."""
    folder.mkdir(parents=True)
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in shown] + [chr(256 + n) for n in range(256 - len(shown))]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": pad,
    }
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, **special}))


def write_controlnet(folder: Path) -> None:
    """Of SDXL's kind; what is zero as it is made would prove nothing."""
    control: Any = ControlNetModel.from_unet(
        unet("sdxl"), conditioning_embedding_out_channels=(16, 32, 96, 256)
    )
    for name, parameter in control.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    control.save_pretrained(folder)
