"""The latent directions: their table, their sums, and that they do something in a drawing."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from limner.sketch.directions import DIRECTIONS, STRONGEST, move
from limner.sketch.networks import locate
from limner.sketch.stylizer import Stylizer

LATENT = np.random.default_rng(1).normal(size=(12, 512)).astype(np.float32)


def test_the_file_holds_just_the_directions_of_the_table() -> None:
    stored = files("limner.sketch").joinpath("directions.npz")
    with stored.open("rb") as opened, np.load(opened) as learnt:
        assert set(learnt) == {*DIRECTIONS, "average"}
        assert learnt["average"].shape == (12, 512)
        for name in DIRECTIONS:
            assert learnt[name].shape == (3, 512) and learnt[name].dtype == np.float16
            assert np.isfinite(learnt[name]).all()
    assert len(stored.read_bytes()) < 200_000


def test_nothing_asked_is_nothing_moved() -> None:
    np.testing.assert_array_equal(move(LATENT, {}), LATENT)
    np.testing.assert_array_equal(move(LATENT, {"smile": 0.0}), LATENT)
    assert move(LATENT, {}) is not LATENT


def test_directions_add_up_and_go_both_ways() -> None:
    both = move(LATENT, {"glasses": 1.0, "smile": 0.5})
    glasses, smile = move(LATENT, {"glasses": 1.0}), move(LATENT, {"smile": 0.5})
    np.testing.assert_allclose(both - LATENT, (glasses - LATENT) + (smile - LATENT), atol=1e-5)
    back = move(glasses, {"glasses": -1.0})
    np.testing.assert_allclose(back, LATENT, atol=1e-5)
    assert np.linalg.norm(glasses - LATENT) > 5


def test_four_rows_of_the_latent_move_alike() -> None:
    change = move(LATENT, {"beard": 1.0}) - LATENT
    for first in (0, 4, 8):
        for row in range(first, first + 4):
            np.testing.assert_allclose(change[row], change[first], atol=1e-5)
    assert np.abs(change[0] - change[4]).max() > 0.01


def test_strengths_are_cut_off_and_names_must_be_known() -> None:
    np.testing.assert_array_equal(move(LATENT, {"smile": 50.0}), move(LATENT, {"smile": STRONGEST}))
    np.testing.assert_array_equal(
        move(LATENT, {"smile": -50.0}), move(LATENT, {"smile": -STRONGEST})
    )
    with pytest.raises(KeyError, match="monocle"):
        move(LATENT, {"monocle": 1.0})


#: Rows and columns of the aligned drawing where a direction should show most.
EYES = (slice(95, 140), slice(60, 196))
MOUTH = (slice(155, 205), slice(85, 171))
TOP = (slice(0, 60), slice(60, 196))


@pytest.mark.networks
@pytest.mark.parametrize(
    ("name", "here", "elsewhere", "darker"),
    [
        ("sunglasses", EYES, MOUTH, True),
        ("glasses", EYES, TOP, True),
        ("beard", MOUTH, TOP, True),
        ("makeup", MOUTH, TOP, True),
        ("dark_hair", TOP, MOUTH, True),
        ("grey_hair", TOP, MOUTH, False),
        ("blond_hair", TOP, MOUTH, False),
    ],
)
def test_a_direction_changes_the_drawing_where_it_should(
    name: str, here: tuple[slice, slice], elsewhere: tuple[slice, slice], darker: bool,
    mean_faces: tuple[Stylizer, np.ndarray],
) -> None:  # fmt: skip
    stylizer, latent = mean_faces
    plain = stylizer.draw("color-sketch", latent, 0, 0.0).astype(int)
    drawn = stylizer.draw("color-sketch", move(latent, {name: 1.0}), 0, 0.0).astype(int)
    change = (drawn - plain).mean(2)
    assert np.abs(change[here]).mean() > 1.2 * np.abs(change[elsewhere]).mean()
    assert np.abs(change[here]).mean() > 4
    assert (change[here].mean() < 0) == darker


@pytest.fixture(scope="module")
def mean_faces(networks: Path) -> tuple[Stylizer, np.ndarray]:
    """The stylizer, and the latent of a plain grey picture: the networks' average face."""
    encoder = locate("face-stylizer-encoder", networks)
    sketch = locate("face-stylizer-color-sketch", networks)
    assert encoder is not None and sketch is not None
    stylizer = Stylizer(encoder, {"color-sketch": sketch}, threads=2)
    return stylizer, stylizer.encode(np.full((256, 256, 3), 128, np.uint8))
