"""One picture on its way from noise, and a step that several of them take together.

A step does with every sample what its own sampler's table says, whatever the others' say: each
number is multiplied and added for itself, in fp64, and kept in fp32. Noise is drawn on the CPU in
the order in which diffusers draws it, so a seed means the same on every machine.

Knows tables, rows and tasks; knows no network, no thread and no request.
"""

# torch's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limner.diffusion.denoiser.bucket import Asked
from limner.diffusion.denoiser.coefficients import Coefficients, Sum
from limner.diffusion.denoiser.reading import Row
from limner.diffusion.denoiser.sending import sent
from limner.diffusion.sampling import Task


@dataclass(eq=False, slots=True)
class Sample:
    """What is the sample's own; the rest is its task's.

    ``latent`` and ``picture`` (what the sampler took it for at the step before) are fp32
    [1, 4, h, w] on the network's device. ``taken`` steps of the table are behind it, of which the
    device is done with ``heard``, and they were sound.
    """

    task: Task
    table: Coefficients
    #: All it ever has: the positive's, after the negative's where the task is guided.
    rows: tuple[Row, ...]
    latent: Tensor
    generator: torch.Generator
    picture: Tensor
    taken: int = 0
    heard: int = 0
    _fresh: Tensor | None = None

    @property
    def done(self) -> bool:
        """Whether no step is left to take."""
        return self.taken == len(self.table)

    @property
    def finished(self) -> bool:
        """Whether the latent is what it was to become."""
        return self.heard == len(self.table)

    @property
    def step(self) -> int:
        """The number of the next step, counted from noise."""
        return self.table.first + self.taken

    def asked(self) -> list[Asked]:
        """Its rows at the next step."""
        latent = self.latent * self._sum.scale
        timestep = self.table.timesteps[self.taken]
        strengths = tuple(strength(self.step) for strength in self.task.strengths)
        lending = tuple(control.at(self.step) for control in self.task.controls)
        rows = self.rows_at(self.step)
        return [Asked(row, latent, timestep, strengths, lending) for row in rows]

    def rows_at(self, step: int) -> tuple[Row, ...]:
        """Its rows at a step, counted from noise: the positive's alone where guidance rests."""
        level = self.table.levels[step - self.table.first]
        return self.rows if self.task.is_guided(level) else self.rows[-1:]

    @property
    def _sum(self) -> Sum:
        return self.table.sums[self.taken]

    def numbers(self) -> list[float]:
        """The table's row for the next step: four for the latent, two for the picture."""
        return [*self._sum.latent, *self._sum.picture]

    def noise(self) -> Tensor:
        """The next step's noise, the generator's next numbers; zeros if the sampler takes none.

        It stays the same until the step is taken, however often that is tried.
        """
        if self._fresh is None:
            self._fresh = torch.zeros_like(self.latent)
            if self.table.draws:
                drawn = torch.randn(self.latent.shape, generator=self.generator)
                self._fresh.copy_(sent(drawn, self.latent.device))
        return self._fresh

    def become(self, latent: Tensor, picture: Tensor) -> None:
        """Take the step."""
        self.latent, self.picture = latent, picture
        self._fresh = None
        self.taken += 1


class Verdict:
    """Whose numbers are finite after a step; asked for later, it does not hold the device up."""

    def __init__(self, samples: Sequence[Sample], finite: Tensor) -> None:
        """``finite`` [b], on the samples' device."""
        self._samples = samples
        self._finite = finite.to("cpu", non_blocking=True)
        self._known: torch.cuda.Event | None = None
        if finite.is_cuda:
            self._known = torch.cuda.Event()
            self._known.record()

    @property
    def is_known(self) -> bool:
        """Whether hearing it costs no waiting."""
        return self._known is None

    def hear(self) -> list[Sample]:
        """The samples that are broken; to the others the step counts. Waits for the device."""
        if self._known is not None:
            self._known.synchronize()
        broken: list[Sample] = []
        for sample, finite in zip(self._samples, self._finite, strict=True):
            if finite:
                sample.heard += 1
            else:
                broken.append(sample)
        return broken


@torch.inference_mode()
def advance(samples: Sequence[Sample], predictions: Sequence[Sequence[Tensor]]) -> Verdict:
    """Take a step with every sample; say later whose numbers are still finite.

    ``predictions``: of each sample's rows.
    """
    guided = torch.cat(
        [_guided(sample, rows) for sample, rows in zip(samples, predictions, strict=True)]
    )
    latent = torch.cat([sample.latent for sample in samples]).double()
    before = torch.cat([sample.picture for sample in samples]).double()
    noise = torch.cat([sample.noise() for sample in samples]).double()
    told = torch.tensor([sample.numbers() for sample in samples], dtype=torch.float64)
    a, b, c, d, e, f = sent(told, latent.device).view(-1, 6, 1, 1, 1).unbind(1)
    predicted = guided.double()
    following = (a * latent + b * predicted + c * before + d * noise).float()
    picture = (e * latent + f * predicted).float()
    verdict = Verdict(samples, torch.isfinite(following).flatten(1).all(1))
    for at, sample in enumerate(samples):
        sample.become(following[at : at + 1], picture[at : at + 1])
    return verdict


def _guided(sample: Sample, rows: Sequence[Tensor]) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598), in fp32."""
    if len(rows) == 1:
        return rows[0].float()
    negative, positive = (row.float() for row in rows)
    return negative + sample.task.guidance * (positive - negative)
