"""The words, the way and the pixels: what they keep, and what they do when numbers break."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from limner.diffusion.clip_image import ClipVision
from limner.diffusion.decode import decode
from limner.diffusion.denoiser.job import Work
from limner.diffusion.load import load_base
from limner.diffusion.sampling import Condition, Task, constant, noise
from limner.diffusion.schedules import ddim, steps_until
from limner.diffusion.text import TextEncoder, say
from limner.errors import BrokenPicture
from tests.diffusion import tiny
from tests.diffusion.conftest import MACHINE, Open, open_type

# diffusers' DPM++ turns tensors into arrays in a way that numpy 2 will drop.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def encoder(weights: Path) -> TextEncoder:
    return load_base(weights / tiny.BASES["sd15"], MACHINE, xl=False).encoders[0]


def test_a_prompt_of_any_length_is_cut_between_words_and_loses_none(weights: Path) -> None:
    """Each letter is a token here: 30 words of 8 letters are 240 tokens."""
    own = encoder(weights)
    words = [chr(ord("a") + number % 26) * 8 for number in range(30)]
    chunks = own.chunks(" ".join(words))
    said = ["".join(own.tokenizer.convert_ids_to_tokens(chunk)) for chunk in chunks]
    assert all(len(chunk) <= 75 for chunk in chunks)
    assert all(text.endswith("</w>") for text in said)
    assert "".join(said).split("</w>")[:-1] == words


def test_a_word_longer_than_a_chunk_is_still_read(weights: Path) -> None:
    assert [len(chunk) for chunk in encoder(weights).chunks("x" * 100)] == [75, 25]


def test_a_short_prompt_beside_a_long_one_is_filled_with_nothing(weights: Path) -> None:
    own = encoder(weights)
    long, short = say([own], ["word " * 30, "word"])
    alone, empty = say([own], ["word"])[0], say([own], [""])[0]
    assert long.states.shape == short.states.shape == (1, 154, tiny.TEXT)
    assert torch.equal(short.states[:, :77], alone.states)
    assert torch.equal(short.states[:, 77:], empty.states)


def test_clip_sees_what_transformers_own_processor_prepares(weights: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []

    class Model:
        device, dtype = torch.device("cpu"), torch.float32

        def __call__(self, pixels: torch.Tensor, **_: Any) -> Any:
            seen.append(pixels)
            return type("Answer", (), {"hidden_states": [pixels, pixels]})

    ClipVision(Model()).see(rgb)
    expected = CLIPImageProcessorPil()(Image.fromarray(rgb), return_tensors="pt").pixel_values
    torch.testing.assert_close(seen[0], expected, atol=1e-6, rtol=0)


def test_a_seed_is_the_same_noise_for_ever() -> None:
    """Fixed numbers: what a seed means must survive every version of torch."""
    (drawn, _), (wrapped, _) = noise([42, 2**32 + 42], (64, 64))
    assert torch.equal(drawn, wrapped)
    assert drawn.shape == (1, 4, 8, 8)
    np.testing.assert_allclose(drawn[0, 0, 0, :3], [1.926915, 1.487284, 0.900717], atol=1e-6)


def test_the_schedule_is_the_model_cards() -> None:
    """pipelines.md A.6: 50 steps are 981, 961, …, 21, 1."""
    scheduler = ddim()
    scheduler.set_timesteps(50)
    assert scheduler.timesteps.tolist() == list(range(981, 0, -20))


@pytest.mark.parametrize(
    ("steps", "of_20_percent", "of_70_percent"),
    [(10, 3, 6), (20, 5, 11), (30, 7, 17), (40, 10, 23)],
)
def test_a_window_is_counted_in_the_schedules_own_steps(
    steps: int, of_20_percent: int, of_70_percent: int
) -> None:
    """pipelines.md B.3, computed there in another way from the training's sigmas."""
    counted = [steps_until(end, steps) for end in (0.0, 0.2, 0.7, 1.0)]
    assert counted == [0, of_20_percent, of_70_percent, steps]


def test_a_strength_of_zero_at_a_step_silences_the_adapter_there(opened: Open) -> None:
    faceid = opened("1_5-v1")
    words = say(faceid.base.encoders, ["a person"])[0]
    tokens = [
        torch.randn(1, 4, tiny.TEXT, generator=torch.Generator().manual_seed(n)) for n in (0, 1)
    ]

    def last(strength: Any, face: torch.Tensor) -> torch.Tensor:
        task = Task(Condition(words, (face,)), None, 1.0, (strength,), (64, 64), 3)
        steps = faceid.denoiser.draw(Work(faceid.network, ddim, task), [1])
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value[0]

    first_only = [last(lambda step: float(step == 0), face) for face in tokens]
    never = [last(constant(0.0), face) for face in tokens]
    assert not torch.equal(*first_only)
    assert torch.equal(*never)


def test_a_vae_that_overflows_in_half_precision_is_asked_again_in_fp32() -> None:
    """Numbers beyond fp16's 65504, which a norm divides again: harmless in fp32."""
    torch.manual_seed(0)
    vae = tiny.vae(0.18215)
    with torch.no_grad():
        vae.decoder.conv_in.weight.mul_(1e5)
    latent = torch.randn(1, 4, 8, 8)
    expected = decode(vae, latent)
    half = vae.to(torch.float16)
    again = decode(half, latent)
    assert half.dtype == torch.float16, "the shared VAE was changed"
    assert np.abs(again.astype(int) - expected).max() <= 2
    assert expected.std() > 1


@pytest.mark.parametrize("bias", [math.nan, -100.0])
def test_no_picture_is_an_error_and_not_a_black_file(bias: float) -> None:
    vae = tiny.vae(0.18215)
    with torch.no_grad():
        vae.decoder.conv_out.bias.fill_(bias)
    with pytest.raises(BrokenPicture):
        decode(vae, torch.zeros(1, 4, 8, 8))


def test_words_and_faces_that_come_again_are_not_read_again(weights: Path, opened: Open) -> None:
    """And say the same to the bit as to networks that never saw them."""
    faceid, fresh = opened("1_5-v1-plus"), open_type(weights, "1_5-v1-plus")
    crop = np.random.default_rng(8).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    assert faceid.clip is not None
    assert fresh.clip is not None
    runs: list[str] = []
    encoder = faceid.base.encoders[0]
    hooks = [
        model.register_forward_pre_hook(lambda *_, name=name: runs.append(name))
        for name, model in (("text", encoder.model), ("clip", faceid.clip.model))
    ]
    said = [say([encoder], ["never said before", "nor this"]) for _ in range(2)]
    seen = [faceid.clip.see(crop) for _ in range(2)]
    for hook in hooks:
        hook.remove()
    assert runs == ["text", "text", "clip"]
    anew = say(list(fresh.base.encoders), ["never said before", "nor this"])
    assert all(torch.equal(a.states, b.states) for a, b in zip(said[1], anew, strict=True))
    assert torch.equal(seen[1], fresh.clip.see(crop))
