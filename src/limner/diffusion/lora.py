"""A LoRA made one with a base's own weights (Hu et al. 2021, arXiv 2106.09685).

Knows bases and LoRA files in kohya's or diffusers' names; knows no adapter and no request.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
    StableDiffusionXLPipeline,
)
from safetensors import SafetensorError

from limner.diffusion.load import Base
from limner.diffusion.schedules import dpm_2m_sde_karras
from limner.errors import NetworkUnfit


def fuse_lora(base: Base, file: Path) -> None:
    """Add a LoRA (in kohya's or diffusers' names) to the UNet and both text encoders, for good.

    Before adapters are put in. Raises NetworkUnfit if none of it is the UNet's.
    """
    first, second = base.encoders
    pipe: Any = StableDiffusionXLPipeline(
        vae=base.vae,
        text_encoder=first.model,
        text_encoder_2=second.model,
        tokenizer=first.tokenizer,
        tokenizer_2=second.tokenizer,
        unet=base.unet,
        scheduler=dpm_2m_sde_karras(),
        add_watermarker=False,
    )
    try:
        pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="sticker")
        if "sticker" not in getattr(base.unet, "peft_config", {}):
            # diffusers only logs it, and would draw without.
            raise ValueError("none of its tensors is the UNet's")
        pipe.fuse_lora(adapter_names=["sticker"])
        pipe.unload_lora_weights()
    except (ValueError, KeyError, RuntimeError, OSError, SafetensorError) as reason:
        raise NetworkUnfit(f"{file.name} is no LoRA for this base: {reason}") from reason
