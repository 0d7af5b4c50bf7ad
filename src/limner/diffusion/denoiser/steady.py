"""Convolutions that round a row the same in every place of a call.

A GPU's matrix products, norms and attention do: no sum crosses rows, and every row's is taken in
one order. cuDNN's 3×3 convolutions need not: where tiles do not fill the GPU evenly, some of them
are summed in parts, and which ones depends on where in the batch a row stands (seen on an H100 for
a third of the shapes of Stable Diffusion's UNets). So each shape is tried once, with numbers drawn
at random, and is computed in the fastest way that proves steady.

Knows convolutions; knows no network.
"""

# torch's own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

#: What is given [b, c, h, w], the weight [out, c, k, k], stride, padding, numbers and device.
Case = tuple[tuple[int, ...], tuple[int, ...], int, int, torch.dtype, str]

Way = Callable[[Tensor, Tensor, Tensor | None, int, int], Tensor]


class SteadyConvolution(nn.Module):
    """A Conv2d, with its own weights, in the way that was found for the shape it is given."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.padding = conv.stride[0], int(conv.padding[0])

    def forward(self, given: Tensor) -> Tensor:
        """[b, c, h, w] → [b, out, h', w']."""
        given = given.contiguous(memory_format=torch.channels_last)
        shapes = tuple(given.shape), tuple(self.weight.shape)
        name = way_of((*shapes, self.stride, self.padding, given.dtype, given.device.type))
        return WAYS[name](given, self.weight, self.bias, self.stride, self.padding)


def whole(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """As the library does it."""
    return functional.conv2d(x, weight, bias, stride, padding)


def product(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """One matrix product of what each output sees [b·h'·w', k·k·c]: more memory is moved."""
    out, _, high, wide = weight.shape
    tall, broad = (
        (side + 2 * padding - own) // stride + 1
        for side, own in zip(x.shape[2:], (high, wide), strict=True)
    )
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, *2 * (padding, padding)))
    seen = [
        padded[:, i : i + stride * tall : stride, j : j + stride * broad : stride]
        for i in range(high)
        for j in range(wide)
    ]
    flat = weight.permute(0, 2, 3, 1).reshape(out, -1)
    return functional.linear(torch.cat(seen, -1), flat, bias).permute(0, 3, 1, 2)


def by_row(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """Each row alone: steady on any device, and slow."""
    rows = [functional.conv2d(row, weight, bias, stride, padding) for row in x.split(1)]
    return torch.cat(rows)


#: From the fastest to the one that is steady for certain.
WAYS: dict[str, Way] = {"whole": whole, "product": product, "by row": by_row}


@torch.compiler.assume_constant_result
def way_of(case: Case) -> str:
    """The name of the first of WAYS that is steady in this case on this machine.

    A fact of the device and its libraries, hence found once in a process; a constant for whoever
    compiles.
    """
    return _found(case)


@cache
def _found(case: Case) -> str:
    given, weight, stride, padding, dtype, device = case
    generator = torch.Generator(device).manual_seed(0)
    told: dict[str, Any] = {"generator": generator, "device": device, "dtype": dtype}
    x, kernel = (
        torch.randn(shape, **told).contiguous(memory_format=torch.channels_last)
        for shape in (given, weight)
    )
    bias = torch.randn(weight[0], **told)
    for name in ("whole", "product"):
        if is_steady(lambda rows, way=WAYS[name]: way(rows, kernel, bias, stride, padding), x):
            return name
    return "by row"


def is_steady(compute: Callable[[Tensor], Tensor], rows: Tensor) -> bool:
    """Whether each row's answer has the same bits in every place. ``rows`` [b, …]."""
    answer = compute(rows)
    return all(
        torch.equal(compute(rows.roll(by, 0)), answer.roll(by, 0)) for by in range(1, len(rows))
    )
