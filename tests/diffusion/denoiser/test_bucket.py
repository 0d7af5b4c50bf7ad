"""One call equals diffusers' own, row by row, and computes nothing twice that it need not."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.diffusion.denoiser.bucket import Asked, Bucket
from limner.diffusion.denoiser.coefficients import coefficients
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.denoiser.network import Network
from limner.diffusion.denoiser.reading import Row, rows_of
from limner.diffusion.denoiser.sample import Sample
from tests.diffusion.denoiser.small import SAMPLERS, Request, networks
from tests.diffusion.denoiser.stage import latents
from tests.diffusion.denoiser.stock import distance, stock_latents, stock_predictions

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FAMILIES = ("sd15", "sdxl")


def latent(seed: int, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 4, size[1] // 8, size[0] // 8, generator=generator).double()


def asked(
    request: Request, step: int, timestep: float, dtype: torch.dtype = torch.float64
) -> list[Asked]:
    """The request's rows at a step."""
    work = request.work(dtype)
    strengths = tuple(strength(step) for strength in work.task.strengths)
    lending = tuple(control.at(step) for control in work.task.controls)
    given = latent(step, request.size).to(dtype)
    return [
        Asked(row, given, timestep, strengths, lending) for row in rows_of(work.network, work.task)
    ]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(64, 64), (72, 120)])
def test_a_call_of_mixed_rows_equals_diffusers_own_forward_to_fp64s_rounding(
    family: str, size: tuple[int, int]
) -> None:
    """So each saving is exact: keys and values, the view of the ControlNet's picture, embedded
    times and words made once and alone; closed windows not run; sides that are no multiples."""
    requests = [
        (Request(family, size=size, control=0.8, words=1), 0, 981.0),
        (Request(family, size=size, control=0.5, words=2, window=1), 2, 301.5),
        (Request(family, size=size, control=0.7, words=3, control_window=2), 3, 1.0),
        (Request(family, size=size, strengths=(0.0, 0.6), guidance=1.0, words=4), 1, 44.0),
    ]
    rows = [asked(*each) for each in requests]
    bucket = Bucket(networks(family, torch.float64).network, 8)
    answers = iter(bucket([row for of_one in rows for row in of_one]))
    for (request, step, timestep), of_one in zip(requests, rows, strict=True):
        own = torch.cat([next(answers) for _ in of_one])
        at = step, torch.tensor(timestep)
        expected = stock_predictions(request, latent(step, request.size), at)
        torch.testing.assert_close(own, expected, atol=1e-12, rtol=1e-12)


@contextmanager
def counted(*modules: nn.Module) -> Iterator[Counter[str]]:
    """How often each module is called."""
    calls: Counter[str] = Counter()

    def count(module: nn.Module, *_: Any) -> None:
        calls[names[module]] += 1

    names = {module: str(at) for at, module in enumerate(modules)}
    hooks = [module.register_forward_pre_hook(count) for module in modules]
    yield calls
    for hook in hooks:
        hook.remove()


def finished(request: Request) -> list[Tensor]:
    return latents(Denoiser().draw(request.work(), request.seeds))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_read_at_every_step_is_computed_once(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets = networks(family)
    unet, control = nets.network.net, nets.controller.net
    attention = unet.mid_block.attentions[0].transformer_blocks[0].attn2
    its_own = control.mid_block.attentions[0].transformer_blocks[0].attn2
    products: Counter[int] = Counter()

    def count(given: Tensor, weight: Tensor, *bias: Tensor | None) -> Tensor:
        products[weight.data_ptr()] += 1
        return product(given, weight, *bias)

    product = functional.linear
    monkeypatch.setattr("limner.diffusion.adapter.functional.linear", count)
    with counted(attention.to_q, control.controlnet_cond_embedding.conv_in) as calls:
        finished(Request(family, steps=5, control=0.5, seeds=(1, 2)))
    rows, steps, seeds = 2, 5, 2
    assert calls == {"0": steps * seeds, "1": 1}, "a guided pair is one call"
    for own in (attention.to_k, attention.to_v, its_own.to_k, its_own.to_v):
        assert products[own.weight.data_ptr()] == rows


def test_a_timestep_is_embedded_once_for_all_rows_and_requests() -> None:
    embedding = networks("sd15").network.net.time_embedding
    odd = Request(steps=7, sampler="euler")
    finished(odd)
    with counted(embedding) as calls:
        finished(odd)
        finished(Request(steps=7, sampler="euler", words=5, guidance=1.0))
    assert not calls


def test_of_timesteps_that_never_end_few_embeddings_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Euler's timesteps are other fractions for every number of steps."""
    monkeypatch.setattr("limner.diffusion.denoiser.network.MOST_TIMES", 3)
    network = Network(copy.deepcopy(networks("sd15").network.net))
    first = network.embed_time(0.5)
    for number in range(9):
        network.embed_time(number / 7)
    assert len(network._times) == 3
    assert torch.equal(network.embed_time(0.5), first)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_closed_window_is_not_run(family: str) -> None:
    control = networks(family).controller.net
    with counted(control.conv_in) as calls:
        finished(Request(family, steps=5, control=0.5, control_window=2))
        finished(Request(family, steps=5, control=0.0))
    assert calls == {"0": 2}


def test_an_adapters_closed_window_costs_no_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[int] = Counter()
    attend = nn.functional.scaled_dot_product_attention

    def count(query: Tensor, key: Tensor, value: Tensor, **told: Any) -> Tensor:
        calls[key.shape[2]] += 1
        return attend(query, key, value, **told)

    monkeypatch.setattr("limner.diffusion.adapter.functional.scaled_dot_product_attention", count)
    size = 72, 120  # of which no level has as many pixels as an adapter has tokens
    finished(Request(steps=5, window=2, strengths=(0.0, 1.0), guidance=1.0, size=size))
    layers = len(rows_of(Request().work().network, Request().work().task)[0].unet.layers)
    # The adapters have 4 and 16 tokens: the first is silent, the second acts in two steps.
    assert (calls[4], calls[16]) == (0, 2 * layers)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_drawing_equals_diffusers_own_in_fp32(family: str) -> None:
    request = Request(family, control=0.8, control_window=3, window=2, seeds=(1, 2), steps=5)
    assert distance(finished(request), stock_latents(request)) < 1e-5


def test_on_a_cpu_a_call_is_one_sample_whose_rows_always_stand_in_the_same_order() -> None:
    """What a row's bits are there depends on where it stands, and beside whom."""
    network, ours = networks("sd15").network, Denoiser()
    calls, seated = Counter[int](), set[tuple[Row | None, ...]]()

    def look(_: nn.Module, given: tuple[Tensor]) -> None:
        calls[len(given[0])] += 1
        seated.update(tuple(each._sitting) for each in ours._buckets[network].values())

    hook = network.net.conv_in.register_forward_pre_hook(look)
    requests = [
        Request(steps=3, seeds=(1, 2)),
        Request(steps=3, seeds=(3,), caller="b"),
        Request(steps=3, seeds=(4,), guidance=1.0, caller="c"),
    ]
    jobs = [ours.begin(request.work(), request.seeds) for request in requests]
    for job in jobs:
        latents(job.follow())
    hook.remove()
    assert calls == {2: 3 * 3, 1: 3}
    assert {rows for rows in seated if any(rows)} == {job.samples[0].rows for job in jobs}


@pytest.mark.parametrize("copies", [0, 1, 5, 20, 60])
def test_a_row_that_could_not_be_seated_is_seated_by_the_next_call(
    copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it reads lay half over what another reads, as when memory ran out."""
    network = networks("sd15", torch.float64).network
    before, own = (asked(Request(control=0.5, words=words), 0, 500.0) for words in (0, 1))
    expected = Bucket(network, 2)(own)
    bucket, copy, left = Bucket(network, 2), Tensor.__setitem__, iter(range(copies))
    bucket(before)

    def until_memory_is_out(tensor: Tensor, place: Any, value: Any) -> None:
        if next(left, None) is None:
            raise torch.OutOfMemoryError
        copy(tensor, place, value)

    with monkeypatch.context() as patched, pytest.raises(torch.OutOfMemoryError):
        patched.setattr(Tensor, "__setitem__", until_memory_is_out)
        bucket(own)
    for answer, right in zip(bucket(own), expected, strict=True):
        assert torch.equal(answer, right)


def test_what_a_broken_row_left_in_its_place_is_none_of_the_next_ones() -> None:
    """It goes on lying there where a ControlNet is run for another place alone."""
    network = networks("sd15", torch.float64).network
    burst, plain, other = (
        asked(Request(control=control, words=words), 0, 500.0)[0]
        for words, control in enumerate((0.5, 0.0, 0.5))
    )
    controls = [
        (net, dataclasses.replace(own, seen=torch.full_like(own.seen, torch.inf)))
        for net, own in burst.row.controls
        if own.seen is not None
    ]
    burst = dataclasses.replace(burst, row=dataclasses.replace(burst.row, controls=(*controls,)))
    bucket = Bucket(network, 2)
    assert not torch.isfinite(bucket([burst])[0]).all()
    for own, right in zip(bucket([plain, other]), Bucket(network, 2)([plain, other]), strict=True):
        assert torch.isfinite(right).all()
        assert torch.equal(own, right)


def test_a_steps_noise_is_drawn_once_however_often_the_step_is_tried() -> None:
    table, zeros = coefficients(SAMPLERS["euler_ancestral"], 3), torch.zeros(1, 4, 2, 2)
    generator = torch.Generator().manual_seed(1)
    sample = Sample(Request().work().task, table, (), zeros, generator, zeros)
    first = sample.noise()
    assert torch.equal(sample.noise(), first)
    sample.become(zeros, zeros)
    assert not torch.equal(sample.noise(), first)
