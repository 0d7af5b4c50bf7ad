"""A face is drawn however its photo is stored, and the one that was pointed at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.endpoints.face_to_sticker.sketch import SketchSticker
from limner.errors import FaceNotFound, ImageTooLarge, InputProblem
from limner.sketch.networks import locate
from limner.stages.face import FaceDetector
from limner.stages.likeness import Recogniser, likeness
from limner.stages.limits import Limits
from limner.stages.picture import open_picture
from tests.endpoints.conftest import ASTRONAUT, FACES, Draw, drawn_by

TWO = "08_two_people.jpg"
PLAIN = Image.open(FACES / ASTRONAUT).convert("RGB")
NO_FACE = Image.open(FACES / "21_noface_rocket.jpg").convert("RGB").resize(PLAIN.size)

#: How a photo is stored so that each EXIF orientation shows it upright (EXIF 2.3, 4.6.4 A).
STORED: dict[int, tuple[Image.Transpose, ...]] = {
    1: (),
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_90,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_270,),
}


def saved(image: Image.Image, path: Path, **options: Any) -> str:
    image.save(path, **options)
    return str(path)


def animated(image: Image.Image, path: Path, **options: Any) -> str:
    """``image`` first, and a picture without a face after it."""
    saved(image, path, save_all=True, append_images=[NO_FACE], duration=100, **options)
    with Image.open(path) as stored:
        assert getattr(stored, "n_frames", 1) == 2
    return str(path)


def turned(path: Path, orientation: int) -> str:
    stored, exif = PLAIN, Image.Exif()
    for turn in STORED[orientation]:
        stored = stored.transpose(turn)
    exif[0x0112] = orientation
    return saved(stored, path, exif=exif)


def pixels(path: str) -> Any:
    return open_picture(Path(path).read_bytes()).rgb


@pytest.mark.parametrize("orientation", STORED)
def test_every_exif_orientation_is_the_same_upright_photo(tmp_path: Path, orientation: int) -> None:
    assert np.array_equal(pixels(turned(tmp_path / "me.png", orientation)), np.asarray(PLAIN))


def test_a_turned_or_moving_photo_is_the_same_sticker_to_the_byte(
    draw: Draw, tmp_path: Path
) -> None:
    plain = draw()
    odd = [
        turned(tmp_path / "5.png", 5),
        animated(PLAIN, tmp_path / "me.png"),
        animated(PLAIN, tmp_path / "me.webp", lossless=True, exact=True),
        animated(PLAIN, tmp_path / "me.tiff"),
    ]
    for path in odd:
        assert np.array_equal(pixels(path), np.asarray(PLAIN))
    # From the same pixels the same bytes: two stand for all.
    for path in odd[0], odd[2]:
        assert draw(path).files == plain.files


def test_few_colours_moving_or_not_are_the_same_sticker(draw: Draw, tmp_path: Path) -> None:
    few = PLAIN.quantize(256)
    still = draw(saved(few, tmp_path / "me.png"))
    assert draw(animated(few, tmp_path / "me.gif")).files == still.files


def test_sixteen_bits_of_gray_are_the_same_sticker_as_eight(draw: Draw, tmp_path: Path) -> None:
    gray = np.asarray(PLAIN.convert("L"))
    deep = saved(Image.fromarray(gray.astype(np.uint16) * 257), tmp_path / "16.png")
    with Image.open(deep) as stored:
        assert stored.mode.startswith("I")
    assert draw(deep).files == draw(saved(Image.fromarray(gray), tmp_path / "8.png")).files


def test_what_is_see_through_is_white_paper(draw: Draw, tmp_path: Path) -> None:
    """A cut-out portrait: transparent or laid on white, it is one sticker."""
    mask = Image.new("L", PLAIN.size, 0)
    mask.paste(255, (30, 0, 150, 192))
    clear, white = PLAIN.copy(), Image.new("RGB", PLAIN.size, "white")
    clear.putalpha(mask)
    white.paste(PLAIN, mask=mask)
    one, two = saved(clear, tmp_path / "clear.png"), saved(white, tmp_path / "white.png")
    assert draw(one).files == draw(two).files


# The faces of the photo of two, largest first, with the centre of each by eye (x, y; of 800).
CENTRES = {0: (610, 108), 1: (222, 92)}


@pytest.mark.parametrize("index", CENTRES)
def test_the_face_that_is_pointed_at_is_drawn(draw: Draw, networks: Path, index: int) -> None:
    x, y = CENTRES[index]
    by_index = draw(TWO, face_index=index, image_size="square")
    by_box = draw(TWO, face_box=[x - 40, y - 40, 80, 80], image_size="square")
    assert by_box.files == by_index.files
    assert "2 faces found; yours is taken" in by_index.said
    assert not any(step.level == "WARN" for step in by_index.steps)
    yunet, sface = locate("yunet", networks), locate("sface", networks)
    assert yunet is not None
    assert sface is not None
    detector, recogniser = FaceDetector(yunet), Recogniser(sface)
    photo = detector.find(open_picture((FACES / TWO).read_bytes()).rgb)
    sticker = detector.find(by_index.plain)
    drawn = recogniser.embed(sticker.rgb, sticker.face)
    alike = [likeness(drawn, recogniser.embed(photo.rgb, face)) for face in photo.faces]
    assert int(np.argmax(alike)) == index
    assert alike[index] > 0.4


def test_without_a_wish_two_faces_are_a_warning(draw: Draw) -> None:
    warned = [step.message for step in draw(TWO).steps if step.level == "WARN"]
    assert any("of nearly the same size: the largest is taken" in message for message in warned)


def test_in_a_photo_that_is_upside_down_a_box_means_what_the_caller_sees(draw: Draw) -> None:
    # The face is at (83, 46) of 192 in the upright photo, so at (109, 146) in this one.
    photo = "29_upside_down.png"
    assert draw(photo, face_box=[99, 136, 20, 20]).files == draw(photo).files
    with pytest.raises(FaceNotFound, match="No face overlaps"):
        draw(photo, face_box=[73, 36, 20, 20])


@pytest.mark.parametrize(
    ("wish", "field", "said"),
    [
        ({"face_index": 2}, "face_index", "There are 2 faces"),
        ({"face_box": [0, 400, 30, 30]}, "face_box", "Faces were found at"),
        ({"face_index": 0, "face_box": [0, 0, 9, 9]}, "face_box", "not both"),
    ],
)
def test_a_face_that_is_not_there_is_refused_at_its_field(
    draw: Draw, wish: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(InputProblem, match=said) as caught:
        draw(TWO, **wish)
    assert caught.value.loc == ("body", field)


def test_the_operators_limits_are_the_engines(engine: SketchSticker) -> None:
    instruments = engine._instruments  # the networks are opened only once
    with pytest.raises(ImageTooLarge) as caught:
        small = {"width": 64, "height": 64}
        drawn_by(SketchSticker(instruments, Limits(max_pixels=192 * 192 - 1)), image_size=small)
    assert caught.value.loc == ("body", "image_url")
