"""The promise: a request's latents are the same to the bit, whatever else is drawn and when."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from limner.diffusion.denoiser.network import Network
from tests.diffusion.denoiser.small import SAMPLERS, Request, networks
from tests.diffusion.denoiser.stage import alone, denoiser, equal, latents, together

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@st.composite
def mixed(draw: st.DrawFn) -> tuple[Request, ...]:
    """Two to five requests that differ in everything, and whose seeds tell them apart."""
    number = draw(st.integers(2, 5))
    return tuple(draw(one(seed=10 * at)) for at in range(number))


@st.composite
def one(draw: st.DrawFn, seed: int) -> Request:
    steps = draw(st.integers(1, 4))
    return Request(
        family=draw(st.sampled_from(["sd15", "sdxl"])),
        sampler=draw(st.sampled_from(sorted(SAMPLERS))),
        steps=steps,
        guidance=draw(st.sampled_from([1.0, 2.5, 7.5])),
        interval=draw(st.none() | st.sampled_from([(0.28, 5.42), (5.42, 99.0), (0.0, 0.28)])),
        seeds=tuple(range(seed, seed + draw(st.integers(1, 3)))),
        strengths=(draw(st.sampled_from([0.0, 0.4, 1.0])), draw(st.sampled_from([0.0, 0.7]))),
        window=draw(st.integers(0, steps)),
        control=draw(st.sampled_from([0.0, 0.3, 0.9])),
        control_window=draw(st.none() | st.integers(0, steps)),
        beside=draw(st.sampled_from([0.0, 0.0, 0.4])),
        size=draw(st.sampled_from([(64, 64), (72, 120)])),
        words=draw(st.integers(0, 2)),
        chunks=draw(st.sampled_from([1, 1, 2])),
        caller=draw(st.sampled_from(["a", "b"])),
        arrives=draw(st.integers(0, 12)),
    )


def test_a_second_controlnet_is_heard_by_whoever_has_it_and_changes_no_others_bits() -> None:
    both = Request(steps=4, control=0.5, beside=0.4)
    one, other = dataclasses.replace(both, beside=0.0), Request(steps=4, beside=0.4, words=1)
    none = Request(steps=4, seeds=(2,), words=2)
    requests = [one, both, other, none]
    for request, own in zip(requests, together(requests, 8), strict=True):
        assert equal(own, alone(request, 8))
    assert not equal(alone(both, 8), alone(one, 8))


@functools.cache
def _alone(request: Request, places: int | None) -> list[Tensor]:
    return alone(request, places)


def drawn_alone(request: Request, places: int | None) -> list[Tensor]:
    """Without company, whoever it is for and whenever it comes."""
    return _alone(dataclasses.replace(request, caller="", arrives=0), places)


@pytest.mark.parametrize("places", [None, 4])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests=mixed())
def test_latents_are_the_same_to_the_bit_in_any_company_and_order(
    places: int | None, requests: tuple[Request, ...]
) -> None:
    for request, own in zip(requests, together(requests, places), strict=True):
        assert equal(own, drawn_alone(request, places))


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As a server computes that has two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_on_a_cpu_it_holds_with_two_threads_too() -> None:
    """A sample a call: in calls of four, products of two threads round a row by where it stands."""
    requests = [
        Request(arrives=0, steps=4, seeds=(1, 2), control=0.5),
        Request(arrives=2, steps=3, seeds=(3,), sampler="euler_ancestral", guidance=1.0, words=1),
        Request(arrives=3, steps=5, seeds=(4,), sampler="dpm_2m_sde_karras", size=(72, 120)),
        Request("sdxl", arrives=3, steps=3, seeds=(5, 6), control=0.7, window=1, caller="b"),
        Request("sdxl", arrives=5, steps=4, seeds=(7,), size=(72, 120), sampler="dpm_2m"),
    ]
    for request, own in zip(requests, together(requests, None), strict=True):
        assert equal(own, alone(request, None))


@pytest.mark.parametrize("places", [2, 4, 8])
def test_a_row_is_the_same_to_the_bit_in_every_place(places: int) -> None:
    """All rows of one request, and another's between them, so that each sits in turn elsewhere."""
    own = Request(seeds=(1,), steps=3, control=0.5, caller="a")
    for others in range(1, places // 2 + 1):
        before = Request(seeds=tuple(range(20, 20 + others)), steps=4, words=1, caller="b")
        late = dataclasses.replace(own, arrives=2)
        assert equal(together([before, late], places)[1], alone(own, places))


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_weights_that_lie_anywhere_in_a_file_draw_the_same_to_the_bit(guidance: float) -> None:
    """Mapped from a file they may begin between two cache lines: then sums of one row differ."""
    request = Request(steps=2, guidance=guidance)
    odd = copy.deepcopy(networks("sd15").network.net)
    for parameter in odd.parameters():
        room = torch.empty(parameter.numel() + 1)
        room[1:] = parameter.flatten()
        parameter.data = room[1:].view(parameter.shape)
    work = dataclasses.replace(request.work(), network=Network(odd))
    assert equal(latents(denoiser(None).draw(work, request.seeds)), drawn_alone(request, None))
