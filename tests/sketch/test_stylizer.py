"""Aligning faces, and drawing them with the real networks."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from limner.sketch.networks import locate
from limner.sketch.stylizer import Picture, Stylizer, align

#: Eyes, nose and the mouth's corners of an upright face with eyes 60 pixels apart.
FACE = np.array([[170, 200], [230, 200], [200, 235], [178, 270], [222, 270]], np.float64)


def painted(width: int = 400, height: int = 400) -> Picture:
    """A picture whose red says how far right a pixel is, and green how far down."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 250, width)[None]
    picture[..., 1] = np.linspace(0, 250, height)[:, None]
    return picture


def mapped(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ affine[:, :2].T + affine[:, 2]


def test_an_upright_face_lands_where_the_encoder_expects_it() -> None:
    """side = max(4·60, 3.6·70) = 252, centre = (200, 207): written down from FFHQ's rule."""
    crop, affine = align(painted(), FACE)
    assert crop.shape == (256, 256, 3) and crop.dtype == np.uint8
    expected = (FACE - [200 - 126, 207 - 126]) * 256 / 252
    np.testing.assert_allclose(mapped(affine, FACE), expected, atol=1e-3)


@pytest.mark.parametrize("degrees", [-170, -40, 15, 90])
def test_a_turned_face_is_turned_upright(degrees: float) -> None:
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = (FACE - 200) @ rotation.T + 200
    _, upright = align(painted(), FACE)
    _, affine = align(painted(), turned)
    np.testing.assert_allclose(mapped(affine, turned), mapped(upright, FACE), atol=1e-2)


@pytest.mark.parametrize("factor", [1.0, 3.7, 8.0])
def test_the_crop_shows_what_the_affine_says(factor: float) -> None:
    """Also when a large picture is shrunk on the way."""
    size = round(400 * factor)
    crop, affine = align(painted(size, size), FACE * factor)
    spots = np.array([[60, 80], [128, 128], [200, 180]], np.float64)
    inverse = np.linalg.inv(affine[:, :2].astype(np.float64))
    there = (spots - affine[:, 2]) @ inverse.T
    for (x, y), (column, row) in zip(spots.astype(int), there, strict=True):
        expected = np.array([column, row]) * 250 / (size - 1)
        np.testing.assert_allclose(crop[y, x, :2], expected, atol=1.0)


def test_a_checkerboard_of_a_large_picture_does_not_alias() -> None:
    rows, columns = np.mgrid[0:3200, 0:3200]
    checks = ((rows + columns) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    crop, _ = align(checks, FACE * 8)
    assert crop.std() < 3


@pytest.fixture(scope="module")
def stylizer(networks: Path) -> Stylizer:
    found = {name: locate(f"face-stylizer-{name}", networks) for name in ("color-ink", "oil")}
    encoder = locate("face-stylizer-encoder", networks)
    assert encoder is not None
    return Stylizer(encoder, {name: path for name, path in found.items() if path}, threads=2)


def face_like(seed: int = 0) -> Picture:
    """A blurry oval on a ground: enough for the encoder to answer something steady."""
    rows, columns = np.mgrid[0:256, 0:256]
    oval = ((rows - 128) / 100) ** 2 + ((columns - 128) / 75) ** 2 < 1
    picture = np.where(oval[..., None], [220, 180, 150], [90, 110, 140])
    grain = np.random.default_rng(seed).normal(size=(256, 256, 3)) * 5
    return (picture + grain).clip(0, 255).astype(np.uint8)


@pytest.mark.networks
def test_the_same_face_and_seed_give_the_same_bytes(stylizer: Stylizer) -> None:
    wplus = stylizer.encode(face_like())
    assert wplus.shape == (12, 512) and wplus.dtype == np.float32
    drawn = stylizer.draw("color-ink", wplus, seed=5, noise_scale=1.0)
    assert drawn.shape == (256, 256, 3) and drawn.dtype == np.uint8
    assert drawn.std() > 10
    np.testing.assert_array_equal(stylizer.encode(face_like()), wplus)
    np.testing.assert_array_equal(stylizer.draw("color-ink", wplus, 5, 1.0), drawn)


@pytest.mark.networks
def test_seed_noise_style_and_latent_all_matter(stylizer: Stylizer) -> None:
    wplus = stylizer.encode(face_like())
    drawn = stylizer.draw("color-ink", wplus, 5, 1.0).astype(int)
    others = [
        stylizer.draw("color-ink", wplus, 6, 1.0),
        stylizer.draw("color-ink", wplus, 5, 0.0),
        stylizer.draw("oil", wplus, 5, 1.0),
        stylizer.draw("color-ink", wplus + np.float32(0.1), 5, 1.0),
    ]
    for other in others:
        assert np.abs(other - drawn).mean() > 0.5
    still = stylizer.draw("color-ink", wplus, 6, 0.0)
    np.testing.assert_array_equal(still, others[1])  # no grain: the seed says nothing


@pytest.mark.networks
def test_several_threads_draw_as_one_does(stylizer: Stylizer) -> None:
    faces = [face_like(seed) for seed in range(4)]

    def work(number: int) -> Picture:
        return stylizer.draw("color-ink", stylizer.encode(faces[number]), number, 1.0)

    alone = [work(number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(4)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.networks
def test_a_face_of_another_size_is_refused(stylizer: Stylizer) -> None:
    with pytest.raises(ValueError, match="256×256 RGB"):
        stylizer.encode(np.zeros((128, 128, 3), np.uint8))
