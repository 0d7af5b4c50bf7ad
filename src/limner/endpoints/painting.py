"""Drawing with the diffusion engine's networks, as a request tells of it, for every endpoint.

Knows what every engine needs, steps, previews and broken numbers; knows no endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.glimpse import glimpse, is_due
from limner.diffusion.holdings import Holdings
from limner.diffusion.machine import (
    Machine,
    as_many_threads_as_told,
    keep_compiled,
    this_machine,
)
from limner.diffusion.safety import Safety
from limner.diffusion.sampling import Decoded, Interval, Progress, is_within
from limner.endpoints.base import Step, Workshop
from limner.errors import BrokenPicture
from limner.sketch.instruments import Instruments
from limner.stages.preview import preview
from limner.stages.safety import SafetyChecker

#: Pixels along a side of the aligned face that CLIP looks at.
CROP = 224
#: Sides of pictures are multiples of this: of a latent's pixel.
GRID = 8

Drawn = TypeVar("Drawn")

#: What is to be seen after a step (1…) of what the sampler takes the picture for; None is nothing.
Seen = Callable[[int, Tensor], bytes | None]


def glimpses(steps: int, *, xl: bool, checked: SafetyChecker | None) -> Seen:
    """Previews of a drawing of so many steps, in SDXL's latents (``xl``) or in SD 1.5's.

    ``checked``: what must find them safe; None where the caller switched the check off.
    """

    def seen(number: int, belief: Tensor) -> bytes | None:
        return preview(glimpse(belief, xl=xl), checked) if is_due(number, steps) else None

    return seen


def guidance_told(interval: Interval, guidance: float, levels: Sequence[float]) -> Step:
    """In how many steps, at these noise levels, guidance acts."""
    if guidance <= 1:
        return Step("x_fast: there is no guidance to rest, it is 1 or less", 0.17, "WARN")
    number = sum(is_within(level, interval) for level in levels)
    where = f"where noise is above {interval[0]:g} and at most {interval[1]:g}"
    return Step(f"x_fast: guidance acts in {number} of {len(levels)} steps, {where}", 0.17)


@dataclass(frozen=True, eq=False, slots=True)
class Paintbox:
    """What an engine draws with: weights that are here, a device, and whose steps it shares."""

    holdings: Holdings
    machine: Machine
    denoiser: Denoiser
    safety: Safety
    instruments: Instruments


def set_up(workshop: Workshop) -> Paintbox:
    """A worker's paintbox; takes its process for itself."""
    torch.set_num_threads(workshop.threads)
    keep_compiled(workshop.networks.parent / "compiled")
    weights = workshop.weights or workshop.networks.parent / "weights"
    holdings = Holdings(weights, commercial=workshop.commercial)
    machine = this_machine(compile=workshop.compile)
    return Paintbox(
        holdings,
        machine,
        workshop.commons.of(Denoiser),
        Safety(holdings, machine),
        Instruments(workshop.networks, workshop.threads, workshop.may_fetch, workshop.index_url),
    )


@dataclass(frozen=True, eq=False, slots=True)
class Telling:
    """How the steps of a work are told."""

    name: str
    steps: int
    #: Where in the whole request the work begins and ends, 0…1.
    span: tuple[float, float]
    seen: Seen = lambda _number, _belief: None

    def of(
        self, work: Generator[Progress | Decoded | float, None, Drawn]
    ) -> Generator[Step, None, Drawn]:
        """Do the work, with a step for each of its own."""
        start, end = self.span
        number = 0
        while True:
            try:
                told = next(work)
            except StopIteration as last:
                return last.value
            if isinstance(told, Decoded):
                yield Step(f"Sample {told.number} of {told.of} decoded", end, "DEBUG")
                continue
            number += 1
            done, seen = (
                (told.done, self.seen(number, told.belief))
                if isinstance(told, Progress)
                else (told, None)
            )
            progress = start + (end - start) * done
            yield Step(f"{self.name} {number} of {self.steps}", progress, "DEBUG", seen)


def firmly(
    paint: Callable[[bool], Generator[Step, None, Drawn]],
    *,
    is_exact: bool,
    again: float | None = None,
) -> Generator[Step, None, Drawn]:
    """Painted in the machine's numbers; once more in fp32 if they broke.

    ``paint`` is told whether exactly. ``is_exact``: the machine's numbers are fp32 anyway.
    ``again``: how much is done when it begins once more, 0…1. Raises BrokenPicture.
    """
    as_many_threads_as_told()
    try:
        return (yield from paint(False))
    except BrokenPicture:
        if is_exact:
            raise
    yield Step("The numbers broke in half precision: drawn once more in fp32", again, "WARN")
    return (yield from paint(True))
