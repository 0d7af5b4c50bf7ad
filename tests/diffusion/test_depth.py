"""The optional depth of a photo: what is seen, where it is laid, and that it is off without."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.zoedepth.image_processing_pil_zoedepth import ZoeDepthImageProcessorPil

from limner.diffusion.depth import DepthEye, nearness
from limner.diffusion.keypoints import depth_on_canvas, on_canvas
from limner.diffusion.load import load_depth
from limner.endpoints.base import Workshop
from limner.endpoints.face_to_sticker.diffusion import open_engine
from limner.errors import BrokenPicture
from limner.stages.face import Face
from tests.diffusion import tiny, tiny_homes
from tests.diffusion.conftest import MACHINE, linked
from tests.diffusion.test_sticker_endpoint import drawn_by

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RGB = np.random.default_rng(2).integers(0, 256, (384, 512, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def depth_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth")
    tiny_homes.build_depth(folder)
    return folder


def test_the_network_is_given_what_transformers_own_processor_prepares() -> None:
    """At a size that neither has to scale."""
    seen: list[torch.Tensor] = []

    class Model:
        device, dtype = torch.device("cpu"), torch.float32

        def __call__(self, pixels: torch.Tensor) -> Any:
            seen.append(pixels)
            return type("Answer", (), {"predicted_depth": pixels[:, 0]})

    DepthEye(Model()).see(RGB)
    processor = ZoeDepthImageProcessorPil(do_pad=False)
    expected = processor(Image.fromarray(RGB), return_tensors="pt").pixel_values
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(30, 500), (600, 40), (96, 128)])
def test_a_photo_of_any_shape_has_a_depth_of_that_shape(
    depth_weights: Path, size: tuple[int, int]
) -> None:
    eye = load_depth(depth_weights / tiny.ZOE_REPO, MACHINE)
    photo = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    near = eye.see(photo)
    assert near.shape == size
    assert np.array_equal(near, eye.see(photo))
    assert near.std() > 1


def test_near_is_bright_and_the_nearest_and_farthest_few_are_cut_off() -> None:
    """pipelines.md B.3: the 2nd percentile is white, the 85th is black."""
    near = nearness(np.arange(101.0)[None])[0]
    assert (near[:3] == 255).all()
    assert (near[85:] == 0).all()
    assert near[43] == int((1 - 41 / 83) * 255)
    assert (np.diff(near[3:85].astype(int)) < 0).all()
    assert not nearness(np.ones((4, 4))).any()


def test_a_depth_that_is_no_number_is_an_error() -> None:
    class Model:
        device, dtype = torch.device("cpu"), torch.float32

        def __call__(self, pixels: torch.Tensor) -> Any:
            return type("Answer", (), {"predicted_depth": pixels[:, 0] * torch.nan})

    with pytest.raises(BrokenPicture):
        DepthEye(Model()).see(RGB)


@pytest.mark.parametrize("size", [(256, 256), (144, 256)])
def test_depth_lies_on_the_canvas_where_the_face_does(size: tuple[int, int]) -> None:
    landmarks = np.array([[120, 90], [180, 88], [150, 120], [126, 150], [176, 149]], np.float32)
    face = Face((90.0, 50.0, 120.0, 140.0), landmarks, 0.9)
    near = np.zeros((400, 500), np.uint8)
    near[114:127, 144:157] = 255  # around the nose
    laid = depth_on_canvas(near, face, size)
    assert laid.shape == (size[1], size[0], 3)
    rows, columns = np.nonzero(laid[..., 0] > 127)
    nose = on_canvas(face, size)[2]
    # A pixel's middle lies half a pixel in.
    np.testing.assert_allclose((columns.mean() + 0.5, rows.mean() + 0.5), nose + 0.2, atol=0.6)


def test_a_sticker_keeps_to_the_photos_depth_only_where_both_weights_are(
    sticker_home: Path, depth_weights: Path, networks: Path, tmp_path: Path
) -> None:
    def drawn(*names: str) -> Any:
        home = linked(sticker_home, tmp_path / str(len(names)))
        for name in names:
            shutil.copytree(depth_weights / name, home / name)
        engine = open_engine(Workshop(networks, may_fetch=False, threads=1, weights=home))
        return drawn_by(engine, num_inference_steps=1)

    without, both = drawn(tiny.ZOE_REPO), drawn(tiny.ZOE_REPO, tiny.DEPTH_REPO)
    told = [
        any(step.message == "Depth of the photo seen" for step in each.steps)
        for each in (without, both)
    ]
    assert told == [False, True]
    assert both.files[0] != without.files[0]
