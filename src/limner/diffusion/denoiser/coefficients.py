"""A sampler as a table of numbers, so that rows of different samplers can step together.

Every sampler here makes its next latent as a sum: of the latent, the UNet's prediction, what it
took the picture for at the step before, and fresh noise. How much of each is found by letting
diffusers' own scheduler step on the four unit vectors, once. Nothing of a sampler's mathematics is
written here, and what diffusers computes in fp32 is as exact as it is there.

Knows diffusers' schedulers; knows no network and no latent.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

#: The four things that are summed, in the order of the table's columns.
LATENT, PREDICTION, BEFORE, NOISE = range(4)


class Sum(NamedTuple):
    """What a step makes of the four. Plain numbers, in the order named above."""

    #: The latent is multiplied by this before the UNet sees it.
    scale: float
    #: The next latent.
    latent: tuple[float, float, float, float]
    #: What the sampler takes the picture for: of latent and prediction alone.
    picture: tuple[float, float]


@dataclass(frozen=True)
class Coefficients:
    """A sampler's whole way: one entry a step, from ``first`` to the last."""

    #: The step the way begins with; 0 begins with noise.
    first: int
    timesteps: tuple[float, ...]
    #: How much noise there is before each step, in deviations of it on a picture of full strength.
    levels: tuple[float, ...]
    sums: tuple[Sum, ...]
    #: Noise of deviation 1 is multiplied by this to begin with.
    start: float
    #: What is made of a picture's latent and of noise, to begin with a picture at ``first``.
    laid_over: tuple[float, float]
    #: Is fresh noise drawn at every step? It is drawn even where none is added.
    draws: bool

    def __len__(self) -> int:
        return len(self.sums)


@torch.inference_mode()
def coefficients(scheduler: Callable[[], Any], steps: int, first: int = 0) -> Coefficients:
    """The table of a fresh scheduler for the last ``steps - first`` of ``steps`` steps.

    ``scheduler``: makes one of DDIM, Euler, Euler ancestral, DPM++ 2M, DPM++ 2M SDE, LCM, or
    another that sums the same four.
    """
    own = scheduler()
    own.set_timesteps(steps)
    draws, levels = _draws(own), _levels(own)[first:]
    if first and hasattr(own, "set_begin_index"):  # DDIM goes by the timestep alone
        own.set_begin_index(first)
    timesteps = own.timesteps[first:]
    one, none = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    laid_over = (
        float(own.add_noise(one, none, timesteps[:1])),
        float(own.add_noise(none, one, timesteps[:1])),
    )
    return Coefficients(
        first=first,
        timesteps=tuple(float(timestep) for timestep in timesteps),
        levels=tuple(levels),
        sums=tuple(_sum(own, timestep, draws=draws) for timestep in timesteps),
        start=float(own.init_noise_sigma),
        laid_over=laid_over,
        draws=draws,
    )


def noise_levels(scheduler: Callable[[], Any], steps: int) -> list[float]:
    """How much noise there is before each of the steps, as ``Coefficients.levels`` has it."""
    own = scheduler()
    own.set_timesteps(steps)
    return _levels(own)


def _levels(scheduler: Any) -> list[float]:
    """Noise over picture at each of the scheduler's steps: Karras' σ (arXiv 2206.00364)."""
    known: Tensor | None = getattr(scheduler, "sigmas", None)
    if known is not None:
        return [float(each) for each in known[: len(scheduler.timesteps)]]
    # This one goes by timesteps alone: what it makes of a picture and of noise tells.
    one = torch.ones(len(scheduler.timesteps), dtype=torch.float64)
    of_picture = scheduler.add_noise(one, 0 * one, scheduler.timesteps)
    of_noise = scheduler.add_noise(0 * one, one, scheduler.timesteps)
    return (of_noise / of_picture).tolist()


def _draws(scheduler: Any) -> bool:
    """Whether a step takes randomness: a scheduler tells it by its kind or its algorithm."""
    algorithm = str(scheduler.config.get("algorithm_type", ""))
    kind = type(scheduler).__name__
    return algorithm.startswith("sde-") or "Ancestral" in kind or "LCM" in kind


def _sum(scheduler: Any, timestep: Tensor, *, draws: bool) -> Sum:
    """Let the scheduler take one step on the unit vectors, and read off what it did with each."""
    unit = torch.eye(4, dtype=torch.float64)
    scale = float(scheduler.scale_model_input(torch.ones(1, dtype=torch.float64), timestep))
    # A multistep sampler keeps what it took the picture for: here, the third unit vector.
    kept: list[Tensor | None] | None = getattr(scheduler, "model_outputs", None)
    if kept is not None and kept[-1] is not None:
        kept[-1] = unit[BEFORE].clone()
    told: dict[str, Any] = {}
    noise = torch.zeros(4, dtype=torch.float64)
    if draws and "variance_noise" in inspect.signature(scheduler.step).parameters:
        told["variance_noise"] = unit[NOISE]
    elif draws:
        # This one draws its noise itself; what it drew is taken out again below.
        told["generator"] = torch.Generator().manual_seed(0)
        noise = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    answer = scheduler.step(unit[PREDICTION], timestep, unit[LATENT], **told)
    latent = answer.prev_sample.double()
    if noise.any():
        share = latent[NOISE] / noise[NOISE]
        latent = latent - share * noise
        latent[NOISE] = share
    picture: Any = kept[-1] if kept is not None else _taken_for(answer)
    a, b, c, d = latent.tolist()
    return Sum(scale, (a, b, c, d), (float(picture[LATENT]), float(picture[PREDICTION])))


def _taken_for(answer: Any) -> Any:
    """What a sampler takes the picture for: schedulers call it by two names."""
    return answer.denoised if hasattr(answer, "denoised") else answer.pred_original_sample
