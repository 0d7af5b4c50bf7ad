"""A request as diffusers computes it: its own forward, scheduler object and attention processors.

What Limner's denoiser is compared with. Nothing of ``limner.diffusion.denoiser`` is used here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor2_0, IPAdapterAttnProcessor2_0
from torch import Tensor

from limner.diffusion.adapter import attention_names
from limner.diffusion.sampling import Condition, Task
from tests.diffusion.denoiser.small import SAMPLERS, TOKENS, WIDTH, Request, networks


class Identity(torch.nn.Module):
    """diffusers projects image embeddings; ours are tokens already."""

    def forward(self, embeds: list[Tensor]) -> list[Tensor]:
        return embeds


@functools.cache
@torch.inference_mode(False)
def stock_unet(family: str, dtype: torch.dtype) -> Any:
    """The plain UNet with diffusers' own IP-Adapter processors."""
    nets = networks(family, dtype)
    unet = nets.unet
    processors: dict[str, Any] = {}
    for number, name in enumerate(attention_names(unet)):
        processors[f"{name}.processor"] = AttnProcessor2_0()
        if number % 2:
            hidden = unet.get_submodule(name).to_q.weight.shape[0]
            processor = IPAdapterAttnProcessor2_0(hidden, WIDTH, num_tokens=TOKENS)
            for at, adapter in enumerate(nets.adapters):
                for part in ("k", "v"):
                    weight = adapter.ip_adapter[f"{number}.to_{part}_ip.weight"]
                    getattr(processor, f"to_{part}_ip")[at].weight.data = weight.to(dtype)
            processors[f"{name}.processor"] = processor.to(dtype)
    unet.set_attn_processor(processors)
    unet.encoder_hid_proj = Identity()
    unet.register_to_config(encoder_hid_dim_type="ip_image_proj")
    return unet


@torch.inference_mode()
def stock_latents(request: Request, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """One seed after the other, a guided pair a call, latents in ``dtype`` all the way."""
    task = request.task(networks(request.family, dtype).control)
    return [_drawn(request, task, seed, dtype) for seed in request.seeds]


@torch.inference_mode()
def stock_predictions(request: Request, latent: Tensor, at: tuple[int, Tensor]) -> Tensor:
    """What the UNet predicts for the request's rows at a step and a timestep, negative first."""
    task = request.task(networks(request.family, latent.dtype).control)
    conditions = [task.positive] if task.negative is None else [task.negative, task.positive]
    return _predicted(request, task, conditions, latent, at)


def distance(own: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest relative L2 distance."""
    pairs = zip(own, expected, strict=True)
    return max(float((one - other).norm() / other.norm()) for one, other in pairs)


def level(timestep: float) -> float:
    """σ at a timestep of Stable Diffusion's training, from its betas; in between by its log."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = np.cumprod(1 - betas)
    return float(np.exp(np.interp(timestep, range(1000), np.log((1 - kept) / kept) / 2)))


def _drawn(request: Request, task: Task, seed: int, dtype: torch.dtype) -> Tensor:
    scheduler = SAMPLERS[request.sampler]()
    scheduler.set_timesteps(request.steps)
    generator = torch.Generator().manual_seed(seed)
    shape = 1, 4, request.size[1] // 8, request.size[0] // 8
    if request.first:
        draft = request.draft()
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(request.first)
        at = scheduler.timesteps[request.first : request.first + 1]
        latent = scheduler.add_noise(draft.latent, draft.noise, at).to(dtype)
        generator = torch.Generator().manual_seed(request.first)
    else:
        latent = (torch.randn(shape, generator=generator) * scheduler.init_noise_sigma).to(dtype)
    for step, timestep in enumerate(scheduler.timesteps[request.first :], request.first):
        given = scheduler.scale_model_input(latent, timestep)
        low, high = request.interval or (0.0, math.inf)
        guided = task.negative is not None and low < level(float(timestep)) <= high
        conditions = [task.positive] if task.negative is None else [task.negative, task.positive]
        conditions = conditions if guided else [task.positive]
        answer = _predicted(request, task, conditions, given, (step, timestep))
        if guided:
            negative, positive = answer.chunk(2)
            answer = negative + task.guidance * (positive - negative)
        told = {} if request.sampler == "ddim" else {"generator": generator}
        if request.sampler == "dpm_2m_sde_karras":
            # In fp32 whatever the run is in, as the scheduler itself would draw it.
            told = {"variance_noise": torch.randn(shape, generator=generator)}
        latent = scheduler.step(answer, timestep, latent, **told).prev_sample
    return latent


def _predicted(
    request: Request,
    task: Task,
    conditions: list[Condition],
    given: Tensor,
    at: tuple[int, Tensor],
) -> Tensor:
    step, timestep = at
    unet = stock_unet(request.family, given.dtype)
    for processor in unet.attn_processors.values():
        if isinstance(processor, IPAdapterAttnProcessor2_0):
            scale: Any = [strength(step) for strength in task.strengths]
            processor.scale = scale
    doubled = torch.cat([given] * len(conditions))
    text = torch.cat([each.said.states for each in conditions]).to(given.dtype)
    tokens = [
        torch.cat([each.tokens[number] for each in conditions]).to(given.dtype) for number in (0, 1)
    ]
    width, height = task.size
    added: dict[str, Any] = {}
    if request.family == "sdxl":
        pooled = [each.said.pooled for each in conditions]
        added["text_embeds"] = torch.cat([each for each in pooled if each is not None]).to(given)
        ids = torch.tensor([[height, width, 0, 0, height, width]] * len(conditions))
        added["time_ids"] = ids
    lent: dict[str, Any] = {}
    (control,) = task.controls or (None,)
    if control is not None and control.at(step):
        down, middle = control.net(
            doubled,
            timestep,
            encoder_hidden_states=text if control.reads is None else tokens[control.reads],
            controlnet_cond=torch.cat([control.hint] * len(conditions)).to(given.dtype),
            conditioning_scale=control.at(step),
            added_cond_kwargs=added,
            return_dict=False,
        )
        lent = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    return unet(
        doubled,
        timestep,
        encoder_hidden_states=text,
        added_cond_kwargs={**added, "image_embeds": tokens},
        return_dict=False,
        **lent,
    )[0]
