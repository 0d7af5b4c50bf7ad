"""From a face to the tokens a UNet attends to: the adapters' projections.

The modules' names are the published files' own keys, so that a file is loaded strictly: what is
missing or too much is an error. Knows tensors; knows no file, no UNet and no request.

IP-Adapter (Ye et al. 2023, arXiv 2308.06721), its FaceID models (h94/IP-Adapter-FaceID),
InstantID (Wang et al. 2024, arXiv 2401.07519); the resampler is Flamingo's (arXiv 2204.14198).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from limner.diffusion.sniff import AdapterKind
from limner.errors import NetworkUnfit

#: Tokens a FaceID projection makes of one face.
FACE_TOKENS = 4
#: Length of a face embedding (ArcFace's, and all networks' of its kind).
FACE_EMBEDDING = 512
#: Width of one attention head in every resampler ever published for these adapters.
HEAD = 64
#: Blocks of a resampler in the published files.
DEPTH = 4


class PerceiverAttention(nn.Module):
    """Latents attend to a context and to themselves. Heads are ``HEAD`` wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def forward(self, context: Tensor, latents: Tensor) -> Tensor:
        """[b, n, width] and [b, m, width] → [b, m, width]."""
        context, latents = self.norm1(context), self.norm2(latents)
        query = self.to_q(latents)
        key, value = self.to_kv(torch.cat([context, latents], dim=1)).chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(_heads(query), _heads(key), _heads(value))
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class Perceiver(nn.Module):
    """Latents read a context of another width, four times."""

    def __init__(self, reads: int, width: int, out: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(reads, width)
        self.proj_out = nn.Linear(width, out)
        self.norm_out = nn.LayerNorm(out)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(width),
                    nn.Sequential(
                        nn.LayerNorm(width),
                        nn.Linear(width, 4 * width, bias=False),
                        nn.GELU(),
                        nn.Linear(4 * width, width, bias=False),
                    ),
                ]
            )
            for _ in range(DEPTH)
        )

    def read(self, latents: Tensor, context: Tensor) -> Tensor:
        """[b, m, width] latents reading [b, n, reads] → [b, m, out]."""
        context = self.proj_in(context)
        for block in cast("Iterable[tuple[nn.Module, nn.Module]]", self.layers):
            attention, feed_forward = block
            latents = attention(context, latents) + latents
            latents = feed_forward(latents) + latents
        return self.norm_out(self.proj_out(latents))


class FaceTokens(nn.Module):
    """FaceID's projection: one face embedding → four tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Linear(FACE_EMBEDDING, 2 * FACE_EMBEDDING),
            nn.GELU(),
            nn.Linear(2 * FACE_EMBEDDING, FACE_TOKENS * width),
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, face: Tensor) -> Tensor:
        """[b, 512], of length 1 → [b, 4, width]."""
        return self.norm(self.proj(face).unflatten(-1, (FACE_TOKENS, -1)))


class PlusFaceTokens(FaceTokens):
    """FaceID-Plus: the four tokens then read CLIP's view of the aligned face."""

    def __init__(self, width: int, reads: int) -> None:
        super().__init__(width)
        self.perceiver_resampler = Perceiver(reads, width, width)

    def look(self, face: Tensor, seen: Tensor, *, shortcut: bool) -> Tensor:
        """[b, 512] and CLIP's hidden states [b, n, reads] → [b, 4, width].

        ``shortcut`` is what makes PlusV2: the tokens are kept and what was read is added.
        """
        tokens = self(face)
        read = self.perceiver_resampler.read(tokens, seen)
        return tokens + read if shortcut else read


class Resampler(Perceiver):
    """IP-Adapter-plus reads CLIP's hidden states, InstantID a raw face embedding."""

    def __init__(self, queries: int, width: int, reads: int, out: int) -> None:
        super().__init__(reads, width, out)
        self.latents = nn.Parameter(torch.empty(1, queries, width))

    def forward(self, seen: Tensor) -> Tensor:
        """[b, n, reads] → [b, queries, out]."""
        return self.read(self.latents.expand(seen.shape[0], -1, -1), seen)


Projection = FaceTokens | PlusFaceTokens | Resampler


def build_projection(kind: AdapterKind, weights: Mapping[str, Tensor]) -> Projection:
    """The projection with the tensors of a file's ``image_proj`` part, which has this ``kind``.

    Raises NetworkUnfit, naming the tensors that do not fit.
    """
    if kind.layout in ("faceid", "faceid-plus") and kind.reads != FACE_EMBEDDING:
        raise NetworkUnfit(f"The adapter reads {kind.reads} numbers of a face, not 512.")
    with torch.device("meta"):
        projection = _empty(kind, weights)
    try:
        projection.load_state_dict(dict(weights), strict=True, assign=True)
    except RuntimeError as reason:
        raise NetworkUnfit(f"The adapter's image_proj does not fit {kind}: {reason}") from reason
    return projection.requires_grad_(False).eval()


def _empty(kind: AdapterKind, weights: Mapping[str, Tensor]) -> Projection:
    match kind.layout:
        case "faceid":
            return FaceTokens(kind.width)
        case "faceid-plus":
            reads = weights["perceiver_resampler.proj_in.weight"].shape[1]
            return PlusFaceTokens(kind.width, reads)
        case "resampler":
            _, queries, width = weights["latents"].shape
            return Resampler(queries, width, kind.reads, kind.width)
        case _:
            raise NetworkUnfit(f"A projection of the layout {kind.layout} is used nowhere here.")


def _heads(tokens: Tensor) -> Tensor:
    """[b, n, heads·64] → [b, heads, n, 64]."""
    batch, length, width = tokens.shape
    return tokens.view(batch, length, width // HEAD, HEAD).transpose(1, 2)
