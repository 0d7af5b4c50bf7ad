"""Guidance in an interval of noise levels: outside of it a sample is one row and costs as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from torch import Tensor

from limner.diffusion.denoiser.buckets import row_cost
from tests.diffusion.denoiser.small import SAMPLERS, Request, networks
from tests.diffusion.denoiser.stage import alone, denoiser, equal, latents, together
from tests.diffusion.denoiser.stock import distance, level, stock_latents

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

#: The published one for SDXL (Kynkäänniemi et al. 2024, section 4): no end of it is a step's level.
MIDDLE = (0.28, 5.42)


@contextmanager
def rows_of_calls(family: str) -> Iterator[list[int]]:
    """How many rows each call of the UNet had places for."""
    seen: list[int] = []

    def look(_: object, given: tuple[Tensor]) -> None:
        seen.append(len(given[0]))

    handle = networks(family).network.net.conv_in.register_forward_pre_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_batch_of_every_sampler_draws_what_diffusers_draws_with_guidance_now_and_then(
    family: str,
) -> None:
    requests = [
        Request(family, sampler=name, steps=5, seeds=(at,), words=at, control=0.2 * at,
                interval=MIDDLE, arrives=at)
        for at, name in enumerate(SAMPLERS)
    ]  # fmt: skip
    usual = Request(family, steps=4, seeds=(9,), words=7, arrives=2)
    drawn = together([*requests, usual], 4)
    for request, own in zip([*requests, usual], drawn, strict=True):
        assert distance(own, stock_latents(request)) < 1e-5
        assert equal(own, alone(request, 4))
    everywhere = stock_latents(dataclasses.replace(requests[0], interval=None))
    assert distance(drawn[0], everywhere) > 1e-4


def test_an_interval_that_holds_every_level_changes_no_bit() -> None:
    request = Request(steps=6, seeds=(1, 2), sampler="dpm_2m_sde_karras")
    everywhere = dataclasses.replace(request, interval=(0.0, 100.0))
    for places in (None, 4):
        assert equal(alone(everywhere, places), alone(request, places))


def test_an_interval_that_holds_none_is_drawing_without_guidance() -> None:
    """In calls of half the places: the same but for rounding where that decides about kernels."""
    request = Request(steps=4, interval=(50.0, 100.0))
    unguided = Request(steps=4, guidance=1.0)
    assert equal(alone(request, None), alone(unguided, None))
    assert distance(alone(request, 4), alone(unguided, 4)) < 1e-5


@pytest.mark.parametrize(("places", "whole", "half"), [(None, 2, 1), (8, 8, 4), (2, 2, 1)])
def test_without_its_twin_a_sample_is_computed_in_calls_of_half_the_places(
    places: int | None, whole: int, half: int
) -> None:
    request = Request(steps=8, interval=MIDDLE)
    with rows_of_calls("sd15") as seen:
        alone(request, places)
    timesteps = [1 + 125 * at for at in reversed(range(8))]  # DDIM's
    inside = [MIDDLE[0] < level(timestep) <= MIDDLE[1] for timestep in timesteps]
    assert 0 < sum(inside) < 8
    assert seen == [whole if guided else half for guided in inside]


def test_the_first_number_is_outside_and_the_second_inside() -> None:
    task = Request(interval=MIDDLE).task(None)
    assert [task.is_guided(level) for level in (0.28, 0.29, 5.42, 5.43)] == [
        False,
        True,
        True,
        False,
    ]
    assert not dataclasses.replace(task, negative=None).is_guided(1.0)


def test_what_is_charged_is_one_row_where_guidance_rests() -> None:
    ours, request = denoiser(4), Request(steps=8, interval=MIDDLE)
    latents(ours.draw(request.work(), request.seeds))
    rows = sum(1 + (MIDDLE[0] < level(1 + 125 * at) <= MIDDLE[1]) for at in range(8))
    done = ours._fairness._done  # pyright: ignore[reportPrivateUsage]
    assert done == pytest.approx(rows * row_cost(request.size, 0, xl=False))
    assert (ours.meter.pace.rows, ours.meter.pace.steps) == (rows, 8)


def test_a_picture_that_is_drawn_over_goes_by_the_levels_of_its_own_steps() -> None:
    request = Request(sampler="euler", steps=10, first=5, interval=(0.4, 0.8))
    steps = denoiser(4).resume(request.work(), request.draft())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            own: Tensor = end.value
            break
    assert distance([own], stock_latents(request)) < 1e-5
    assert distance([own], stock_latents(dataclasses.replace(request, interval=None))) > 1e-4
