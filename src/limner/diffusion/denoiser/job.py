"""A request as the denoiser has it: what it is drawn with, and what is heard of it.

Knows samples; knows no thread, no turn and no prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from torch import Tensor

from limner.diffusion.denoiser.network import Network
from limner.diffusion.denoiser.sample import Sample
from limner.diffusion.sampling import Progress, Task

#: A step that all samples have taken, the latents in the end, or what went wrong.
Heard = Progress | list[Tensor] | BaseException


@dataclass(frozen=True, eq=False)
class Work:
    """What a picture is drawn with. ``scheduler`` makes a fresh diffusers scheduler.

    ``caller``: whose share of the device it uses.
    """

    network: Network
    scheduler: Callable[[], Any]
    task: Task
    caller: str = ""


@dataclass(eq=False, slots=True)
class Job:
    """One request's samples on their way, and what is heard of them."""

    work: Work
    samples: Sequence[Sample]
    #: Nobody waits for it any more: it is done, has failed, or was given up.
    over: bool = False
    _told: int = 0
    _heard: SimpleQueue[Heard] = field(default_factory=SimpleQueue[Heard])

    def follow(self) -> Generator[Progress, None, list[Tensor]]:
        """Yield when all samples have taken a step; return their fp32 latents.

        Closing it gives the job up within a step. Raises what went wrong with it.
        """
        try:
            while True:
                match self._heard.get():
                    case Progress() as progress:
                        yield progress
                    case BaseException() as fault:
                        raise fault
                    case latents:
                        return latents
        finally:
            self.over = True

    def tell(self) -> None:
        """Tell what is new. For the denoiser."""
        first = self.samples[0]
        while self._told < min(sample.heard for sample in self.samples):
            self._told += 1
            self._heard.put(Progress(self._told / len(first.table), first.picture))
        if all(sample.finished for sample in self.samples):
            self._heard.put([sample.latent.cpu() for sample in self.samples])
            self.over = True

    def fail(self, fault: BaseException) -> None:
        """Tell that there will be no picture. For the denoiser."""
        self._heard.put(fault)
        self.over = True
