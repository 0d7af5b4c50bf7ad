"""A whole sticker equals diffusers' own pipeline, and each input does what it says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl import (
    StableDiffusionXLControlNetPipeline,
)
from PIL import Image
from safetensors.torch import save_file

from limner.diffusion.adapter import read_adapter
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.keypoints import draw_keypoints, on_canvas
from limner.diffusion.load import load_base, load_clip_vision
from limner.diffusion.lora import fuse_lora
from limner.diffusion.noisy_image import noisy
from limner.diffusion.schedules import dpm_2m_sde_karras, steps_until
from limner.diffusion.sticker import Sticker, StickerWish, denoise, join, no_face
from limner.errors import NetworkUnfit
from limner.stages.face import Face
from tests.diffusion import tiny
from tests.diffusion.conftest import MACHINE, open_sticker

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RANDOM = np.random.default_rng(3)
CROPS = RANDOM.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
FACES = (RANDOM.normal(size=(2, 512)) * 0.9).astype(np.float32)
POINTS = np.array([[20.0, 24], [44, 22], [33, 36], [24, 50], [42, 49]])

WISH = StickerWish(
    prompt="a woman",
    negative_prompt="hat",
    face=FACES[0],
    crop=CROPS[0],
    points=draw_keypoints(POINTS, (64, 96)),
    guidance=4.5,
    steps=5,
    size=(64, 96),
    seed=3,
    instant_id_strength=0.7,
    ip_adapter_weight=0.6,
    ip_adapter_noise=0.5,
)


DEPTH = np.dstack([np.indices((96, 64))[0] * 2] * 3).astype(np.uint8)


@pytest.fixture(scope="module")
def sticker(weights: Path, files: Path) -> Sticker:
    return open_sticker(weights, files)


@pytest.fixture(scope="module")
def usual(sticker: Sticker) -> torch.Tensor:
    """The wish as it is, in three steps."""
    return latents(sticker, steps=3)


def latents(sticker: Sticker, **changes: Any) -> torch.Tensor:
    steps = denoise(sticker, dataclasses.replace(WISH, **changes))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def stock_latents(
    weights: Path, files: Path, sticker: Sticker, depth: Path | None = None
) -> torch.Tensor:
    """pipelines.md B.6: native adapters, a hook that gives the ControlNet the face's tokens.

    With ``depth``, the second of two ControlNets: it reads the text (B.4) and sees DEPTH.
    """
    control: Any = ControlNetModel.from_pretrained(files / tiny.INSTANTID_REPO / "ControlNetModel")
    nets: Any = control
    if depth is not None:
        nets = [control, ControlNetModel.from_pretrained(depth)]
    pipe: Any = StableDiffusionXLControlNetPipeline.from_pretrained(
        weights / tiny.BASES["sdxl"], controlnet=nets, add_watermarker=False
    )
    pipe.load_lora_weights(
        str((files / tiny.STICKER_LORA).parent), weight_name="StickersRedmond.safetensors"
    )
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    pipe.load_ip_adapter(
        [str(files / tiny.INSTANTID_REPO), str(files / tiny.PLUS_FACE).rsplit("/", 1)[0]],
        subfolder=["", ""],
        weight_name=["ip-adapter.bin", "ip-adapter-plus-face_sdxl_vit-h.safetensors"],
        image_encoder_folder=None,
    )
    pipe.scheduler = dpm_2m_sde_karras()
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(0)
    nobody = 0.35 * torch.rand((1, 1, 1, 512), generator=generator)
    face = torch.cat([nobody, torch.from_numpy(WISH.face)[None, None, None]])
    seen = torch.stack([sticker.clip.see(noisy(WISH.crop, 0.5)), sticker.clip.see(WISH.crop)])
    first = pipe.unet.encoder_hid_proj.image_projection_layers[0]
    with torch.inference_mode():
        tokens = first(face[:, 0])
    control.register_forward_pre_hook(
        lambda _, args, kwargs: (args, {**kwargs, "encoder_hidden_states": tokens}),
        with_kwargs=True,
    )
    window = steps_until(0.2, WISH.steps)

    def close(pipe: Any, step: int, _: Any, kept: Any) -> Any:
        if step == window - 1:
            pipe.set_ip_adapter_scale([0.7, 0.0])
        return kept

    pipe.set_ip_adapter_scale([0.7, 0.6])
    hints: Any = Image.fromarray(WISH.points)
    scale: Any = 0.7
    ends: Any = 1.0
    if depth is not None:
        hints, scale = [hints, Image.fromarray(DEPTH)], [0.7, 0.2]
        ends = [1.0, steps_until(0.7, WISH.steps) / WISH.steps]
    return pipe(
        prompt="Sticker, a woman, cel shaded, svg, vector art, sharp",
        negative_prompt="nsfw, hat",
        image=hints,
        controlnet_conditioning_scale=scale,
        control_guidance_end=ends,
        ip_adapter_image_embeds=[face, seen],
        guidance_scale=WISH.guidance,
        num_inference_steps=WISH.steps,
        width=WISH.size[0],
        height=WISH.size[1],
        generator=[torch.Generator("cpu").manual_seed(WISH.seed)],
        callback_on_step_end=close,
        output_type="latent",
    ).images


def test_a_guided_sticker_equals_the_stock_pipeline(
    weights: Path, files: Path, sticker: Sticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a negative of fewer than 77 letters, which is all that the stock pipeline reads."""
    monkeypatch.setattr("limner.diffusion.sticker.NEGATIVE", "nsfw{negative_prompt}")
    expected = stock_latents(weights, files, sticker)
    torch.testing.assert_close(latents(sticker), expected, atol=1e-4, rtol=1e-4)


def test_with_depth_it_equals_the_stock_pipeline_with_two_controlnets(
    weights: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 5 steps depth has 3: 70 % of the training's time (test_sampling)."""
    monkeypatch.setattr("limner.diffusion.sticker.NEGATIVE", "nsfw{negative_prompt}")
    tiny.write_controlnet(tmp_path / "depth")
    with_depth = open_sticker(weights, files, depth=tmp_path / "depth")
    expected = stock_latents(weights, files, with_depth, tmp_path / "depth")
    own = latents(with_depth, depth=DEPTH)
    torch.testing.assert_close(own, expected, atol=1e-4, rtol=1e-4)
    assert (own - latents(with_depth)).abs().max() > 1e-3, "depth changes nothing"


def test_a_depth_that_nothing_reads_is_nothing(sticker: Sticker, usual: torch.Tensor) -> None:
    assert torch.equal(latents(sticker, steps=3, depth=DEPTH), usual)


@pytest.mark.parametrize(
    "change",
    [
        {"face": FACES[1]},
        {"face": FACES[0] * 0.05},
        {"crop": CROPS[1]},
        {"points": draw_keypoints(POINTS + 8, (64, 96))},
        {"prompt": "a man"},
        {"negative_prompt": "beard"},
        {"guidance": 4.0},
        {"guidance": 1.0},
        {"steps": 6},
        {"seed": 4},
        {"instant_id_strength": 0.5},
        {"instant_id_strength": 0.0},
        {"ip_adapter_weight": 0.3},
        {"ip_adapter_noise": 0.0},
        {"ip_adapter_noise": 0.9},
    ],
)
def test_every_input_changes_the_sticker(
    sticker: Sticker, usual: torch.Tensor, change: dict[str, Any]
) -> None:
    assert (latents(sticker, **{"steps": 3, **change}) - usual).abs().max() > 1e-3


def test_the_lora_changes_the_sticker(weights: Path, files: Path, sticker: Sticker) -> None:
    without = open_sticker(weights, files, lora=False)
    assert (latents(without, steps=2) - latents(sticker, steps=2)).abs().max() > 1e-3


def test_a_lora_of_which_nothing_fits_is_refused(weights: Path, tmp_path: Path) -> None:
    """diffusers only logs it, and draws without (A.8)."""
    base = load_base(weights / tiny.BASES["sdxl"], MACHINE, xl=True)
    down, up = torch.ones(4, 64), torch.ones(64, 4)
    name = "transformer.single_transformer_blocks.0.attn.to_q"
    file = tmp_path / "flux.safetensors"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, file)
    with pytest.raises(NetworkUnfit, match="no LoRA for this base"):
        fuse_lora(base, file)


def test_without_peft_there_is_no_sticker_rather_than_one_without_its_lora(
    weights: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffusers.loaders.lora_base.USE_PEFT_BACKEND", False)
    base = load_base(weights / tiny.BASES["sdxl"], MACHINE, xl=True)
    with pytest.raises(NetworkUnfit, match="PEFT"):
        fuse_lora(base, files / tiny.STICKER_LORA)


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_guidance_of_one_or_less_takes_the_positive_alone(
    sticker: Sticker, guidance: float
) -> None:
    """With [nothing, face] diffusers would draw two faces at once and say no word (A.8)."""
    alone = latents(sticker, steps=1, guidance=1.0)
    away = {"negative_prompt": "beard", "ip_adapter_noise": 0.0}
    assert torch.equal(latents(sticker, steps=1, guidance=guidance, **away), alone)


def test_a_strength_of_zero_is_without_the_network_and_not_with_a_stale_one(
    sticker: Sticker,
) -> None:
    """Neither the ControlNet nor the adapter is asked, and no face is left from before."""
    one, other = (
        latents(sticker, steps=1, instant_id_strength=0.0, face=face, guidance=1.0)
        for face in FACES
    )
    assert torch.equal(one, other)


def test_no_sticker_leaves_anything_for_the_next(sticker: Sticker) -> None:
    first = latents(sticker, steps=2)
    latents(sticker, steps=2, face=FACES[1], crop=CROPS[1], guidance=1.0, instant_id_strength=0.0)
    assert torch.equal(latents(sticker, steps=2), first)


def test_the_style_is_heard_at_the_end_of_a_long_prompt(
    sticker: Sticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = latents(sticker, prompt="a woman " * 20, steps=2)
    monkeypatch.setattr("limner.diffusion.sticker.POSITIVE", "Sticker, {prompt}, cel shaded")
    assert (latents(sticker, prompt="a woman " * 20, steps=2) - long).abs().max() > 1e-3


def test_nobody_is_always_the_same_nobody(sticker: Sticker) -> None:
    assert torch.equal(no_face(sticker), no_face(sticker))


def test_the_adapters_are_not_taken_for_one_another(weights: Path, files: Path) -> None:
    base = load_base(weights / tiny.BASES["sdxl"], MACHINE, xl=True)
    look = read_adapter(files / tiny.PLUS_FACE)
    clip = load_clip_vision(weights / tiny.CLIP_FOLDER, MACHINE)
    with pytest.raises(NetworkUnfit, match="InstantID's adapter is expected"):
        join(MACHINE, base, (look, look), clip, (None, None), Denoiser())


def test_points_lie_on_the_canvas_wherever_the_face_was() -> None:
    """A face in the corner of a wide photo: COG's centre crop loses it (pipelines.md B.3)."""
    landmarks = np.array([[30, 40], [50, 38], [40, 50], [33, 60], [48, 59]], np.float32)
    face = Face((20.0, 20.0, 40.0, 50.0), landmarks, 0.9)
    for size in ((1024, 1024), (576, 1024), (1024, 576)):
        points = on_canvas(face, size)
        assert (points > 0).all()
        assert (points < size).all()
        spread = np.ptp(landmarks, axis=0)
        np.testing.assert_allclose(
            np.ptp(points, axis=0) / spread, 0.42 * min(size) / 50, rtol=1e-6
        )
        drawn = draw_keypoints(points, size)
        assert drawn.shape == (size[1], size[0], 3)
        eye = drawn[int(points[0, 1]), int(points[0, 0])]
        assert eye.tolist() == [255, 0, 0]


def test_noise_tears_a_picture_the_same_way_each_time() -> None:
    once = noisy(CROPS[0], 0.5)
    assert np.array_equal(once, noisy(CROPS[0], 0.5))
    assert not np.array_equal(once, noisy(CROPS[0], 0.9))
    flat = np.full((224, 224, 3), 128, np.uint8)
    # 0.25 · (1 − noise) + 0.05 is the grain's deviation; a flat picture has no other.
    grain = noisy(flat, 0.5)[40:-40, 40:-40].std() / 255
    assert abs(grain - 0.175) < 0.01
