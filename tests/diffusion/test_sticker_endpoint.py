"""face-to-sticker on the diffusion engine, as a worker calls it, on tiny checkpoints."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.diffusion.holdings import Holdings
from limner.diffusion.weights import ENDPOINT_NEEDS, WEIGHTS
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
from tests.diffusion import tiny
from tests.endpoints.conftest import ASTRONAUT, Album

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="session")
def home(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights with everything stickers need, their licences accepted."""
    folder = tmp_path_factory.mktemp("sticker-home")
    tiny.build_sticker(folder)
    (folder / "frankjoshua").mkdir()
    (folder / "frankjoshua" / "albedobaseXL_v13").symlink_to(weights / tiny.BASES["sdxl"])
    (folder / "h94/IP-Adapter/models").symlink_to((weights / tiny.CLIP_FOLDER).parent)
    tiny.write_arcface(folder / "DIAMONIK7777/antelopev2/glintr100.onnx")
    tiny.write_cutter(folder / "onnx-community/BiRefNet_lite-ONNX/onnx/model.onnx")
    for name in ENDPOINT_NEEDS[FACE_TO_STICKER.id]:
        if not WEIGHTS[name].commercial:
            Holdings(folder, commercial=False).accept(name)
    return folder


@pytest.fixture(scope="session")
def engine(home: Path, networks: Path) -> DiffusionSticker:
    return open_engine(Workshop(networks, may_fetch=False, threads=1, weights=home))


@dataclasses.dataclass
class Drawn:
    output: FaceToStickerOutput
    files: list[bytes]
    steps: list[Step]

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
    ],
)
def test_what_is_asked_for_is_seen(
    engine: DiffusionSticker, usual: Drawn, change: dict[str, Any]
) -> None:
    assert drawn_by(engine, **change).files[0] != usual.files[0]


def test_upscaled_is_exactly_twice_the_size(engine: DiffusionSticker) -> None:
    drawn = drawn_by(engine, upscale=True)
    assert drawn.picture(0).shape == (192, 128, 3)
    assert drawn.picture(1).shape == (192, 128, 4)


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
    home: Path, networks: Path, tmp_path: Path
) -> None:
    assert choose(FACE_TO_STICKER, "auto", Workshop(networks, weights=home)).name == "diffusion"
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


def test_a_picture_of_which_nothing_stands_out_is_an_error(home: Path) -> None:
    cutter = Cutter(home / "onnx-community/BiRefNet_lite-ONNX/onnx/model.onnx", 1)
    with pytest.raises(BrokenPicture):
        cutter(np.full((64, 64, 3), 90, np.uint8))
