"""Adapters in their published files, and putting one into a UNet for good.

A FaceID file holds a projection, a LoRA for every attention layer and, for every cross-attention
layer, keys and values for image tokens. The LoRA is added into the UNet's own weights and the
keys and values become its attention processors; a UNet that has an adapter keeps it for life.
What a request says (text, tokens) is read once, as keys and values; they and the strengths are
handed to the UNet with each call, in a Context, and kept nowhere: no request can meet another's
face.

Knows tensors and diffusers' UNet; knows no request and no repository.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as functional
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from limner.diffusion.sniff import AdapterKind, sniff_adapter
from limner.errors import NetworkUnfit


class Layer(NamedTuple):
    """What one cross-attention layer attends to: keys and values [b, heads, n, hidden / heads].

    ``images``: keys and values of each adapter's tokens.
    """

    key: Tensor
    value: Tensor
    images: tuple[tuple[Tensor, Tensor], ...]

    def tensors(self) -> list[Tensor]:
        """All of it, always in the same order."""
        return [self.key, self.value, *(each for pair in self.images for each in pair)]


class Told(NamedTuple):
    """What one cross-attention layer is told in one call.

    ``strengths``: for each adapter in the UNet a number for each row [b], or None for one that is
    silent in this call, which then costs nothing.
    """

    layer: Layer
    strengths: tuple[Tensor | None, ...]


class Context(NamedTuple):
    """All that a network's cross-attention is told in one call; handed in as its text."""

    layers: Sequence[Layer]
    strengths: tuple[Tensor | None, ...]

    def of(self, number: int) -> Told:
        """What the cross-attention layer of that number is told."""
        return Told(self.layers[number], self.strengths)


@dataclass(frozen=True, eq=False)
class Adapter:
    """The tensors of one adapter's file, by their published names."""

    kind: AdapterKind
    image_proj: Mapping[str, Tensor]
    ip_adapter: Mapping[str, Tensor]


def read_adapter(path: Path) -> Adapter:
    """The adapter in a ``.bin`` (read as tensors only, never as code) or ``.safetensors`` file.

    Raises NetworkUnfit if it is no IP-Adapter.
    """
    try:
        parts = _parts(path)
    except (
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        pickle.PickleError,
        SafetensorError,
    ) as reason:
        raise NetworkUnfit(f"{path.name} is not a file of adapter weights.") from reason
    shapes = ({key: tuple(value.shape) for key, value in part.items()} for part in parts)
    return Adapter(sniff_adapter(*shapes), *parts)


def _parts(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The file's ``image_proj`` and ``ip_adapter`` tensors."""
    names = ("image_proj", "ip_adapter")
    if path.suffix == ".safetensors":
        flat = load_file(path)
        parts = [
            {key[len(name) + 1 :]: flat[key] for key in flat if key.startswith(f"{name}.")}
            for name in names
        ]
        unknown = len(flat) - sum(len(part) for part in parts)
        if unknown:
            raise ValueError(f"{unknown} tensors are of neither part")
    else:
        whole = cast("dict[str, Any]", torch.load(path, weights_only=True, mmap=True))
        parts = [cast("dict[str, Tensor]", whole[name]) for name in names]
    return parts[0], parts[1]


class ImageAttention(nn.Module):
    """Cross-attention to the text and, with keys and values of their own, to image tokens.

    attention(text) + Σ strength · attention(image tokens), with the same queries: IP-Adapter's
    decoupled cross-attention. What it attends to is the same at every step, so it is :meth:`read`
    once. A processor of diffusers' Attention; it remembers nothing.
    """

    def __init__(self, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """[hidden, width] for keys and for values of each adapter."""
        super().__init__()
        self.keys = nn.ParameterList(nn.Parameter(key, requires_grad=False) for key in keys)
        self.values = nn.ParameterList(nn.Parameter(value, requires_grad=False) for value in values)

    def read(self, attn: Any, text: Tensor, tokens: Sequence[Tensor]) -> Layer:
        """Keys and values of a text [b, n, width] and of each adapter's tokens [b, m, width]."""
        heads: int = attn.heads
        images = tuple(
            (
                _heads(_product(each, to_key), heads),
                _heads(_product(each, to_value), heads),
            )
            for to_key, to_value, each in zip(self.keys, self.values, tokens, strict=True)
        )
        key, value = (_product(text, each.weight, each.bias) for each in (attn.to_k, attn.to_v))
        return Layer(_heads(key, heads), _heads(value, heads), images)

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, **_: Any
    ) -> Tensor:
        """[b, n, hidden] → [b, n, hidden]; the names are diffusers', what is told is a Told."""
        layer, strengths = encoder_hidden_states
        query = _heads(attn.to_q(hidden_states), attn.heads)
        mixed = functional.scaled_dot_product_attention(query, layer.key, layer.value)
        for (key, value), strength in zip(layer.images, strengths, strict=True):
            if strength is None:
                continue
            seen = functional.scaled_dot_product_attention(query, key, value)
            mixed = mixed + (strength.view(-1, 1, 1, 1) * seen).to(seen)
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))


def read(net: nn.Module, text: Tensor, tokens: Sequence[Tensor] = ()) -> tuple[Layer, ...]:
    """What every cross-attention of a fitted network attends to, computed once."""
    layers = (cast("Any", net.get_submodule(name)) for name in attention_names(net)[1::2])
    return tuple(layer.processor.read(layer, text, tokens) for layer in layers)


def attention_names(unet: nn.Module) -> list[str]:
    """The UNet's attention layers in the order in which adapter files number them.

    Down blocks, up blocks, the middle; in each transformer block self- before cross-attention,
    so the odd ones are cross-attention. Nothing else a UNet may hold is among them.
    """
    return [
        name.removesuffix(".processor")
        for name in cast("Any", unet).attn_processors
        if name.startswith(("down_blocks", "up_blocks", "mid_block"))
    ]


def fit(unet: nn.Module, adapters: Sequence[Adapter]) -> None:
    """Put adapters into a UNet: fuse their LoRAs, give its cross-attention their keys and values.

    A ControlNet takes none, and learns to read a context by it.
    Once in a UNet's life: a second adapter needs a fresh UNet, so that nothing of the first can
    stay behind. Raises NetworkUnfit, naming both sides, if one was made for another UNet.
    """
    names = attention_names(unet)
    layers = [cast("Any", unet.get_submodule(name)) for name in names]
    if any(isinstance(layer.processor, ImageAttention) for layer in layers):
        raise RuntimeError("This UNet has an adapter already; load a fresh one.")
    for adapter in adapters:
        _check(adapter, names, unet)
    with torch.no_grad():
        for adapter in adapters:
            if adapter.kind.lora:
                for number, layer in enumerate(layers):
                    _fuse_lora(layer, adapter.ip_adapter, number)
        for number in range(1, len(layers), 2):
            like = layers[number].to_q.weight
            keys, values = (
                [a.ip_adapter[f"{number}.to_{part}_ip.weight"].to(like) for a in adapters]
                for part in ("k", "v")
            )
            layers[number].processor = ImageAttention(keys, values)
            block = unet.get_submodule(names[number].rpartition(".")[0])
            block.register_forward_pre_hook(_teller(number // 2), with_kwargs=True)


def _teller(number: int) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Before a transformer block is called: of the context, it is told its own layer's part.

    So all blocks of a shape do the same with what they are given, and are compiled once.
    """

    def tell(_block: nn.Module, given: Any, told: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        context = told.get("encoder_hidden_states")
        if not isinstance(context, Context):
            raise TypeError("A UNet with an adapter is called with a Context, not with text alone.")
        return given, {**told, "encoder_hidden_states": context.of(number)}

    return tell


def _check(adapter: Adapter, names: Sequence[str], unet: nn.Module) -> None:
    """Every tensor the UNet's layers need is there in its shape, and none besides."""
    width = int(cast("Any", unet).config.cross_attention_dim)
    if adapter.kind.width != width:
        raise NetworkUnfit(
            f"The adapter makes tokens of width {adapter.kind.width}, the UNet reads {width}:"
            " they are of different families."
        )
    wanted: dict[str, tuple[int | None, ...]] = {}
    for number, name in enumerate(names):
        layer = cast("Any", unet.get_submodule(name))
        hidden = int(layer.to_q.weight.shape[0])
        if number % 2:
            wanted[f"{number}.to_k_ip.weight"] = wanted[f"{number}.to_v_ip.weight"] = hidden, width
        if adapter.kind.lora:
            for part, linear in _projections(layer):
                out, into = linear.weight.shape
                wanted[f"{number}.to_{part}_lora.down.weight"] = None, into
                wanted[f"{number}.to_{part}_lora.up.weight"] = out, None
    odd = sorted(set(wanted) ^ set(adapter.ip_adapter)) or [
        name
        for name, shape in wanted.items()
        if any(
            side not in (None, given)
            for side, given in zip(shape, adapter.ip_adapter[name].shape, strict=True)
        )
    ]
    if odd:
        raise NetworkUnfit(
            f"The adapter was made for another UNet than this one of {len(names)} attention"
            f" layers: {len(odd)} of its tensors differ, first {', '.join(odd[:3])}."
        )


def _projections(layer: Any) -> tuple[tuple[str, Any], ...]:
    """An attention layer's four linear maps, by the names that LoRA files give them."""
    return ("q", layer.to_q), ("k", layer.to_k), ("v", layer.to_v), ("out", layer.to_out[0])


def _fuse_lora(layer: Any, weights: Mapping[str, Tensor], number: int) -> None:
    """Add up·down to the four projections of an attention layer, summed in fp32. Its scale is 1."""
    for part, linear in _projections(layer):
        down = weights[f"{number}.to_{part}_lora.down.weight"].to(linear.weight.device).float()
        up = weights[f"{number}.to_{part}_lora.up.weight"].to(linear.weight.device).float()
        linear.weight.copy_(linear.weight.float() + up @ down)


def _product(given: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear map, wherever its weights lie: offloaded ones are brought for this once."""
    here = None if bias is None else bias.to(given.device)
    return functional.linear(given, weight.to(given.device), here)


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """[b, n, hidden] → [b, heads, n, hidden / heads]."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)
