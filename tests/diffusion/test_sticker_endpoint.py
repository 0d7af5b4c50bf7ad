"""face-to-sticker on the diffusion engine, as a worker calls it, on tiny checkpoints."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.diffusion.sticker import StickerWish
from limner.endpoints.base import Step, Workshop
from limner.endpoints.face_to_sticker.diffusion import DiffusionSticker, open_engine
from limner.endpoints.face_to_sticker.schema import (
    FACE_TO_STICKER,
    FaceToStickerInput,
    FaceToStickerOutput,
)
from limner.errors import BrokenPicture, FaceNotFound, FeatureNotSupported
from limner.stages.cutout import Cutter, cut
from limner.worker.engines import choose
from tests.endpoints.conftest import ASTRONAUT, Album

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="session")
def engine(sticker_home: Path, networks: Path) -> DiffusionSticker:
    return open_engine(Workshop(networks, may_fetch=False, threads=1, weights=sticker_home))


@dataclasses.dataclass
class Drawn:
    output: FaceToStickerOutput
    files: list[bytes]
    steps: list[Step]

    @property
    def said(self) -> str:
        return "\n".join(step.message for step in self.steps)

    def picture(self, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.asarray(Image.open(io.BytesIO(self.files[number])))


def drawn_by(engine: DiffusionSticker, photo: str = ASTRONAUT, **wishes: Any) -> Drawn:
    asked = {
        "prompt": "a woman",
        "seed": 7,
        "num_inference_steps": 2,
        "image_size": {"width": 64, "height": 96},
        **wishes,
    }
    album, steps = Album(), list[Step]()
    work = engine.draw(FaceToStickerInput(image_url=photo, **asked), album)
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return Drawn(end.value, album.kept, steps)


@pytest.fixture(scope="module")
def usual(engine: DiffusionSticker) -> Drawn:
    """A sticker as it comes."""
    return drawn_by(engine)


def test_a_sticker_comes_with_and_without_its_background(
    engine: DiffusionSticker, usual: Drawn
) -> None:
    drawn = usual
    assert drawn.picture(0).shape == (96, 64, 3)
    assert drawn.picture(1).shape == (96, 64, 4)
    alpha = drawn.picture(1)[..., 3]
    assert alpha.min() == 0
    assert alpha.max() == 255
    output = drawn.output
    assert output.images == [output.sticker_image, output.sticker_image_background_removed]
    assert output.seed == 7
    assert output.has_nsfw_concepts == {
        "sticker_image": False,
        "sticker_image_background_removed": False,
    }
    assert drawn_by(engine).files == drawn.files


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"photo": "06_biden_closeup.jpg"},
        {"instant_id_strength": 0.1},
        {"ip_adapter_weight": 1.0},
        {"guidance_scale": 9.0},
        {"ip_adapter_noise": 0.0, "ip_adapter_weight": 1.0},
        {"negative_prompt": "beard"},
        {"num_inference_steps": 3},
    ],
)
def test_what_is_asked_for_is_seen(
    engine: DiffusionSticker, usual: Drawn, change: dict[str, Any]
) -> None:
    assert drawn_by(engine, **change).files[0] != usual.files[0]


def test_a_sticker_has_the_size_that_was_asked_for_in_eights(engine: DiffusionSticker) -> None:
    """diffusers' ControlNet pipeline rounds down and says no word (A.8)."""
    drawn = drawn_by(engine, image_size={"width": 70, "height": 124}, num_inference_steps=1)
    assert drawn.picture(0).shape == (128, 72, 3)
    assert drawn.picture(1).shape == (128, 72, 4)
    assert (drawn.output.sticker_image.width, drawn.output.sticker_image.height) == (72, 128)
    told = [step.message for step in drawn.steps if step.level == "WARN"]
    assert any("70×124 is drawn as 72×128" in line for line in told)


def test_seed_0_is_a_seed_and_none_is_answered_with_the_one_that_was_drawn(
    engine: DiffusionSticker,
) -> None:
    zero, again = (drawn_by(engine, seed=0, num_inference_steps=1) for _ in range(2))
    assert zero.output.seed == 0
    assert zero.files == again.files
    any_seed = drawn_by(engine, seed=None, num_inference_steps=1)
    assert any_seed.files != zero.files
    replayed = drawn_by(engine, seed=any_seed.output.seed, num_inference_steps=1)
    assert replayed.files == any_seed.files


def test_instantid_is_given_the_embedding_as_it_was_measured(
    engine: DiffusionSticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw, where FaceID wants length 1: pipelines.md finding 5."""
    wishes: list[StickerWish] = []

    def denoised(_: object, wish: StickerWish) -> None:
        wishes.append(wish)
        raise BrokenPicture("enough")

    monkeypatch.setattr("limner.endpoints.face_to_sticker.diffusion.draw", denoised)
    with pytest.raises(BrokenPicture, match="enough"):
        drawn_by(engine)
    assert wishes[0].face.shape == (512,)
    assert abs(float(np.linalg.norm(wishes[0].face)) - 1) > 0.1


def test_upscaled_is_twice_the_size_and_its_steps_are_really_taken(
    engine: DiffusionSticker, usual: Drawn
) -> None:
    one, two = (drawn_by(engine, upscale=True, upscale_steps=steps) for steps in (1, 2))
    assert one.picture(0).shape == (192, 128, 3)
    assert one.picture(1).shape == (192, 128, 4)
    assert (one.output.sticker_image.width, one.output.sticker_image.height) == (128, 192)
    assert "Detail 1 of 1" in [step.message for step in one.steps]
    assert "Detail 2 of 2" in [step.message for step in two.steps]
    assert one.files[0] != two.files[0]
    assert drawn_by(engine, upscale=True, upscale_steps=1).files == one.files
    # The steps draw anew what Real-ESRGAN alone would have enlarged.
    large = engine._instruments.drawing_upscaler(usual.picture(0))  # pyright: ignore[reportPrivateUsage]
    assert large.shape == one.picture(0).shape
    assert not np.array_equal(large, one.picture(0))


def test_without_upscale_its_steps_are_nothing(engine: DiffusionSticker, usual: Drawn) -> None:
    assert drawn_by(engine, upscale=False, upscale_steps=50).files == usual.files


def test_a_finish_and_exports_are_made_as_on_the_sketch_engine(
    engine: DiffusionSticker, usual: Drawn
) -> None:
    drawn = drawn_by(engine, outline_width=6, outline_color="#ff0000", exports=["line", "print"])
    assert drawn.files[0] == usual.files[0]
    assert (drawn.picture(1) == (255, 0, 0, 255)).all(axis=-1).any()
    assert [each.platform for each in drawn.output.exports or []] == ["line", "print"]
    assert drawn.files[3].startswith(b"%PDF-")
    assert "exports" not in usual.output.model_dump(exclude_unset=True)


def test_a_photo_without_a_face_is_the_same_error_as_everywhere(engine: DiffusionSticker) -> None:
    with pytest.raises(FaceNotFound) as raised:
        drawn_by(engine, "21_noface_rocket.jpg")
    assert raised.value.loc == ("body", "image_url")


def test_auto_takes_diffusion_only_with_all_its_weights(
    sticker_home: Path, networks: Path, tmp_path: Path
) -> None:
    workshop = Workshop(networks, weights=sticker_home)
    assert choose(FACE_TO_STICKER, "auto", workshop).name == "diffusion"
    without = choose(FACE_TO_STICKER, "auto", Workshop(networks, weights=tmp_path))
    assert without.name == "sketch"
    assert "`limner pull instantid`" in without.why
    with pytest.raises(FeatureNotSupported, match="limner pull birefnet-lite"):
        drawn_by(open_engine(Workshop(networks, may_fetch=False, weights=tmp_path)))


def test_an_edge_keeps_the_stickers_colour_and_not_its_backgrounds() -> None:
    """A red disc over green, mixed at its edge as a camera would: the cut-out's edge is red."""
    rows, columns = np.indices((96, 96), dtype=np.float32)
    distance = np.hypot(rows - 48, columns - 48)
    alpha = np.asarray(((34 - distance) / 4).clip(0, 1), np.float32)
    red, green = np.array([200.0, 10, 10]), np.array([10.0, 200, 10])
    mixed = alpha[..., None] * red + (1 - alpha[..., None]) * green
    cutout = cut(mixed.round().astype(np.uint8), alpha)
    edge = (alpha > 0.3) & (alpha < 0.9)
    assert np.abs(cutout[edge][:, :3].astype(int) - red).max() < 25
    np.testing.assert_allclose(cutout[..., 3], alpha * 255, atol=0.51)
    assert not cutout[alpha == 0].any()


def test_a_picture_of_which_nothing_stands_out_is_an_error(sticker_home: Path) -> None:
    cutter = Cutter(sticker_home / "onnx-community/BiRefNet_lite-ONNX/onnx/model.onnx", 1)
    with pytest.raises(BrokenPicture):
        cutter(np.full((64, 64, 3), 90, np.uint8))


def test_guidance_in_an_interval_is_followed_and_told(
    engine: DiffusionSticker, usual: Drawn
) -> None:
    """Karras' two steps are at σ of 14.6 and 0.03: between them guidance rests everywhere."""
    everywhere = drawn_by(engine, x_fast={"guidance_interval": [0, 1000]})
    nowhere = drawn_by(engine, x_fast={"guidance_interval": [0.28, 5.42]})
    assert everywhere.files == usual.files
    assert nowhere.files == drawn_by(engine, guidance_scale=1).files != usual.files
    assert "guidance acts in 0 of 2 steps" in nowhere.said
