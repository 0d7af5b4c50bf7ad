"""Looking at latents on their way; that nobody's picture changes by it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limner.diffusion.denoiser.coefficients import coefficients
from limner.diffusion.glimpse import GLIMPSES, glimpse, is_due
from limner.diffusion.schedules import ddim, dpm_2m_sde_karras
from tests.diffusion.test_endpoint import drawn_by, engine, home

__all__ = ["engine", "home"]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 20, 50, 200])
def test_it_is_looked_at_equal_distances_and_never_after_the_last_step(steps: int) -> None:
    due = [step for step in range(1, steps + 1) if is_due(step, steps)]
    assert len(due) == min(GLIMPSES, steps - 1)
    assert steps not in due
    if steps > GLIMPSES:
        gaps = np.diff([0, *due, steps])
        assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("make", [ddim, dpm_2m_sde_karras])
@pytest.mark.parametrize("place", [0, 7, 18])
def test_the_belief_is_what_diffusers_takes_the_picture_to_be(make: Any, place: int) -> None:
    """DDIM answers with its ``pred_original_sample``; DPM++ converts the prediction to it."""
    scheduler = make()
    scheduler.set_timesteps(20)
    timestep = scheduler.timesteps[place]
    chance = torch.Generator().manual_seed(place)
    latent, prediction = (torch.randn(1, 4, 8, 8, generator=chance) for _ in range(2))
    a, b = coefficients(make, 20).sums[place].picture
    believed = a * latent + b * prediction
    if make is ddim:
        expected = scheduler.step(prediction, timestep, latent).pred_original_sample
    else:
        scheduler._init_step_index(timestep)
        expected = scheduler.convert_model_output(prediction, sample=latent)
    assert torch.allclose(believed, expected, rtol=1e-5, atol=1e-5)


def test_a_brighter_latent_is_a_brighter_glimpse_in_both_spaces() -> None:
    """The first channel is lightness in both (the published factors are all positive)."""
    dark, bright = torch.zeros(1, 4, 6, 9), torch.zeros(1, 4, 6, 9)
    bright[:, 0] = 1
    for xl in (False, True):
        seen = [glimpse(latent, xl=xl) for latent in (dark, bright)]
        assert seen[0].shape == (6, 9, 3)
        assert (seen[0] == 128).all()
        assert (seen[1] > seen[0]).all()


def test_broken_numbers_are_black_and_no_fault() -> None:
    assert not glimpse(torch.full((1, 4, 2, 2), torch.nan), xl=False).any()


def test_a_drawing_shows_how_far_it_is(engine: Any) -> None:
    drawn = drawn_by(engine, num_inference_steps=5, width=64, height=96)
    seen = [step for step in drawn.steps if step.preview is not None]
    assert [step.message for step in seen] == [f"Step {n} of 5" for n in (1, 2, 3, 4)]
    picture = Image.open(io.BytesIO(seen[-1].preview or b""))
    assert (picture.format, picture.size) == ("WEBP", (8, 12))
