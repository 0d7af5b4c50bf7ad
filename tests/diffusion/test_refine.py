"""A large sticker's detail drawn anew, tile by tile: equal to stock img2img, and without seams."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl_img2img import (
    StableDiffusionXLControlNetImg2ImgPipeline,
)
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from limner.diffusion import refine as refine_module
from limner.diffusion.decode import encode
from limner.diffusion.keypoints import draw_keypoints
from limner.diffusion.refine import Tiling, schedule
from limner.diffusion.sampling import noise
from limner.diffusion.schedules import euler
from limner.diffusion.sticker import Enlarged, Sticker, no_face, redraw
from limner.errors import BrokenPicture
from tests.diffusion import tiny
from tests.diffusion.conftest import open_sticker
from tests.diffusion.test_sticker import FACES, POINTS, WISH

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Pixels = npt.NDArray[np.uint8]

SIDE = 256
ROWS, COLUMNS = np.indices((SIDE, SIDE))
#: Soft colours: what edges there are in the answer, the networks drew.
SOFT = np.dstack([COLUMNS, ROWS, (ROWS + COLUMNS) // 2]).astype(np.uint8)
LARGE = Enlarged(SOFT, draw_keypoints(POINTS * 4, (SIDE, SIDE)), 1)
WIDE = Tiling(160, 48)
#: A corner of it in four tiles, where what is drawn does not matter.
SMALL, NARROW = 112, Tiling(72, 24)


@pytest.fixture(scope="module")
def sticker(weights: Path, files: Path) -> Sticker:
    return open_sticker(weights, files)


def finished(steps: Generator[float, None, Pixels]) -> Pixels:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def redrawn(sticker: Sticker, side: int, tiling: Tiling, steps: int = 1, **changes: Any) -> Pixels:
    """The upper left ``side`` pixels of LARGE."""
    rgb = changes.pop("rgb", SOFT)
    enlarged = Enlarged(rgb[:side, :side], LARGE.points[:side, :side], steps)
    return finished(redraw(sticker, dataclasses.replace(WISH, **changes), enlarged, tiling))


@given(
    length=some.integers(1, 520).map(lambda n: 8 * n),
    side=some.integers(16, 140).map(lambda n: 8 * n),
    overlap=some.integers(0, 40).map(lambda n: 8 * n),
)
def test_tiles_cover_a_side_overlap_and_share_each_pixel(
    length: int, side: int, overlap: int
) -> None:
    tiling = Tiling(side, min(overlap, side // 24 * 8))
    spans = tiling.spans(length)
    assert (spans[0][0], spans[-1][1]) == (0, length)
    assert all(edge % 8 == 0 for span in spans for edge in span)
    assert all(end - start <= side for start, end in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert end - start > tiling.overlap - 8
    shares = np.zeros((8, length, 1))
    for tile in tiling.tiles((length, 8)):
        shares[tile.place] += tile.share
    np.testing.assert_allclose(shares, 1, atol=1e-5)


def test_the_largest_sticker_as_it_comes_is_four_tiles_of_the_size_sdxl_is_at_home_at() -> None:
    assert {tile.size for tile in Tiling().tiles((2048, 2048))} == {(1088, 1088)}
    assert len(Tiling().tiles((2048, 2048))) == 4
    assert len(Tiling().tiles((1024, 1024))) == 1


def test_upscale_steps_are_real_steps_of_the_last_fifth_of_the_way() -> None:
    """pipelines.md B.3: 10 steps at strength 0.2 are the last 10 of 50."""
    assert [schedule(steps) for steps in (1, 3, 10, 100)] == [5, 15, 50, 500]
    scheduler = euler()
    scheduler.set_timesteps(50)
    np.testing.assert_allclose(scheduler.timesteps, np.linspace(999, 0, 50), atol=1e-3)


def stock_redrawn(
    weights: Path,
    files: Path,
    sticker: Sticker,
    rgb: Pixels,
    points: Pixels,
) -> torch.Tensor:
    """diffusers' own image-to-image pipeline with InstantID, on latents of the same picture."""
    control: Any = ControlNetModel.from_pretrained(files / tiny.INSTANTID_REPO / "ControlNetModel")
    pipe: Any = StableDiffusionXLControlNetImg2ImgPipeline.from_pretrained(
        weights / tiny.BASES["sdxl"], controlnet=control, add_watermarker=False
    )
    lora = files / tiny.STICKER_LORA
    pipe.load_lora_weights(str(lora.parent), weight_name=lora.name)
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    pipe.load_ip_adapter(
        str(files / tiny.INSTANTID_REPO),
        subfolder="",
        weight_name="ip-adapter.bin",
        image_encoder_folder=None,
    )
    pipe.scheduler = euler()
    pipe.set_progress_bar_config(disable=True)
    pipe.set_ip_adapter_scale(WISH.instant_id_strength)
    generator = torch.Generator("cpu").manual_seed(0)
    nobody = 0.35 * torch.rand((1, 1, 1, 512), generator=generator)
    face = torch.cat([nobody, torch.from_numpy(WISH.face)[None, None, None]])
    with torch.inference_mode():
        tokens = pipe.unet.encoder_hid_proj.image_projection_layers[0](face[:, 0])
    torch.testing.assert_close(tokens[:1], no_face(sticker), atol=1e-5, rtol=1e-5)
    control.register_forward_pre_hook(
        lambda _, args, kwargs: (args, {**kwargs, "encoder_hidden_states": tokens}),
        with_kwargs=True,
    )
    return pipe(
        prompt="Sticker, a woman, cel shaded, svg, vector art, sharp",
        negative_prompt="nsfw, hat",
        image=encode(sticker.base.vae, rgb),
        control_image=Image.fromarray(points),
        strength=0.2,
        num_inference_steps=15,
        controlnet_conditioning_scale=WISH.instant_id_strength,
        ip_adapter_image_embeds=[face],
        guidance_scale=WISH.guidance,
        generator=torch.Generator("cpu").manual_seed(WISH.seed),
        output_type="latent",
    ).images


def test_one_tile_equals_stock_image_to_image(
    weights: Path,
    files: Path,
    sticker: Sticker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three steps at strength 0.2, guided: the latents that the tile's pixels are decoded from."""
    monkeypatch.setattr("limner.diffusion.sticker.NEGATIVE", "nsfw{negative_prompt}")
    expected = stock_redrawn(weights, files, sticker, SOFT[:64, :96], LARGE.points[:64, :96])
    kept: list[torch.Tensor] = []

    def decoded(vae: Any, latent: torch.Tensor, **_: Any) -> Pixels:
        kept.append(latent)
        return SOFT[:64, :96]

    monkeypatch.setattr(refine_module, "decode", decoded)
    enlarged = Enlarged(SOFT[:64, :96], LARGE.points[:64, :96], 3)
    finished(redraw(sticker, WISH, enlarged))
    torch.testing.assert_close(kept[0], expected, atol=1e-4, rtol=1e-4)


def test_a_picture_is_encoded_as_the_likeliest_latents(sticker: Sticker) -> None:
    vae = sticker.base.vae
    given = torch.from_numpy(SOFT[:64, :64]).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        mean = vae.encode(given).latent_dist.mean * vae.config.scaling_factor
    torch.testing.assert_close(encode(vae, SOFT[:64, :64]), mean, atol=1e-5, rtol=1e-5)


def across_the_middle(sticker: Sticker, tiling: Tiling) -> tuple[float, float]:
    """At the line where two tiles meet, against the inside of both, over seeds and directions.

    How steep the picture is from one pixel to the next, and how rich it is (its deviation) in
    the eight pixels around; both are 1 where nothing is to be seen.
    """
    steep: list[float] = []
    rich: list[float] = []
    middle = SIDE // 2
    for seed in range(3):
        drawn = redrawn(sticker, SIDE, tiling, seed=seed).astype(float)
        for picture in (drawn, drawn.transpose(1, 0, 2)):
            slopes = np.abs(np.diff(picture, axis=1)).mean((0, 2))
            inside = np.r_[slopes[24 : middle - 16], slopes[middle + 16 : -24]].mean()
            steep.append(slopes[middle - 1] / inside)
            band = picture[:, middle - 4 : middle + 4]
            rich.append(band.std((0, 1)).mean() / picture.std((0, 1)).mean())
    return float(np.mean(steep)), float(np.mean(rich))


def cut_hard(spans: list[tuple[int, int]]) -> list[npt.NDArray[np.float32]]:
    """Each tile up to the middle of an overlap and no further: what blending replaces."""
    slopes = [np.ones(end - start, np.float32) for start, end in spans]
    for at in range(len(spans) - 1):
        half = (spans[at][1] - spans[at + 1][0]) // 2
        slopes[at][-half:] = 0
        slopes[at + 1][:half] = 0
    return slopes


def test_where_tiles_meet_there_is_no_seam(
    sticker: Sticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random networks make the worst of an edge. What is measured sees both ways of failing."""
    steep, rich = across_the_middle(sticker, WIDE)
    assert 0.75 < steep < 1.3
    assert rich > 0.7
    _, poor = across_the_middle(sticker, Tiling(SIDE // 2, 0))
    assert poor < 0.68, "without an overlap the edges' grey is seen"
    monkeypatch.setattr(refine_module, "_slopes", cut_hard)
    step, _ = across_the_middle(sticker, WIDE)
    assert step > 1.6, "without blending the step is seen"


def test_the_same_seed_is_the_same_picture_and_each_input_changes_it(sticker: Sticker) -> None:
    usual = redrawn(sticker, 64, NARROW)
    assert np.array_equal(redrawn(sticker, 64, NARROW), usual)
    changes: tuple[dict[str, Any], ...] = (
        {"seed": 4},
        {"face": FACES[1]},
        {"prompt": "a man"},
        {"instant_id_strength": 0.2},
        {"guidance": 1.0},
        {"rgb": SOFT[::-1].copy()},
        {"steps": 2},
    )
    for change in changes:
        assert not np.array_equal(redrawn(sticker, 64, NARROW, **change), usual), change


def test_only_one_tile_is_at_work_at_a_time(
    sticker: Sticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the UNet nor the VAE nor the ControlNet is ever given more than a tile."""
    seen: list[tuple[int, ...]] = []

    def spy(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def spied(given: torch.Tensor, *rest: Any, **more: Any) -> Any:
            scale = 1 if name in ("encode", "hint") else 8
            seen.append(tuple(scale * side for side in given.shape[-2:]))
            if name == "hint":
                hints.append(given[0])
            return call(given, *rest, **more)

        return spied

    hints: list[torch.Tensor] = []
    base = sticker.base
    for name, owner, method in (
        ("unet", base.unet.conv_in, "forward"),
        ("control", sticker.control.net.conv_in, "forward"),
        ("hint", sticker.control.net.controlnet_cond_embedding, "forward"),
        ("encode", base.vae, "encode"),
        ("decode", base.vae, "decode"),
    ):
        monkeypatch.setattr(owner, method, spy(name, getattr(owner, method)))
    redrawn(sticker, SMALL, NARROW)
    sides = NARROW.spans(SMALL)
    assert set(seen) == {(72, 72)}
    assert len(hints) == len(sides) ** 2
    whole = torch.from_numpy(LARGE.points).permute(2, 0, 1) / 255
    places = [(y, x) for y in sides for x in sides]
    for hint, (y, x) in zip(hints, places, strict=True):
        torch.testing.assert_close(hint, whole[:, slice(*y), slice(*x)])


def test_two_tiles_are_laid_over_with_one_sheet_of_noise(sticker: Sticker) -> None:
    """What makes them agree where they overlap."""
    sheet = noise([3], (SIDE, SIDE))[0][0]
    left, right = WIDE.tiles((SIDE, SIDE))[:2]
    both = (left.x[1] - right.x[0]) // 8
    assert torch.equal(left.of_latents(sheet)[..., -both:], right.of_latents(sheet)[..., :both])


def test_a_dark_picture_may_stay_dark_and_a_bright_one_may_not_turn_black(
    weights: Path,
    files: Path,
) -> None:
    blind = open_sticker(weights, files)
    with torch.no_grad():
        blind.base.vae.decoder.conv_out.bias.fill_(-100)
    assert not redrawn(blind, SMALL, NARROW, rgb=np.zeros_like(SOFT)).any()
    with pytest.raises(BrokenPicture):
        redrawn(blind, SMALL, NARROW, rgb=SOFT[::-1].copy())


def test_a_picture_that_no_vae_can_read_is_an_error(sticker: Sticker) -> None:
    vae = tiny.vae(0.13025)
    with torch.no_grad():
        vae.encoder.conv_in.bias.fill_(torch.nan)
    with pytest.raises(BrokenPicture, match="not finite"):
        encode(vae, SOFT)
