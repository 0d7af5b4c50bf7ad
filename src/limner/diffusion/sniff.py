"""What a file of weights is, told from the names and shapes of its tensors before any is loaded.

Knows the layouts in which IP-Adapters, Stable Diffusion UNets and single-file checkpoints were
published. It does not know tensors' values, where the file came from, or what it is wanted for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from limner.errors import NetworkUnfit

Shape = tuple[int, ...]

#: Whose UNet reads text tokens of this width (``cross_attention_dim``), for people to read.
_NAMES = {
    768: "Stable Diffusion 1.5",
    1024: "Stable Diffusion 2",
    1280: "the SDXL refiner",
    2048: "Stable Diffusion XL",
}

#: A safetensors header is JSON of a few MB at most; more is a file that wants our memory.
LARGEST_HEADER = 100 * 1024 * 1024

#: All that reading somebody's JSON and taking it for what it should be can raise: it is too deep,
#: it says infinity where a size should be, an object is a number.
UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip

Layout = Literal["ip-adapter", "full-face", "faceid-plus", "faceid", "resampler"]

#: A layout is the first whose key is among the image projection's, in exactly this order: a
#: FaceID-Plus file has FaceID's keys too.
_SIGNS: tuple[tuple[str, Layout], ...] = (
    ("proj.weight", "ip-adapter"),
    ("proj.3.weight", "full-face"),
    ("perceiver_resampler.proj_in.weight", "faceid-plus"),
    ("norm.weight", "faceid"),
    ("latents", "resampler"),
)


@dataclass(frozen=True, slots=True)
class AdapterKind:
    """What an adapter's file holds. ``width``: of the tokens it makes, the UNet's text width.

    ``lora``: whether a LoRA for every attention layer is inside, as in the FaceID files.
    ``reads``: the width of what its projection reads: a face embedding's for FaceID and
    InstantID (512), CLIP's hidden states' for IP-Adapter-plus (1280).
    """

    layout: Layout
    width: int
    lora: bool
    reads: int

    def __str__(self) -> str:
        lora = "with a LoRA" if self.lora else "without a LoRA"
        return f"{self.layout} of token width {self.width}, {lora}, reading {self.reads} numbers"


def sniff_adapter(image_proj: Mapping[str, Shape], ip_adapter: Mapping[str, Shape]) -> AdapterKind:
    """The kind of adapter whose two parts have these tensors. Raises NetworkUnfit."""
    layout = _layout(image_proj)
    key = ip_adapter.get("1.to_k_ip.weight")
    if layout is None or key is None or len(key) != 2:
        raise NetworkUnfit(
            "The file is no IP-Adapter: it has "
            f"{len(image_proj)} image_proj and {len(ip_adapter)} ip_adapter tensors, and not the"
            " ones by which an IP-Adapter is known."
        )
    entries: dict[Layout, str] = {
        "ip-adapter": "proj.weight",
        "full-face": "proj.0.weight",
        "faceid": "proj.0.weight",
        "faceid-plus": "proj.0.weight",
        "resampler": "proj_in.weight",
    }
    reads = image_proj.get(entries[layout], (0, 0))[-1]
    return AdapterKind(layout, key[1], "0.to_q_lora.down.weight" in ip_adapter, reads)


def _layout(image_proj: Mapping[str, Shape]) -> Layout | None:
    for sign, layout in _SIGNS:
        if sign in image_proj:
            return layout
    return None


@dataclass(frozen=True, slots=True)
class UnetKind:
    """What a UNet takes: latents of ``channels``, text tokens of ``width``."""

    width: int
    channels: int

    def __str__(self) -> str:
        if self.channels == 9:
            return f"an inpainting UNet ({self.channels} input channels)"
        if self.channels != 4:
            return f"a UNet of {self.channels} input channels"
        named = _NAMES.get(self.width)
        width = f"text width {self.width}"
        return f"the UNet of {named} ({width})" if named else f"a UNet of {width}"


def sniff_unet_config(path: Path) -> UnetKind:
    """The kind of UNet that diffusers' ``unet/config.json`` describes. Raises NetworkUnfit."""
    try:
        config = cast("dict[str, Any]", json.loads(path.read_bytes()))
        return UnetKind(int(config["cross_attention_dim"]), int(config["in_channels"]))
    except UNREADABLE as reason:
        raise NetworkUnfit(f"{path} describes no text-conditioned UNet.") from reason


def safetensors_shapes(path: Path) -> dict[str, Shape]:
    """Name → shape of every tensor of a safetensors file, from its header alone.

    The content decides, not the name: download links often have none. Raises NetworkUnfit.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= LARGEST_HEADER:
                raise NetworkUnfit(f"{path.name} is not a safetensors file.")
            header = cast("dict[str, Any]", json.loads(file.read(length)))
            return {
                name: tuple(int(side) for side in entry["shape"])
                for name, entry in header.items()
                if name != "__metadata__"
            }
    except UNREADABLE as reason:
        raise NetworkUnfit(f"{path.name} is not a safetensors file.") from reason


#: Tensors of single-file checkpoints (the LDM layout) by which their networks are known.
_SD_KEY = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
_SDXL_KEY = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
_FIRST_CONV = "model.diffusion_model.input_blocks.0.0.weight"


def sniff_single_file(path: Path) -> UnetKind:
    """The kind of UNet in a single-file checkpoint (.safetensors). Raises NetworkUnfit."""
    shapes = safetensors_shapes(path)
    key = shapes.get(_SD_KEY) or shapes.get(_SDXL_KEY)
    first = shapes.get(_FIRST_CONV)
    if key is None or len(key) != 2 or first is None or len(first) != 4:
        raise NetworkUnfit(
            f"{path.name} is no whole Stable Diffusion checkpoint: a LoRA, a VAE or another model."
        )
    return UnetKind(key[1], first[1])
