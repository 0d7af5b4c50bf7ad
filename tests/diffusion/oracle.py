"""The adapters' arithmetic as their authors published it, on the raw keys of their files.

Independent of Limner and of diffusers: plain matrix products, no module, no fused attention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

Weights = Mapping[str, Tensor]


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    y = x @ weights[f"{name}.weight"].T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """[b, n, heads·d], [b, m, heads·d] twice → [b, n, heads·d]; softmax(q·kᵀ/√d)·v."""
    out: list[Tensor] = []
    for query, key, value in zip(*(x.chunk(heads, -1) for x in (q, k, v)), strict=True):
        scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        out.append(scores.softmax(-1) @ value)
    return torch.cat(out, -1)


def perceiver(weights: Weights, prefix: str, latents: Tensor, seen: Tensor) -> Tensor:
    seen = linear(weights, f"{prefix}proj_in", seen)
    for block in range(4):
        a, f = f"{prefix}layers.{block}.0", f"{prefix}layers.{block}.1"
        asking = norm(weights, f"{a}.norm2", latents)
        context = torch.cat([norm(weights, f"{a}.norm1", seen), asking], 1)
        key, value = linear(weights, f"{a}.to_kv", context).chunk(2, -1)
        query = linear(weights, f"{a}.to_q", asking)
        mixed = attention(query, key, value, query.shape[-1] // 64)
        latents = latents + linear(weights, f"{a}.to_out", mixed)
        inner = functional.gelu(linear(weights, f"{f}.1", norm(weights, f"{f}.0", latents)))
        latents = latents + linear(weights, f"{f}.3", inner)
    return norm(weights, f"{prefix}norm_out", linear(weights, f"{prefix}proj_out", latents))


def face_tokens(weights: Weights, face: Tensor) -> Tensor:
    flat = linear(weights, "proj.2", functional.gelu(linear(weights, "proj.0", face)))
    return norm(weights, "norm", flat.reshape(face.shape[0], 4, -1))


def plus_tokens(weights: Weights, face: Tensor, seen: Tensor, *, shortcut: bool) -> Tensor:
    tokens = face_tokens(weights, face)
    read = perceiver(weights, "perceiver_resampler.", tokens, seen)
    return tokens + read if shortcut else read


def resampler_tokens(weights: Weights, seen: Tensor) -> Tensor:
    return perceiver(weights, "", weights["latents"].repeat(seen.shape[0], 1, 1), seen)


def attention_layer(
    base: Weights, adapter: Weights, number: int, x: Tensor, said: tuple[Tensor, Tensor, float]
) -> Tensor:
    """An attention layer with ``base``'s weights and an adapter's LoRA and image keys.

    ``said``: text, image tokens, strength. Even numbers are self-attention: both unused.
    """

    def lora(part: str, y: Tensor) -> Tensor:
        down, up = (adapter[f"{number}.to_{part}_lora.{half}.weight"] for half in ("down", "up"))
        return y @ down.T @ up.T

    text, tokens, strength = said
    heads = int(base["heads"])
    reads = text if number % 2 else x
    query = linear(base, "to_q", x) + lora("q", x)
    key = linear(base, "to_k", reads) + lora("k", reads)
    value = linear(base, "to_v", reads) + lora("v", reads)
    mixed = attention(query, key, value, heads)
    if number % 2:
        image_key = linear(adapter, f"{number}.to_k_ip", tokens)
        image_value = linear(adapter, f"{number}.to_v_ip", tokens)
        mixed = mixed + strength * attention(query, image_key, image_value, heads)
    return linear(base, "to_out.0", mixed) + lora("out", mixed)
