"""Two very small networks of the two families, and requests for them of every kind.

Two levels, two adapters (of 4 and 16 tokens) and a ControlNet each; the SDXL-like one is told
pooled text and sizes, and its ControlNet reads the first adapter's tokens, as InstantID's does.
Random weights, large enough that every input is seen in the output.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from limner.diffusion.adapter import Adapter, fit
from limner.diffusion.denoiser.job import Work
from limner.diffusion.denoiser.network import Controller, Network
from limner.diffusion.sampling import Condition, Control, Draft, Task, constant, leading
from limner.diffusion.schedules import ddim, dpm_2m, dpm_2m_sde_karras, euler, euler_ancestral, lcm
from limner.diffusion.sniff import AdapterKind
from limner.diffusion.text import Said
from tests.diffusion import tiny_adapters

WIDTH, POOLED = 64, 32
TOKENS = (4, 16)
SAMPLERS: dict[str, Callable[[], Any]] = {
    "ddim": ddim,
    "dpm_2m": dpm_2m,
    "dpm_2m_sde_karras": dpm_2m_sde_karras,
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "lcm": lcm,
}

_SHAPES: dict[str, dict[str, Any]] = {
    "sd15": {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": 8,
    },
    "sdxl": {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (2, 4),
        "transformer_layers_per_block": (1, 2),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": POOLED + 6 * 8,
    },
}


@dataclass(frozen=True, eq=False)
class Networks:
    """A family's networks, plain and as the denoiser runs them, of the same numbers."""

    unet: Any
    control: Any
    adapters: tuple[Adapter, ...]
    network: Network
    controller: Controller
    #: A ControlNet of other numbers, beside the first as depth's is beside InstantID's.
    beside: Controller


def networks(family: str, dtype: torch.dtype = torch.float32) -> Networks:
    """A family's, always the same."""
    return _networks(family, dtype)


@functools.cache
@torch.inference_mode(False)
def _networks(family: str, dtype: torch.dtype) -> Networks:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        unet: Any = UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(32, 64),
            layers_per_block=1,
            cross_attention_dim=WIDTH,
            norm_num_groups=16,
            **_SHAPES[family],
        )
        control: Any = ControlNetModel.from_unet(
            unet, conditioning_embedding_out_channels=(8, 8, 16, 16)
        )
        # The middle's and the ControlNet's ends are zero as they are made, and would prove nothing.
        for parameter in (*unet.parameters(), *control.parameters()):
            parameter.data = parameter.data + 0.05 * torch.randn_like(parameter)
        adapters = tuple(_adapter(unet) for _ in TOKENS)
    unet, control = (net.to(dtype).eval().requires_grad_(False) for net in (unet, control))
    fitted: Any = UNet2DConditionModel.from_config(unet.config)
    fitted.load_state_dict(unet.state_dict())
    own: Any = ControlNetModel.from_config(control.config)
    own.load_state_dict(control.state_dict())
    for net in (fitted, own):
        net.to(dtype).eval().requires_grad_(False)
    fit(fitted, adapters)
    fit(own, ())
    second = copy.deepcopy(own)
    for parameter in second.parameters():
        parameter.mul_(0.9)
    first = Controller(own)
    return Networks(unet, control, adapters, Network(fitted), first, Controller(second))


def _adapter(unet: Any) -> Adapter:
    tensors = tiny_adapters.attention_tensors(unet, lora=False)
    return Adapter(AdapterKind("resampler", WIDTH, False, 512), {}, tensors)


@dataclass(frozen=True)
class Request:
    """What differs between requests. ``arrives``: at which call of the UNet."""

    family: str = "sd15"
    sampler: str = "ddim"
    steps: int = 4
    guidance: float = 5.0
    seeds: tuple[int, ...] = (1,)
    strengths: tuple[float, float] = (1.0, 0.5)
    window: int = 99
    control: float = 0.0
    control_window: int | None = None
    #: The strength of a second ControlNet; only its latents' bits are of interest.
    beside: float = 0.0
    size: tuple[int, int] = (64, 64)
    words: int = 0
    chunks: int = 1
    first: int = 0
    interval: tuple[float, float] | None = None
    caller: str = ""
    arrives: int = 0

    def work(self, dtype: torch.dtype = torch.float32) -> Work:
        nets = networks(self.family, dtype)
        return Work(nets.network, SAMPLERS[self.sampler], self.task(nets.controller), self.caller)

    def task(self, net: Any) -> Task:
        positive, negative = self._condition(self.words), self._condition(self.words + 100)
        width, height = self.size
        hint = _numbers(3, 1, 3, height, width).sigmoid()
        reads = 0 if self.family == "sdxl" else None
        control = Control(net, hint, self.control, reads, self.control_window)
        second = networks(self.family).beside if self.beside else None
        beside = (Control(second, 1 - hint, self.beside, None, 2),) if second else ()
        return Task(
            positive,
            negative if self.guidance > 1 else None,
            self.guidance,
            (constant(self.strengths[0]), leading(self.strengths[1], self.window)),
            self.size,
            self.steps,
            control,
            beside,
            interval=self.interval,
        )

    def draft(self) -> Draft:
        shape = 1, 4, self.size[1] // 8, self.size[0] // 8
        return Draft(_numbers(7, *shape), _numbers(8, *shape), self.first)

    def _condition(self, words: int) -> Condition:
        pooled = _numbers(words + 2, 1, POOLED) if self.family == "sdxl" else None
        said = Said(_numbers(words, 1, 9 * self.chunks, WIDTH), pooled)
        return Condition(said, tuple(_numbers(words + n, 1, n, WIDTH) for n in TOKENS))


@functools.cache
def _numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
