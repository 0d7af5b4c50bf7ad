"""A diffusers folder of Stable Diffusion 1.5 written as one file, in its authors' LDM layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def write_single_file(folder: Path, file: Path) -> None:
    """``folder``: unet, vae and text_encoder; two layers a block in the UNet, one in the VAE."""
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    text = load_file(folder / "text_encoder" / "model.safetensors")
    whole = {
        **{f"model.diffusion_model.{key}": value for key, value in _unet(unet)},
        **{f"first_stage_model.{key}": value for key, value in _vae(vae)},
        **{f"cond_stage_model.transformer.{key}": value for key, value in text.items()},
    }
    save_file({key: value.contiguous() for key, value in whole.items()}, file)


def _unet_places() -> Iterator[tuple[str, str]]:
    yield from (
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
    )
    yield from (("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2"))
    for level in range(4):
        for layer in range(2):
            place = f"input_blocks.{3 * level + layer + 1}"
            yield f"down_blocks.{level}.resnets.{layer}", f"{place}.0"
            yield f"down_blocks.{level}.attentions.{layer}", f"{place}.1"
        yield f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{3 * (level + 1)}.0.op"
        for layer in range(3):
            place = f"output_blocks.{3 * level + layer}"
            yield f"up_blocks.{level}.resnets.{layer}", f"{place}.0"
            yield f"up_blocks.{level}.attentions.{layer}", f"{place}.1"
        after = 1 if level == 0 else 2
        yield f"up_blocks.{level}.upsamplers.0", f"output_blocks.{3 * level + 2}.{after}"
    yield from (
        ("mid_block.attentions.0", "middle_block.1"),
        ("mid_block.resnets.0", "middle_block.0"),
    )
    yield "mid_block.resnets.1", "middle_block.2"


def _unet(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    places = dict(_unet_places())
    for key, value in weights.items():
        ours = next(place for place in places if key.startswith(f"{place}."))
        inside, _, end = key[len(ours) + 1 :].rpartition(".")
        if ".resnets." in ours:
            inside = _RESNET[inside]
        yield ".".join(part for part in (places[ours], inside, end) if part), value


def _vae(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for key, value in weights.items():
        name = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        for level in range(4):
            name = name.replace(f"down_blocks.{level}.resnets", f"down.{level}.block")
            name = name.replace(f"down_blocks.{level}.downsamplers.0", f"down.{level}.downsample")
            name = name.replace(f"up_blocks.{level}.resnets", f"up.{3 - level}.block")
            name = name.replace(f"up_blocks.{level}.upsamplers.0", f"up.{3 - level}.upsample")
        name = name.replace("mid_block.resnets.0", "mid.block_1").replace(
            "mid_block.resnets.1", "mid.block_2"
        )
        if "mid_block.attentions.0" in name:
            head, _, inside = name.partition("mid_block.attentions.0.")
            part, _, end = inside.rpartition(".")
            name = f"{head}mid.attn_1.{_VAE_ATTENTION[part]}.{end}"
            # The authors' attention is made of 1×1 convolutions.
            value = value[..., None, None] if value.ndim == 2 else value
        yield name, value
