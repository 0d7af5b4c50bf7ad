"""What is kept of each photo of a person, and what is told of them, whoever looks.

The eyes are put in the place of the networks': a face is where the test says.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from limner.endpoints.base import Step
from limner.endpoints.ip_adapter_face_id.faces import Eyes, Observer, Sighting
from limner.endpoints.ip_adapter_face_id.schema import IpAdapterFaceIdInput
from limner.errors import FaceNotFound, InputProblem
from limner.sketch.identity import Identity
from limner.stages.face import Face, Found
from limner.stages.limits import Limits

Pixels = npt.NDArray[np.uint8]

#: Eyes, nose and corners of the mouth, and where a mirror shows each.
POINTS = np.array([[310, 215], [330, 216], [321, 225], [312, 236], [329, 235]], np.float32)
SWAPPED = [1, 0, 2, 4, 3]
FACE = Face((300, 200, 40, 50), POINTS, 0.9)
OTHER = Face((520, 100, 20, 30), POINTS + np.array([210, -110], np.float32), 0.8)


@dataclass
class Looking:
    """In the place of a detector and a recogniser."""

    faces: tuple[Face, ...] = (FACE,)
    tried: tuple[str, ...] = ("640 px",)
    asked_size: list[int] = field(default_factory=list[int])
    seen: list[tuple[Pixels, Face]] = field(default_factory=list[tuple[Pixels, Face]])

    @property
    def detector(self) -> Any:
        return self

    @property
    def recogniser(self) -> Any:
        return self

    def find(self, rgb: Pixels, size: int) -> Found:
        self.asked_size.append(size)
        if not rgb.any():
            raise FaceNotFound("black")
        return Found(rgb, self.faces, self.tried, 0)

    def embed(self, rgb: Pixels, face: Face) -> npt.NDArray[np.float32]:
        self.seen.append((rgb, face))
        return np.array([3, 4] if len(self.seen) % 2 else [4, 3], np.float32)


class Sent:
    """What a caller sends: bytes by their names."""

    def __init__(self, **files: bytes) -> None:
        self.read = files.__getitem__


def png(rgb: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return file.getvalue()


def archive(*photos: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for number, photo in enumerate(photos, 1):
            made.writestr(f"{number}.png", photo)
    return file.getvalue()


PHOTO = np.random.default_rng(1).integers(1, 256, (400, 640, 3), np.uint8)
BLACK = png(np.zeros((64, 64, 3), np.uint8))


def look(
    eyes: Looking, sent: Sent, *, mirrored: bool = False, **wishes: Any
) -> tuple[list[Sighting], Identity, list[Step]]:
    input = IpAdapterFaceIdInput.model_validate({"prompt": "", **wishes})
    pictures: Any = sent
    tools: Eyes = eyes
    work = Observer(input, pictures, tools, Limits(), mirrored=mirrored).look()
    steps = list[Step]()
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return *end.value, steps


def at(rgb: Pixels, points: npt.NDArray[np.float32]) -> Pixels:
    x, y = points.astype(int).T
    return rgb[y, x]


def within(rgb: Pixels, face: Face) -> Pixels:
    x, y, w, h = map(round, face.box)
    return rgb[y : y + h, x : x + w]


def test_of_a_photo_the_part_around_the_face_is_kept_and_faces_are_in_its_pixels() -> None:
    eyes = Looking(faces=(FACE, OTHER))
    (seen,), _, _ = look(eyes, Sent(me=png(PHOTO)), face_image_url="me", face_id_det_size=512)
    assert eyes.asked_size == [512]
    assert seen.rgb.size < PHOTO.size
    assert (seen.faces[0].score, seen.faces[1].score) == (0.9, 0.8)
    assert np.array_equal(within(seen.rgb, seen.faces[0]), within(PHOTO, FACE))
    assert np.array_equal(at(seen.rgb, seen.faces[0].landmarks), at(PHOTO, POINTS))
    for moved, face in zip(seen.faces, (FACE, OTHER), strict=True):
        shift = np.subtract(moved.box, face.box)
        assert np.array_equal(moved.landmarks - face.landmarks, np.tile(shift[:2], (5, 1)))
        assert (shift[2:] == 0).all()
    assert seen.crop.shape == (256, 256, 3)
    assert seen.embedding == pytest.approx([0.6, 0.8])
    ((rgb, face),) = eyes.seen
    assert np.array_equal(rgb, PHOTO)
    assert face is FACE


def test_mirrored_an_embedding_is_of_the_face_and_of_its_mirror_image() -> None:
    eyes = Looking()
    (seen,), _, _ = look(eyes, Sent(me=png(PHOTO)), face_image_url="me", mirrored=True)
    (_, _), (turned, there) = eyes.seen
    assert np.array_equal(turned, PHOTO[:, ::-1])
    assert np.array_equal(within(turned, there), within(PHOTO, FACE)[:, ::-1])
    # The person's right eye is the mirror image's left one.
    assert np.array_equal(at(turned, there.landmarks), at(PHOTO, POINTS[SWAPPED]))
    assert there.score == FACE.score
    assert seen.embedding == pytest.approx([0.5**0.5, 0.5**0.5])
    assert np.array_equal(FACE.landmarks, POINTS)


ALIKE = Face((10, 10, 38, 48), POINTS, 0.7)


@pytest.mark.parametrize("tried", [("640 px",), ("640 px", "320 px")])
@pytest.mark.parametrize(
    ("faces", "chosen", "level", "said"),
    [
        ((FACE,), {}, "INFO", "1 face found"),
        ((FACE, OTHER), {}, "INFO", "2 faces found"),
        ((FACE, ALIKE), {}, "WARN", "2 faces found, of nearly the same size: the largest is taken"),
        ((FACE, ALIKE), {"face_index": 1}, "INFO", "2 faces found; yours is taken"),
        ((FACE,), {"face_box": [300, 200, 40, 50]}, "INFO", "1 face found; yours is taken"),
    ],
)
def test_whose_face_is_taken_is_told_and_a_doubt_is_a_warning(
    tried: tuple[str, ...],
    faces: tuple[Face, ...],
    chosen: dict[str, Any],
    level: str,
    said: str,
) -> None:
    eyes = Looking(faces, tried)
    _, _, steps = look(eyes, Sent(me=png(PHOTO)), face_image_url="me", **chosen)
    more = "; tried: 640 px, 320 px" if len(tried) > 1 else ""
    assert [(step.message, step.level) for step in steps] == [
        ("Photo read: 640×400 pixels", "INFO"),
        (said + more, level),
    ]
    assert eyes.seen[0][1] is faces[chosen.get("face_index", 0)]


def test_of_an_archive_each_photo_is_looked_at_and_one_without_a_face_left_out() -> None:
    sent = Sent(many=archive(png(PHOTO), BLACK, png(PHOTO)), me=png(PHOTO))
    seen, identity, steps = look(
        Looking(), sent, face_images_data_url="many", face_image_url="me", face_index=0
    )
    assert (len(seen), identity.kept) == (3, (0, 1, 2))
    assert [(step.message, step.level) for step in steps] == [
        ("Photo read: 640×400 pixels", "INFO"),
        ("1 face found; yours is taken", "INFO"),
        ("Archive read: 3 photos", "INFO"),
        ("Face found in photo 1 of 3", "DEBUG"),
        ("Photo 2 of the archive is left out: no face found", "WARN"),
        ("Face found in photo 3 of 3", "DEBUG"),
        ("One identity of 3 faces, drawn from face 1", "INFO"),
    ]


def test_of_an_archive_of_one_there_is_nothing_to_average_and_no_face_to_choose() -> None:
    sent = Sent(one=archive(png(PHOTO)))
    wishes: list[dict[str, Any]] = [{"face_index": 0}, {"face_box": [0, 0, 9, 9]}]
    for wish in wishes:
        _, _, steps = look(Looking(), sent, face_images_data_url="one", **wish)
        assert steps[0].level == "WARN"
        assert "not sent: not used" in steps[0].message
        assert [step.message for step in steps[1:]] == [
            "Archive read: 1 photo",
            "Face found in photo 1 of 1",
        ]


def test_without_a_face_it_is_said_at_the_field_that_was_to_have_one() -> None:
    sent = Sent(none=archive(BLACK, BLACK), bad=archive(png(PHOTO), b"no picture"), black=BLACK)
    cases: list[tuple[str, type[InputProblem], str, dict[str, Any]]] = [
        ("face_image_url", InputProblem, "No face was given", {}),
        ("face_image_url", FaceNotFound, "black", {"face_image_url": "black"}),
        ("face_images_data_url", FaceNotFound, r"archive \(2\)", {"face_images_data_url": "none"}),
        ("face_images_data_url", InputProblem, "^.*2.*in the archive: .+",
         {"face_images_data_url": "bad"}),
    ]  # fmt: skip
    for place, fault, said, wishes in cases:
        with pytest.raises(fault) as refused:
            look(Looking(), sent, **wishes)
        assert refused.value.loc == ("body", place)
        assert re.search(said, refused.value.msg)
