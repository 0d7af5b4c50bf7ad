"""What the denoiser is asked for: tasks, in conditions, strengths and seeds.

Knows conditions; knows no prompt, no face, no network and no request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limner.diffusion.text import Said

#: Pixels along a side of one latent's pixel, in every VAE of SD 1.5 and SDXL.
VAE_SCALE = 8
LATENT_CHANNELS = 4

#: Seeds are 32 bits; the next one after the last is the first.
SEEDS = 2**32


#: Noise levels between which guidance acts, in deviations of noise.
Interval = tuple[float, float]


def is_within(level: float, interval: Interval) -> bool:
    """Is there more noise than the interval's first number, and no more than its second?"""
    return interval[0] < level <= interval[1]


@dataclass(frozen=True, eq=False)
class Condition:
    """What one pass of the UNet is told: text, and one row of tokens for each adapter."""

    said: Said
    tokens: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Control:
    """A ControlNet that draws along (Zhang et al. 2023, arXiv 2302.05543).

    ``hint`` [1, 3, height, width], 0…1. It reads the tokens of the adapter with the number
    ``reads`` in place of the text, as InstantID's does; None reads the text. After ``steps`` steps
    it is silent, and not run; None never ends. ``net``: a ``denoiser.network.Controller``.
    """

    net: Any
    hint: Tensor
    strength: float
    reads: int | None
    steps: int | None = None

    def at(self, step: int) -> float:
        """Its strength at a step."""
        return self.strength if self.steps is None or step < self.steps else 0.0


@dataclass(frozen=True, eq=False)
class Task:
    """One picture's way from noise, shared by all samples of a request.

    ``negative`` is None where guidance is 1 or less: then nothing is computed against which to
    guide. ``strengths``: each adapter's, for the step it is asked for (0-based); 0 silences it.
    ``size``: (width, height) in pixels, multiples of 8. ``interval``: guidance acts where there is
    more noise than its first number and no more than its second, in deviations of it
    (Kynkäänniemi et al. 2024, arXiv 2404.07724); None is everywhere.
    """

    positive: Condition
    negative: Condition | None
    guidance: float
    strengths: tuple[Callable[[int], float], ...]
    size: tuple[int, int]
    steps: int
    control: Control | None = None
    #: Further ControlNets; what all of them add is summed.
    beside: tuple[Control, ...] = ()
    interval: Interval | None = None

    def is_guided(self, level: float) -> bool:
        """Whether guidance acts where there is so much noise."""
        if self.negative is None:
            return False
        return self.interval is None or is_within(level, self.interval)

    @property
    def controls(self) -> tuple[Control, ...]:
        """The ControlNets that are ever heard."""
        every = (*((self.control,) if self.control else ()), *self.beside)
        return tuple(each for each in every if each.strength)


@dataclass(frozen=True, eq=False)
class Draft:
    """A picture that is there already, and is drawn over from the middle of the way.

    ``latent`` and ``noise`` [1, 4, h/8, w/8]: as much of the noise is laid over the latent as there
    is at the step numbered ``first``, from which on the steps are taken.
    """

    latent: Tensor
    noise: Tensor
    first: int


def constant(strength: float) -> Callable[[int], float]:
    """A strength that is the same at every step."""
    return lambda _step: strength


def leading(strength: float, steps: int) -> Callable[[int], float]:
    """A strength for the first ``steps`` steps, and silence after them."""
    return lambda step: strength if step < steps else 0.0


def noise(seeds: Sequence[int], size: tuple[int, int]) -> list[tuple[Tensor, torch.Generator]]:
    """For each seed fp32 noise [1, 4, height/8, width/8], and the generator that goes on from it.

    Drawn on the CPU: a seed means the same noise on every machine.
    """
    width, height = size
    shape = (1, LATENT_CHANNELS, height // VAE_SCALE, width // VAE_SCALE)
    drawn: list[tuple[Tensor, torch.Generator]] = []
    for seed in seeds:
        generator = torch.Generator("cpu").manual_seed(seed % SEEDS)
        drawn.append((torch.randn(shape, generator=generator), generator))
    return drawn


@dataclass(frozen=True, slots=True)
class Decoded:
    """One of several samples became pixels; the others wait, and need not if nobody wants them."""

    #: 1…of.
    number: int
    of: int


@dataclass(frozen=True, eq=False, slots=True)
class Progress:
    """How far a task has come."""

    #: Share of the steps that are done, 0…1.
    done: float
    #: What the sampler takes the first sample for, fp32 [1, 4, h/8, w/8] on its device.
    belief: Tensor
