"""From noise to latents: one loop over diffusers' own UNets and schedulers.

Every sample is computed in calls of one fixed shape (``samples_at_once`` of them, the last call
filled up by repeating): so a sample is the same to the bit alone, among others, and in any place.
Latents and the scheduler's sums are fp32 whatever the UNet's type.

Knows UNets, schedulers and conditions; knows no prompt, no face and no request.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limner.diffusion.adapter import Context, ImageTokens
from limner.diffusion.text import Said
from limner.errors import BrokenPicture

#: Pixels along a side of one latent's pixel, in every VAE of SD 1.5 and SDXL.
VAE_SCALE = 8
LATENT_CHANNELS = 4

#: Seeds are 32 bits; the next one after the last is the first.
SEEDS = 2**32


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
    it is silent, and not run; None never ends.
    """

    net: Any
    hint: Tensor
    strength: float
    reads: int | None
    steps: int | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """One picture's way from noise, shared by all samples of a request.

    ``negative`` is None where guidance is 1 or less: then nothing is computed against which to
    guide. ``strengths``: each adapter's, for the step it is asked for (0-based); 0 silences it.
    ``size``: (width, height) in pixels, multiples of 8.
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


@dataclass(frozen=True, eq=False, slots=True)
class Progress:
    """How far a task has come."""

    #: Share of the steps that are done, 0…1.
    done: float
    #: What the UNet believes the first sample will be, fp32 [1, 4, h/8, w/8] on the CPU.
    belief: Tensor


@torch.inference_mode()
def sample(
    unet: Any,
    scheduler: Callable[[], Any],
    task: Task,
    seeds: Sequence[int],
    samples_at_once: int,
) -> Generator[Progress, None, list[Tensor]]:
    """Yield after each step; return latents [1, 4, h/8, w/8] for each seed.

    ``scheduler`` makes a fresh diffusers scheduler: each sample has its own, with its own past.
    Raises BrokenPicture where the UNet's numbers stop being finite.
    """
    drawn = noise(seeds, task.size)
    generators = [generator for _, generator in drawn]
    own = [scheduler() for _ in seeds]
    for each in own:
        each.set_timesteps(task.steps)
    latents = [start * float(own[0].init_noise_sigma) for start, _ in drawn]
    call = _Call(unet, task, samples_at_once)
    for step, timestep in enumerate(own[0].timesteps):
        scaled = [
            each.scale_model_input(latent, timestep)
            for each, latent in zip(own, latents, strict=True)
        ]
        predicted = call(step, timestep, scaled)
        belief = _believed(own[0], predicted[0], timestep, latents[0])
        latents = [
            _advance(each, prediction, timestep, latent, generator)
            for each, prediction, latent, generator in zip(
                own, predicted, latents, generators, strict=True
            )
        ]
        yield Progress((step + 1) / task.steps, belief)
    if not all(bool(torch.isfinite(latent).all()) for latent in latents):
        raise BrokenPicture("The UNet's numbers are not finite.")
    return latents


@torch.inference_mode()
def resume(
    unet: Any, scheduler: Callable[[], Any], task: Task, draft: Draft, samples_at_once: int
) -> Generator[int, None, Tensor]:
    """Draw over what is there: yield each step's number when it is done, return latents.

    The steps are the schedule's last, with the numbers they have in it: SDEdit (Meng et al. 2021,
    arXiv 2108.01073), with the strength 1 - first / steps. ``scheduler`` takes no randomness of
    its own. Raises BrokenPicture where the UNet's numbers stop being finite.
    """
    own = scheduler()
    own.set_timesteps(task.steps)
    own.set_begin_index(draft.first)
    left = own.timesteps[draft.first :]
    latent = own.add_noise(draft.latent, draft.noise, left[:1])
    call = _Call(unet, task, samples_at_once)
    for step, timestep in enumerate(left, draft.first):
        predicted = call(step, timestep, [own.scale_model_input(latent, timestep)])
        latent = _advance(own, predicted[0], timestep, latent, None)
        yield step
    if not bool(torch.isfinite(latent).all()):
        raise BrokenPicture("The UNet's numbers are not finite.")
    return latent


def _advance(
    scheduler: Any,
    prediction: Tensor,
    timestep: Tensor,
    latent: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """One step of one sample, in fp32 on the CPU, with its own randomness where it takes any."""
    return scheduler.step(prediction, timestep, latent, generator=generator, return_dict=False)[
        0
    ].float()


def _believed(scheduler: Any, prediction: Tensor, timestep: Tensor, latent: Tensor) -> Tensor:
    """The latent without the noise that was predicted in it (Song et al. 2020, arXiv 2010.02502,
    equation 12's "predicted x0")."""
    signal = scheduler.alphas_cumprod[int(timestep)]
    return (latent - (1 - signal) ** 0.5 * prediction) / signal**0.5


class _Call:
    """Calls the UNet for all samples at a step, always in one shape."""

    def __init__(self, unet: Any, task: Task, samples_at_once: int) -> None:
        self._unet = unet
        self._task = task
        self._at_once = samples_at_once
        conditions = [task.positive] if task.negative is None else [task.negative, task.positive]
        to = {"device": unet.device, "dtype": unet.dtype}
        repeat = samples_at_once

        def rows(parts: Sequence[Tensor]) -> Tensor:
            """[1, …] of each condition → [conditions · samples, …]: negatives, then positives."""
            return torch.cat([part.to(**to).repeat_interleave(repeat, 0) for part in parts])

        self._text = rows([condition.said.states for condition in conditions])
        self._tokens = [
            rows([condition.tokens[number] for condition in conditions])
            for number in range(len(task.strengths))
        ]
        self._passes = len(conditions)
        controls = ((task.control,) if task.control else ()) + task.beside
        self._controls = [
            (control, rows([control.hint] * self._passes))
            for control in controls
            if control.strength
        ]
        pooled = [condition.said.pooled for condition in conditions]
        self._added: dict[str, Tensor] | None = None
        if all(each is not None for each in pooled):
            width, height = task.size
            ids = torch.tensor([[height, width, 0, 0, height, width]])
            self._added = {
                "text_embeds": rows([each for each in pooled if each is not None]),
                "time_ids": rows([ids] * self._passes),
            }

    def __call__(self, step: int, timestep: Tensor, latents: Sequence[Tensor]) -> list[Tensor]:
        """The guided prediction [1, 4, h, w], fp32 on the CPU, for each of the latents."""
        context = Context(self._text, self._images(step))
        predicted: list[Tensor] = []
        for first in range(0, len(latents), self._at_once):
            some = list(latents[first : first + self._at_once])
            full = some + [some[-1]] * (self._at_once - len(some))
            given = torch.cat(full * self._passes).to(self._unet.device, self._unet.dtype)
            at = timestep.to(self._unet.device)
            answer = self._unet(
                given,
                at,
                encoder_hidden_states=context,
                added_cond_kwargs=self._added,
                return_dict=False,
                **self._controlled(step, given, at),
            )[0]
            predicted += self._guided(answer)[: len(some)]
        return predicted

    def _controlled(self, step: int, given: Tensor, timestep: Tensor) -> dict[str, Any]:
        """What the ControlNets add to the UNet's own features, by diffusers' names."""
        summed: list[Tensor] = []
        for control, hint in self._controls:
            if control.steps is not None and step >= control.steps:
                continue
            reads = self._text if control.reads is None else self._tokens[control.reads]
            down, middle = control.net(
                given,
                timestep,
                encoder_hidden_states=reads,
                controlnet_cond=hint,
                conditioning_scale=control.strength,
                added_cond_kwargs=self._added,
                return_dict=False,
            )
            added = [*down, middle]
            summed = [x + y for x, y in zip(summed, added, strict=True)] if summed else added
        if not summed:
            return {}
        return {
            "down_block_additional_residuals": summed[:-1],
            "mid_block_additional_residual": summed[-1],
        }

    def _images(self, step: int) -> tuple[ImageTokens | None, ...]:
        images: list[ImageTokens | None] = []
        for tokens, strength_at in zip(self._tokens, self._task.strengths, strict=True):
            strength = strength_at(step)
            column = tokens.new_full((tokens.shape[0],), strength)
            images.append(ImageTokens(tokens, column) if strength else None)
        return tuple(images)

    def _guided(self, answer: Tensor) -> list[Tensor]:
        """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598)."""
        answer = answer.float().cpu()
        if self._passes == 1:
            return list(answer.split(1))
        negative, positive = answer.chunk(2)
        return list((negative + self._task.guidance * (positive - negative)).split(1))
