"""Schedulers by name, and what a window of percents means in steps of one.

Knows diffusers' schedulers; knows no network.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import math
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import (
    EulerAncestralDiscreteScheduler,
)
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from torch import Tensor

#: The noise that Stable Diffusion 1.5 and XL were trained with.
_TRAINED: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def ddim() -> Any:
    """The scheduler of every example in IP-Adapter-FaceID's card, for SD 1.5 and SDXL alike."""
    return DDIMScheduler(clip_sample=False, set_alpha_to_one=False, **_TRAINED)


def dpm_2m_sde_karras() -> Any:
    """DPM++ 2M SDE (Lu et al. 2022, arXiv 2211.01095) on Karras' steps (arXiv 2206.00364)."""
    return DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver++", use_karras_sigmas=True, solver_order=2, **_TRAINED
    )


def dpm_2m() -> Any:
    """DPM++ 2M (Lu et al. 2022, arXiv 2211.01095)."""
    return DPMSolverMultistepScheduler(algorithm_type="dpmsolver++", solver_order=2, **_TRAINED)


def euler() -> Any:
    """Euler's steps over evenly spread timesteps: they take no randomness on their way."""
    return EulerDiscreteScheduler(timestep_spacing="linspace", **_TRAINED)


def euler_ancestral() -> Any:
    """Euler's steps, a little too far each, and fresh noise to make up for it."""
    return EulerAncestralDiscreteScheduler(timestep_spacing="linspace", **_TRAINED)


def lcm() -> Any:
    """The few steps of networks with an LCM-LoRA (Luo et al. 2023, arXiv 2311.05556).

    It has 50 at most: those that the LoRA was taught with.
    """
    return LCMScheduler(**_TRAINED)


def steps_until(end: float, steps: int) -> int:
    """How many of ``steps`` Karras steps lie in the first ``end`` (0…1) of the training's time.

    A window of 20 % is not 20 % of the steps: Karras' steps crowd where there is little noise.
    """
    if end >= 1:
        return steps
    scheduler = dpm_2m_sde_karras()
    scheduler.set_timesteps(steps)
    return int((scheduler.sigmas[:-1] >= _sigma_at(end, scheduler.alphas_cumprod)).sum())


def _sigma_at(share: float, alphas: Tensor) -> float:
    """The noise level when ``share`` of the training's timesteps is gone, between two in log."""
    if share <= 0:
        return math.inf
    levels = torch.log(((1 - alphas.double()) / alphas.double()) ** 0.5)
    place = (1 - share) * (len(levels) - 1)
    low, part = int(place), place - int(place)
    return float(torch.exp((1 - part) * levels[low] + part * levels[min(low + 1, 999)]))
