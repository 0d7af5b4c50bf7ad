"""A whole drawing equals diffusers' own pipeline, and each input does what it says."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPVisionModelWithProjection
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from limner.diffusion.decode import decode
from limner.diffusion.faceid import FaceId, Wish, denoise, draw
from limner.diffusion.weights import MODEL_TYPES, WEIGHTS
from tests.diffusion import tiny
from tests.diffusion.conftest import PUBLISHED, Open, open_type

RANDOM = np.random.default_rng(5)
CROPS = RANDOM.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


def unit(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    face = np.random.default_rng(seed).normal(size=512)
    return (face / np.linalg.norm(face)).astype(np.float32)


WISH = Wish(
    prompt="a person by the sea",
    negative_prompt="blurry",
    face=unit(1),
    crop=CROPS[0],
    guidance=7.5,
    steps=3,
    size=(64, 96),
    seeds=(3,),
)


@pytest.fixture(scope="module")
def usual(opened: Open) -> Callable[[str], torch.Tensor]:
    """The wish as it is, by each model type, drawn once."""
    return functools.cache(lambda name: latents(opened(name))[0])


def latents(faceid: FaceId, **changes: Any) -> list[torch.Tensor]:
    return finished(denoise(faceid, dataclasses.replace(WISH, **changes)))


def finished(steps: Generator[object, None, Any]) -> Any:
    """What a generator returns in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def stock(weights: Path, name: str) -> Any:
    """diffusers' own pipeline with its own loader, as pipelines.md A.8 says to use it."""
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
        StableDiffusionXLPipeline,
    )

    kind = MODEL_TYPES[name]
    if kind.xl:
        pipe: Any = StableDiffusionXLPipeline.from_pretrained(
            weights / tiny.BASES["sdxl"], add_watermarker=False
        )
    else:
        pipe = StableDiffusionPipeline.from_pretrained(
            weights / tiny.BASES["sd15"],
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipe.scheduler = DDIMScheduler(**tiny.REFERENCE_DDIM)
    if kind.plus:
        encoder = CLIPVisionModelWithProjection.from_pretrained(weights / tiny.CLIP_FOLDER)
        pipe.register_modules(image_encoder=encoder, feature_extractor=CLIPImageProcessorPil())
    pipe.load_ip_adapter(
        str(weights / tiny.FACEID_REPO),
        subfolder="",
        weight_name=WEIGHTS[kind.adapter].files[0].path,
        image_encoder_folder=None,
    )
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    pipe.set_ip_adapter_scale(1.0)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def stock_latents(pipe: Any, kind: Any, wish: Wish) -> torch.Tensor:
    from PIL import Image

    guided, number = wish.guidance > 1, len(wish.seeds)
    face = torch.from_numpy(wish.face).reshape(1, 1, 512)
    embeds = torch.cat([torch.zeros_like(face), face]) if guided else face
    if kind.plus:
        seen = pipe.prepare_ip_adapter_image_embeds(
            [Image.fromarray(wish.crop)], None, "cpu", number, guided
        )[0]
        layer = pipe.unet.encoder_hid_proj.image_projection_layers[0]
        layer.clip_embeds, layer.shortcut, layer.shortcut_scale = seen, kind.shortcut, 1.0
    return pipe(
        prompt=wish.prompt,
        negative_prompt=wish.negative_prompt,
        ip_adapter_image_embeds=[embeds],
        num_images_per_prompt=number,
        guidance_scale=wish.guidance,
        num_inference_steps=wish.steps,
        width=wish.size[0],
        height=wish.size[1],
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in wish.seeds],
        output_type="latent",
    ).images


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "SDXL-v1"])
def test_a_guided_drawing_equals_the_stock_pipeline(weights: Path, opened: Open, name: str) -> None:
    wish = dataclasses.replace(WISH, seeds=(3, 4))
    expected = stock_latents(stock(weights, name), MODEL_TYPES[name], wish)
    own = torch.cat(latents(opened(name), seeds=wish.seeds))
    torch.testing.assert_close(own, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["1_5-v1", "1_5-v2-plus"])
def test_guidance_of_one_takes_the_face_alone(weights: Path, opened: Open, name: str) -> None:
    """With [nothing, face] diffusers would draw two faces at once and say no word (A.8)."""
    wish = dataclasses.replace(WISH, guidance=1.0)
    expected = stock_latents(stock(weights, name), MODEL_TYPES[name], wish)
    own = latents(opened(name), guidance=1.0)[0]
    torch.testing.assert_close(own, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(own, latents(opened(name), guidance=0.0, negative_prompt="sea")[0])


@pytest.mark.parametrize("name", ["1_5-v1", "1_5-v2-plus", "SDXL-v1"])
def test_a_sample_is_the_same_to_the_bit_alone_and_in_a_batch(opened: Open, name: str) -> None:
    together = latents(opened(name), seeds=(2**32 - 1, 2**32, 7), steps=2)
    for seed, expected in ((2**32 - 1, together[0]), (0, together[1])):
        assert torch.equal(latents(opened(name), seeds=(seed,), steps=2)[0], expected)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("1_5-v1", {"face": unit(2)}),
        ("1_5-v1-plus", {"face": unit(2)}),
        ("1_5-v2-plus", {"crop": CROPS[1]}),
        ("SDXL-v2-plus", {"crop": CROPS[1]}),
        ("1_5-v1", {"prompt": "a person at home"}),
        ("1_5-v1", {"negative_prompt": "ugly"}),
        ("1_5-v1", {"guidance": 7.0}),
        ("1_5-v1", {"steps": 4}),
        ("1_5-v1", {"seeds": (4,)}),
        ("SDXL-v1", {"negative_prompt": "ugly"}),
    ],
)
def test_every_input_changes_the_drawing(
    opened: Open, usual: Callable[[str], torch.Tensor], name: str, change: dict[str, Any]
) -> None:
    drawn = usual(name)
    assert (latents(opened(name), **change)[0] - drawn).abs().max() > 1e-3


def test_the_end_of_a_long_prompt_is_still_heard(opened: Open) -> None:
    """diffusers cuts after 77 tokens; here each letter is a token."""
    start = "a very long prompt " * 6
    one, other = (latents(opened("SDXL-v1"), prompt=f"{start} {end}")[0] for end in ("sea", "sky"))
    assert (one - other).abs().max() > 1e-3


def test_plus_v1_and_v2_differ_by_the_shortcut_alone(weights: Path) -> None:
    """Nothing in the file tells them apart: the model type must (A.3)."""
    without = open_type(weights, "1_5-v2-plus")
    kind = dataclasses.replace(without.kind, shortcut=False)
    without = dataclasses.replace(without, kind=kind)
    assert (latents(without)[0] - latents(open_type(weights, "1_5-v2-plus"))[0]).abs().max() > 1e-2


def test_no_request_leaves_anything_for_the_next(opened: Open) -> None:
    """diffusers keeps clip_embeds, shortcut and scale on the module (A.8)."""
    faceid = opened("1_5-v2-plus")
    first = latents(faceid)[0]
    latents(faceid, face=unit(9), crop=CROPS[1], guidance=1.0, seeds=(8, 9))
    interrupted = denoise(faceid, dataclasses.replace(WISH, face=unit(6)))
    next(interrupted)
    interrupted.close()
    assert torch.equal(latents(faceid)[0], first)


def test_two_requests_at_once_do_not_meet(opened: Open) -> None:
    faceid = opened("1_5-v2-plus")
    wishes = [WISH, dataclasses.replace(WISH, face=unit(9), crop=CROPS[1], guidance=1.0)]
    alone = [latents(faceid, **vars(wish))[0] for wish in wishes]
    running = [denoise(faceid, wish) for wish in wishes]
    for steps in (*running, *running):
        next(steps)
    assert all(
        torch.equal(finished(steps)[0], expected)
        for steps, expected in zip(running, alone, strict=True)
    )


def test_another_adapter_on_the_same_base_is_as_if_there_had_been_no_other(
    weights: Path, opened: Open
) -> None:
    """diffusers' second FaceID keeps the first one's LoRA (A.8)."""
    fresh = latents(opened("1_5-v1"))[0]
    latents(open_type(weights, "1_5-v1-plus"))
    assert torch.equal(latents(open_type(weights, "1_5-v1"))[0], fresh)


@pytest.mark.parametrize("size", [(64, 64), (72, 120)])
def test_pictures_have_the_size_that_was_asked_for(opened: Open, size: tuple[int, int]) -> None:
    steps = draw(opened("1_5-v1"), dataclasses.replace(WISH, size=size, steps=1, seeds=(1, 2)))
    pictures = finished(steps)
    assert [picture.shape for picture in pictures] == [(size[1], size[0], 3)] * 2
    assert not np.array_equal(*pictures)


def test_while_one_request_is_decoded_the_others_steps_go_on(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    faceid, other_is_done = opened("1_5-v1"), threading.Event()

    def waits(*given: Any, **more: Any) -> Any:
        assert other_is_done.wait(120), "the other's steps waited for this"
        return decode(*given, **more)

    monkeypatch.setattr("limner.diffusion.faceid.decode", waits)
    drawn: list[Any] = []
    first = dataclasses.replace(WISH, steps=1)
    drawing = threading.Thread(target=lambda: drawn.append(finished(draw(faceid, first))))
    drawing.start()
    latents(faceid, seeds=(9,))
    other_is_done.set()
    drawing.join()
    assert drawn[0][0].shape == (96, 64, 3)


def test_one_picture_at_a_time_is_decoded_on_a_device(
    weights: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of different networks too: each decoding may take as much memory as is planned for one."""
    denoiser = opened("1_5-v1").denoiser
    both = [opened("1_5-v1"), dataclasses.replace(open_type(weights, "SDXL-v1"), denoiser=denoiser)]
    drawn_both, inside, met = threading.Barrier(2), list[int](), threading.Event()

    def denoised(*given: Any) -> Any:
        latents = yield from denoise(*given)
        drawn_both.wait(120)
        return latents

    def waits(*given: Any, **more: Any) -> Any:
        inside.append(1)
        if len(inside) > 1:
            met.set()
        decoded_with_another = met.wait(0.5)
        inside.pop()
        assert not decoded_with_another
        return decode(*given, **more)

    monkeypatch.setattr("limner.diffusion.faceid.denoise", denoised)
    monkeypatch.setattr("limner.diffusion.faceid.decode", waits)
    drawn: list[Any] = []
    wish = dataclasses.replace(WISH, steps=1)
    threads = [
        threading.Thread(target=lambda each=each: drawn.append(finished(draw(each, wish))))
        for each in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not met.is_set()
    assert sum(map(len, drawn)) == 2
