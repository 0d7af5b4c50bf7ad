"""Networks from local files, each by its own class: no pipeline, no remote code, no pickle.

A base is a diffusers folder or one single-file checkpoint (the LDM layout), whose configuration and
tokenizers are its family's (``outline``). Nothing is ever downloaded.

Knows diffusers' and transformers' loaders; knows no request and no repository's name.
"""

# diffusers' and transformers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import logging
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
    StableDiffusionXLPipeline,
)
from safetensors import SafetensorError
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
    ViTForImageClassification,
    ZoeDepthForDepthEstimation,
)

from limner.diffusion.clip_image import ClipVision
from limner.diffusion.depth import DepthEye
from limner.diffusion.machine import Machine, is_out_of_memory
from limner.diffusion.outline import write_outline
from limner.diffusion.text import TextEncoder
from limner.errors import NetworkUnfit


@dataclass(frozen=True, eq=False)
class Base:
    """A Stable Diffusion model without adapters. ``encoders``: one, or SDXL's two."""

    unet: Any
    vae: Any
    encoders: tuple[TextEncoder, ...]


def load_base(folder: Path, machine: Machine, *, xl: bool, vae: Path | None = None) -> Base:
    """The base in a diffusers folder; ``vae``: another folder whose VAE is taken instead.

    Raises NetworkUnfit if the files are not what their configurations say.
    """
    with _unfit(folder):
        unet = _diffusers(UNet2DConditionModel, folder / "unet", machine)
        decoder = _diffusers(AutoencoderKL, vae or folder / "vae", _for_vae(machine))
        encoders = [
            TextEncoder(
                CLIPTokenizer.from_pretrained(folder / "tokenizer"),
                _transformers(CLIPTextModel, folder / "text_encoder", machine),
                skip_last=xl,
            )
        ]
        if xl:
            second = TextEncoder(
                CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
                _transformers(CLIPTextModelWithProjection, folder / "text_encoder_2", machine),
                skip_last=True,
            )
            encoders.append(second)
        return Base(unet, decoder, tuple(encoders))


def load_single_file(file: Path, machine: Machine, *, xl: bool, like: Path | None = None) -> Base:
    """The base in a single-file checkpoint, configured as Stable Diffusion 1.5 or XL is.

    ``like``: a diffusers folder whose configurations and tokenizers are taken instead. Raises
    NetworkUnfit if the file does not hold what that configuration needs.
    """
    kind: Any = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
    with _unfit(file), tempfile.TemporaryDirectory() as folder:
        # diffusers goes by the name, and would unpickle a file that is called otherwise.
        named = Path(folder) / "model.safetensors"
        named.symlink_to(file.resolve())
        outline = like or write_outline(Path(folder) / "outline", xl=xl)
        whole = kind.from_single_file(
            str(named),
            config=str(outline),
            local_files_only=True,
            torch_dtype=machine.dtype,
            **({} if xl else {"safety_checker": None, "requires_safety_checker": False}),
        )
        whole.vae.to(machine.device, _for_vae(machine).dtype).requires_grad_(False).eval()
        for part in (whole.unet, whole.text_encoder):
            part.to(machine.rest).requires_grad_(False).eval()
        encoders = [TextEncoder(whole.tokenizer, whole.text_encoder, skip_last=xl)]
        if xl:
            whole.text_encoder_2.to(machine.rest).requires_grad_(False).eval()
            encoders.append(TextEncoder(whole.tokenizer_2, whole.text_encoder_2, skip_last=True))
        return Base(whole.unet, whole.vae, tuple(encoders))


def load_controlnet(folder: Path, machine: Machine) -> Any:
    """The ControlNet in a diffusers folder."""
    with _unfit(folder):
        return _diffusers(ControlNetModel, folder, machine)


def load_clip_vision(folder: Path, machine: Machine) -> ClipVision:
    """The CLIP image encoder in a folder, alone or within a whole CLIPModel."""
    with _unfit(folder):
        return ClipVision(_transformers(CLIPVisionModelWithProjection, folder, machine))


def load_depth(folder: Path, machine: Machine) -> DepthEye:
    """The ZoeDepth network in a folder."""
    with _unfit(folder):
        return DepthEye(_transformers(ZoeDepthForDepthEstimation, folder, machine))


def load_nsfw(folder: Path, machine: Machine) -> Any:
    """The ViT in a folder that tells whether a picture is safe for work."""
    with _unfit(folder):
        return _transformers(ViTForImageClassification, folder, machine)


def _for_vae(machine: Machine) -> Machine:
    """SDXL's VAE overflows in fp16: a machine that has only that decodes in fp32.

    It is small and stays on the device whatever is moved away.
    """
    return Machine(
        machine.device, torch.float32 if machine.dtype == torch.float16 else machine.dtype
    )


def _diffusers(kind: Any, folder: Path, machine: Machine) -> Any:
    model = kind.from_pretrained(
        folder, torch_dtype=machine.dtype, use_safetensors=True, local_files_only=True
    )
    return model.to(machine.rest).requires_grad_(False).eval()


def _transformers(kind: Any, folder: Path, machine: Machine) -> Any:
    """Loaded quietly: half a CLIPModel is right here, and would be reported at length."""
    noisy = logging.getLogger("transformers")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        model, report = kind.from_pretrained(
            folder,
            dtype=machine.dtype,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    finally:
        noisy.setLevel(level)
    missing = [key for key in report["missing_keys"] if not key.endswith("position_ids")]
    if missing:
        raise ValueError(f"{len(missing)} tensors are missing, first {missing[0]}")
    return model.to(machine.rest).requires_grad_(False).eval()


@contextmanager
def _unfit(path: Path) -> Generator[None]:
    """A loader's complaint about a file becomes NetworkUnfit."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as reason:
        if is_out_of_memory(reason):
            raise
        raise NetworkUnfit(f"{path} cannot be loaded: {reason}") from reason
