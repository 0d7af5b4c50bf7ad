"""Group normalisation (Wu & He 2018, arXiv 1803.08494) for features that lie channels last.

torch's own reads a group at a time, whose channels lie apart; this one reads each channel once,
side by side, and puts the groups' moments together from the channels'. The same to rounding, and
made to be compiled: what is written here is fused into two passes.

Knows features; knows no network.
"""

# torch's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelsLastGroupNorm(nn.Module):
    """A GroupNorm, with its own weights."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.groups, self.eps = norm.num_groups, norm.eps

    def forward(self, given: Tensor) -> Tensor:
        """[b, c, h, w] → [b, c, h, w]."""
        rows, channels = given.shape[:2]
        exact = given.to(torch.promote_types(given.dtype, torch.float32))
        of_channels, means = torch.var_mean(exact, dim=(2, 3), correction=0)
        means = means.view(rows, self.groups, -1)
        mean = means.mean(-1, keepdim=True)
        # Variance within the channels, and of their means around the group's.
        spread = of_channels.view_as(means) + (means - mean).square()
        scale = torch.rsqrt(spread.mean(-1, keepdim=True) + self.eps)
        scale = (scale * self.weight.view(1, self.groups, -1)).to(exact)
        shift = self.bias.view(1, self.groups, -1) - mean * scale
        by_channel = rows, channels, 1, 1
        return (exact * scale.reshape(by_channel) + shift.reshape(by_channel)).to(given)
