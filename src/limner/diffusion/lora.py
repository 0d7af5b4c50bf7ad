"""A LoRA made one with a base's own weights (Hu et al. 2021, arXiv 2106.09685).

Knows bases and LoRA files in kohya's or diffusers' names; knows no adapter and no request.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
    StableDiffusionXLPipeline,
)
from safetensors import SafetensorError

from limner.diffusion.load import Base
from limner.diffusion.schedules import ddim
from limner.errors import NetworkUnfit


def fuse_lora(base: Base, file: Path) -> None:
    """Add a LoRA (in kohya's or diffusers' names) to the UNet and the text encoders, for good.

    Before adapters are put in. Raises NetworkUnfit if none of it is the UNet's.
    """
    pipe = _pipeline(base)
    try:
        pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="lora")
        if "lora" not in getattr(base.unet, "peft_config", {}):
            # diffusers only logs it, and would draw without.
            raise ValueError("none of its tensors is the UNet's")
        pipe.fuse_lora(adapter_names=["lora"])
        pipe.unload_lora_weights()
    except (ValueError, KeyError, RuntimeError, OSError, SafetensorError) as reason:
        raise NetworkUnfit(f"{file.name} is no LoRA for this base: {reason}") from reason


def _pipeline(base: Base) -> Any:
    """diffusers' own, which knows where in a base each of a LoRA's tensors belongs."""
    first = base.encoders[0]
    parts: dict[str, Any] = {
        "vae": base.vae,
        "text_encoder": first.model,
        "tokenizer": first.tokenizer,
        "unet": base.unet,
        "scheduler": ddim(),
    }
    if len(base.encoders) == 1:
        parts |= {"safety_checker": None, "feature_extractor": None}
        return StableDiffusionPipeline(**parts, requires_safety_checker=False)
    second = base.encoders[1]
    parts |= {"text_encoder_2": second.model, "tokenizer_2": second.tokenizer}
    return StableDiffusionXLPipeline(**parts, add_watermarker=False)
