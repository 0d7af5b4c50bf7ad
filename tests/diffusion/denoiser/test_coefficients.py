"""A sampler's table takes the same way as diffusers' scheduler that it was made by."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limner.diffusion.denoiser.coefficients import Coefficients, coefficients
from tests.diffusion.denoiser.small import SAMPLERS
from tests.diffusion.denoiser.stock import level

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MIXING = torch.randn(4, 4, generator=torch.Generator().manual_seed(2)) * 0.5


def predicted(given: Tensor, timestep: float) -> Tensor:
    """Stands for a UNet: it depends on all it is given, and is not linear."""
    mixed = torch.einsum("ij,bjhw->bihw", MIXING.to(given), given)
    return torch.tanh(mixed) + timestep / 1000


def noise(seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(1, 4, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def by_scheduler(name: str, steps: int, first: int, start: Tensor) -> Tensor:
    """diffusers' own object, stepping itself and drawing its own noise."""
    scheduler = SAMPLERS[name]()
    scheduler.set_timesteps(steps)
    if first and name != "ddim":
        scheduler.set_begin_index(first)
    generator = torch.Generator().manual_seed(1)
    told = {} if name == "ddim" else {"generator": generator}
    latent = start
    for timestep in scheduler.timesteps[first:]:
        answer = predicted(scheduler.scale_model_input(latent, timestep), float(timestep))
        latent = scheduler.step(answer, timestep, latent, **told).prev_sample
    return latent


def by_table(name: str, table: Coefficients, start: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    # DPM++ draws in fp32 whatever it is asked in.
    drawn_in = torch.float32 if name.startswith("dpm") else start.dtype
    latent, before = start.double(), torch.zeros_like(start).double()
    for timestep, (scale, (a, b, c, d), (e, f)) in zip(table.timesteps, table.sums, strict=True):
        answer = predicted((latent * scale).to(start), timestep).double()
        fresh = torch.zeros_like(latent)
        if table.draws:
            fresh = torch.randn(start.shape, generator=generator, dtype=drawn_in).double()
        following = a * latent + b * answer + c * before + d * fresh
        before = (e * latent + f * answer).to(start).double()
        latent = following.to(start).double()
    return latent.to(start)


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("steps", [5, 20, 50])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_table_takes_the_schedulers_whole_way(name: str, steps: int, first: int) -> None:
    """To fp32's rounding: 50 steps of it add up to less than 1e-6 of the latents."""
    table = coefficients(SAMPLERS[name], steps, first)
    start = noise(5, torch.float32) * table.start
    expected = by_scheduler(name, steps, first, start)
    error = (by_table(name, table, start) - expected).norm() / expected.norm()
    assert error < 1e-6


def test_in_fp64_ddims_table_is_ddim_to_fp64s_rounding() -> None:
    """The others compute in fp32 whatever they are given; this one shows the table adds nothing."""
    table = coefficients(SAMPLERS["ddim"], 50)
    start = noise(5, torch.float64)
    expected = by_scheduler("ddim", 50, 0, start)
    assert (by_table("ddim", table, start) - expected).norm() / expected.norm() < 1e-14


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_way_that_begins_with_a_picture_begins_as_diffusers_lays_noise_over_it(name: str) -> None:
    table = coefficients(SAMPLERS[name], 20, 16)
    scheduler = SAMPLERS[name]()
    scheduler.set_timesteps(20)
    if name != "ddim":
        scheduler.set_begin_index(16)
    picture, fresh = noise(1, torch.float32), noise(2, torch.float32)
    expected = scheduler.add_noise(picture, fresh, scheduler.timesteps[16:17])
    a, b = table.laid_over
    torch.testing.assert_close(a * picture + b * fresh, expected, atol=1e-6, rtol=1e-6)
    assert len(table) == 4


def test_only_samplers_that_take_randomness_draw_it() -> None:
    draws = {name: coefficients(SAMPLERS[name], 4).draws for name in SAMPLERS}
    assert [name for name, drawn in draws.items() if drawn] == [
        "dpm_2m_sde_karras",
        "euler_ancestral",
        "lcm",
    ]


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("name", SAMPLERS)
def test_levels_are_those_of_the_training_at_each_timestep(name: str, first: int) -> None:
    """Karras' levels are what they are, and their timesteps rounded to whole ones."""
    table = coefficients(SAMPLERS[name], 20, first)
    assert len(table.levels) == len(table.timesteps) == 20 - first
    room = 0.5 if "karras" in name else 0.01
    for timestep, own in zip(table.timesteps, table.levels, strict=True):
        least, most = level(max(timestep - room, 0)), level(min(timestep + room, 999))
        assert least * (1 - 1e-4) <= own <= most * (1 + 1e-4)
