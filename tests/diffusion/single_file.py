"""A diffusers folder of Stable Diffusion 1.5 or XL as one file, in its authors' LDM layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
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


def write_single_file(folder: Path, file: Path, *, xl: bool = False) -> None:
    """``folder``: unet, vae and text encoders; two layers a block in the UNet, one in the VAE."""

    def part(name: str, weights: str = "model") -> dict[str, Tensor]:
        return load_file(folder / name / f"{weights}.safetensors")

    diffusion = "diffusion_pytorch_model"
    text = "conditioner.embedders.0.transformer" if xl else "cond_stage_model.transformer"
    whole = {
        **{f"model.diffusion_model.{k}": v for k, v in _unet(part("unet", diffusion), xl=xl)},
        **{f"first_stage_model.{k}": v for k, v in _vae(part("vae", diffusion))},
        **{f"{text}.{k}": v for k, v in part("text_encoder").items()},
    }
    if xl:
        second = _open_clip(part("text_encoder_2"))
        whole.update({f"conditioner.embedders.1.model.{k}": v for k, v in second})
    save_file({key: value.contiguous() for key, value in whole.items()}, file)


def _open_clip(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """SDXL's second text encoder in OpenCLIP's names: one matrix for query, key and value."""
    places = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm": "ln_final",
        "encoder.layers": "transformer.resblocks",
        "self_attn.out_proj": "attn.out_proj",
        "layer_norm": "ln_",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    for key, value in weights.items():
        name = key.removeprefix("text_model.")
        if key == "text_projection.weight":
            yield "text_projection", value.T
        elif ".q_proj." in name:
            whole = torch.cat([weights[key.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            layer = name.split(".self_attn.")[0].replace("encoder.layers", "transformer.resblocks")
            yield f"{layer}.attn.in_proj_{name.rpartition('.')[2]}", whole
        elif ".k_proj." not in name and ".v_proj." not in name and "position_ids" not in name:
            for ours, theirs in places.items():
                name = name.replace(ours, theirs)
            yield name, value


def _unet_places(levels: int) -> Iterator[tuple[str, str]]:
    yield from (
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("add_embedding.linear_1", "label_emb.0.0"),
        ("add_embedding.linear_2", "label_emb.0.2"),
    )
    yield from (("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2"))
    for level in range(levels):
        for layer in range(2):
            place = f"input_blocks.{3 * level + layer + 1}"
            yield f"down_blocks.{level}.resnets.{layer}", f"{place}.0"
            yield f"down_blocks.{level}.attentions.{layer}", f"{place}.1"
        yield f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{3 * (level + 1)}.0.op"
        for layer in range(3):
            place = f"output_blocks.{3 * level + layer}"
            yield f"up_blocks.{level}.resnets.{layer}", f"{place}.0"
            yield f"up_blocks.{level}.attentions.{layer}", f"{place}.1"
        # After a block's attention, which the innermost of SD 1.5 has not.
        after = 1 if level == 0 and levels == 4 else 2
        yield f"up_blocks.{level}.upsamplers.0", f"output_blocks.{3 * level + 2}.{after}"
    yield from (
        ("mid_block.attentions.0", "middle_block.1"),
        ("mid_block.resnets.0", "middle_block.0"),
    )
    yield "mid_block.resnets.1", "middle_block.2"


def _unet(weights: dict[str, Tensor], *, xl: bool) -> Iterator[tuple[str, Tensor]]:
    places = dict(_unet_places(3 if xl else 4))
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
