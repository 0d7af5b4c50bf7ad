"""A network made for the GPU it is on: channels last, and what it repeats compiled.

torch.compile of the whole UNet takes minutes; its residual and transformer blocks hold nearly all
that there is to fuse, and a hundred of them have a dozen shapes. Kernels are chosen by rule, not
by timing them: the same machine draws the same bits after every start.

Knows diffusers' blocks; knows no size and no request.
"""

# torch's and diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import nn
from torch._dynamo import config as dynamo

from limner.diffusion.denoiser.norm import ChannelsLastGroupNorm
from limner.diffusion.denoiser.steady import SteadyConvolution

#: Methods of which a network has many. A transformer's own are what stands around its blocks.
REPEATED: dict[type[Any], tuple[str, ...]] = {
    BasicTransformerBlock: ("forward",),
    ResnetBlock2D: ("forward",),
    Downsample2D: ("forward",),
    Upsample2D: ("forward",),
    Transformer2DModel: ("_operate_on_continuous_inputs", "_get_output_for_continuous_inputs"),
}

#: Shapes of one method in a process: a dozen for each network and size of picture.
MOST_SHAPES = 512


def compile_network(net: Any) -> None:
    """Lay a network out for its device, for good, and have its repeated blocks compiled.

    Each shape is compiled when it is first called, for all networks that have it. A block that
    cannot be compiled whole, or a shape too many, is an error, not a slow block.
    """
    net.to(memory_format=torch.channels_last)
    _replace(net, nn.Conv2d, SteadyConvolution)
    _replace(net, nn.GroupNorm, ChannelsLastGroupNorm)
    for block in net.modules():
        for name in REPEATED.get(type(block), ()):
            method = getattr(block, name)
            compiled = torch.compile(
                method, fullgraph=True, dynamic=False, options={"deterministic": True}
            )
            setattr(block, name, compiled)


def with_all_shapes(work: Callable[..., Any], *given: Any) -> Any:
    """Do something with a compiled network, however many shapes its blocks have come to have.

    dynamo gives up at 8 of a method; its limits hold for the thread that sets them alone.
    """
    with dynamo.patch(recompile_limit=MOST_SHAPES, accumulated_recompile_limit=2 * MOST_SHAPES):
        return work(*given)


def _replace(net: Any, kind: type[nn.Module], by: Callable[[Any], nn.Module]) -> None:
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is kind:
                setattr(parent, name, by(child))
