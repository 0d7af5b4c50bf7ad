"""A denoiser whose arrivals happen at exact calls of the network, so that a test repeats them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.denoiser.job import Job
from limner.diffusion.sampling import Progress
from tests.diffusion.denoiser.small import Request, networks


def denoiser(places: int | None) -> Denoiser:
    """One with so many places in every call; None: with as many as a server's have here."""
    return Denoiser() if places is None else Denoiser(lambda *_: places)


@contextmanager
def at_every_call(tell: Callable[[], None], families: Collection[str]) -> Iterator[None]:
    """Run something before each call of the families' UNets, in the denoising thread."""

    def hook(*_: Any) -> None:
        tell()

    unets = [networks(family).network.net for family in families]
    hooks = [unet.conv_in.register_forward_pre_hook(hook) for unet in unets]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def latents(steps: Generator[Progress, None, list[Tensor]]) -> list[Tensor]:
    """What a job returns in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def alone(request: Request, places: int | None) -> list[Tensor]:
    return latents(denoiser(places).draw(request.work(), request.seeds))


def together(requests: Sequence[Request], places: int | None) -> list[list[Tensor]]:
    """Each request's latents, when they arrive at the calls that they say, first come first."""
    ours = denoiser(places)
    waiting = sorted(requests, key=lambda request: request.arrives)
    jobs: dict[Request, Job] = {}
    call = 0

    def let_in() -> None:
        request = waiting.pop(0)
        jobs[request] = ours.begin(request.work(), request.seeds)

    def arrive() -> None:
        nonlocal call
        call += 1
        while waiting and waiting[0].arrives <= call:
            let_in()

    drawn: dict[Request, list[Tensor]] = {}
    with at_every_call(arrive, {request.family for request in requests}):
        while waiting:
            let_in()  # nothing is computed now, so nobody else lets anybody in
            while len(drawn) < len(jobs):
                # Copied whole first: others are let in while it is gone through.
                for request in [each for each in tuple(jobs) if each not in drawn]:
                    drawn[request] = latents(jobs[request].follow())
    return [drawn[request] for request in requests]


def rest(ours: Denoiser) -> None:
    """Until it has nothing left to do."""
    while ours._thread is not None:
        time.sleep(0.01)


def equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    """Bit for bit."""
    return len(ours) == len(theirs) and all(
        torch.equal(one, other) for one, other in zip(ours, theirs, strict=True)
    )
