"""A portrait is the person, once, in a scene that fills the picture."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.endpoints.ip_adapter_face_id.schema import IpAdapterFaceIdInput
from limner.endpoints.ip_adapter_face_id.sketch import SketchFaceId
from limner.errors import FaceNotFound
from limner.sketch.instruments import Instruments
from limner.sketch.toon import to_lab
from limner.stages.likeness import likeness
from limner.stages.picture import open_picture
from tests.endpoints.conftest import ASTRONAUT, FACES
from tests.endpoints.portraits import Desk, Portray, portrayed_by

#: One photo of each kind: sides cut off, half a face, close-up, small, painted, tiny, coarse.
PHOTOS = [
    "01_astronaut_frontal.png",
    "03_obama_frontal_dark_skin.jpg",
    "05_obama_partial_face.jpg",
    "06_biden_closeup.jpg",
    "11_vermeer_painting_threequarter.jpg",
    "26_tiny_face_40px.jpg",
    "30_lowres_96px.jpg",
]
SHE = {"01_astronaut_frontal.png", "26_tiny_face_40px.jpg", "30_lowres_96px.jpg"}
HE = {"03_obama_frontal_dark_skin.jpg", "05_obama_partial_face.jpg"}


@pytest.fixture(scope="module")
def tools(networks: Path) -> Instruments:
    return Instruments(networks, 2, False, None)


def test_every_portrait_is_the_person_in_the_photo_and_nobody_else(
    portray: Portray, tools: Instruments
) -> None:
    """Found and measured anew in the finished picture, with the default model type."""
    photos, portraits = {}, {}
    for photo in PHOTOS:
        found = tools.detector.find(open_picture((FACES / photo).read_bytes()).rgb)
        photos[photo] = tools.recogniser.embed(found.rgb, found.face)
        picture = portray(photo, width=512, height=512, prompt="at the beach").picture
        faces = tools.detector.detect(picture, 640)
        assert len(faces) == 1, photo
        portraits[photo] = tools.recogniser.embed(picture, faces[0])
        # Framed: a face of a good size whose middle is in the middle half of the picture.
        x, y, width, height = faces[0].box
        assert 0.25 < height / 512 < 0.85, photo
        assert "partial" in photo or 128 < x + width / 2 < 384, photo
        assert 128 < y + height / 2 < 384, photo
    own = [likeness(photos[photo], portraits[photo]) for photo in PHOTOS]
    assert np.mean(own) > 0.65
    assert min(own) > 0.5
    for photo in PHOTOS:
        same = SHE if photo in SHE else HE if photo in HE else {photo}
        strangers = [
            likeness(photos[photo], portraits[other]) for other in PHOTOS if other not in same
        ]
        assert max(strangers) < likeness(photos[photo], portraits[photo])


def test_the_likeness_told_is_that_of_the_finished_picture(
    portray: Portray, tools: Instruments
) -> None:
    drawn = portray(width=512, height=512, return_scores=True)
    found = tools.detector.find(open_picture((FACES / ASTRONAUT).read_bytes()).rgb)
    face = tools.detector.detect(drawn.picture, 640)[0]
    own = tools.recogniser.embed(found.rgb, found.face)
    measured = likeness(own, tools.recogniser.embed(drawn.picture, face))
    # The detector places the eyes anew, a pixel or two away.
    assert drawn.likeness == pytest.approx(measured, abs=0.04)
    assert f"Likeness to the photo: {drawn.likeness:.2f}" in drawn.said


def test_dark_skin_is_not_bleached(portray: Portray, tools: Instruments) -> None:
    photo = "04_obama_speaking.jpg"
    found = tools.detector.find(open_picture((FACES / photo).read_bytes()).rgb)
    for style in ("pencil", "ink", "oil"):
        picture = portray(photo, width=512, height=512, prompt=style).picture
        face = tools.detector.detect(picture, 640)[0]
        before, after = (
            cheeks(each, landmarks)
            for each, landmarks in ((found.rgb, found.face.landmarks), (picture, face.landmarks))
        )
        assert after < before + 25, style


def in_the_dark(photo: str, stops: int) -> bytes:
    """A zip of the photo with a 2 ** stops of its light (sRGB, IEC 61966-2-1)."""
    value = np.asarray(Image.open(FACES / photo).convert("RGB")) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = linear / 2**stops
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    packed, picture = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.round(255 * value).astype(np.uint8)).save(picture, "PNG")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("dark.png", picture.getvalue())
    return packed.getvalue()


@pytest.mark.parametrize("photo", [ASTRONAUT, "03_obama_frontal_dark_skin.jpg"])
def test_a_photo_taken_in_the_dark_comes_out_no_mud_in_oil(
    portray: Portray, tools: Instruments, photo: str
) -> None:
    """Three stops darker, skin is drawn nearly as light as in good light, and of its colour."""
    skins = []
    for given in ({"photo": photo}, {"photo": None, "archive": in_the_dark(photo, 3)}):
        picture = portray(**given, width=512, height=512, prompt="oil").picture
        face = tools.detector.detect(picture, 640)[0]
        skins.append(cheeks_in_lab(picture, face.landmarks))
    found = tools.detector.find(np.asarray(Image.open(FACES / photo).convert("RGB")))
    own = cheeks_in_lab(found.rgb, found.face.landmarks)
    lit, dark = skins
    assert dark[0] > lit[0] - 20
    for drawn in skins:
        # Lab's a, red against green: of the photo's own at least half.
        assert drawn[1] > 0.5 * own[1]


def cheeks_in_lab(rgb: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The mean of both cheeks: CIE Lab, L 0…100."""
    reach = max(1, int(np.hypot(*(landmarks[1] - landmarks[0])) * 0.15))
    middles = [(landmarks[0] + landmarks[3]) / 2, (landmarks[1] + landmarks[4]) / 2]
    patches = [
        to_lab(rgb[int(y) - reach : int(y) + reach, int(x) - reach : int(x) + reach])
        for x, y in middles
    ]
    return np.concatenate([each.reshape(-1, 3) for each in patches]).mean(axis=0)


def cheeks(rgb: np.ndarray, landmarks: np.ndarray) -> float:
    """The median grey level of both cheeks, 0…255."""
    reach = max(1, int(np.hypot(*(landmarks[1] - landmarks[0])) * 0.1))
    middles = [(landmarks[0] + landmarks[3]) / 2, (landmarks[1] + landmarks[4]) / 2]
    patches = [
        rgb[int(y) - reach : int(y) + reach, int(x) - reach : int(x) + reach].mean(axis=2).ravel()
        for x, y in middles
    ]
    return float(np.median(np.concatenate(patches)))


def test_the_scene_is_the_prompts_and_fills_the_picture(portray: Portray) -> None:
    corners = {
        prompt: portray(prompt=prompt, width=512, height=288).picture[:60, :60].mean(axis=(0, 1))
        for prompt in ("in a forest", "a synthwave night city", "by the sea", "red background")
    }
    red, green, blue = range(3)
    assert corners["in a forest"].argmax() == green
    assert corners["a synthwave night city"].mean() < 90
    assert corners["by the sea"].argmax() == blue
    assert corners["red background"].argmax() == red
    wide = portray(prompt="by the sea", width=512, height=288).picture
    assert not (wide == 0).all(axis=2).any()


def test_glasses_are_put_on(portray: Portray) -> None:
    bare, worn = (
        portray(prompt=prompt, width=512, height=512).picture.astype(int)
        for prompt in ("a person", "a person with sunglasses")
    )
    darker = (bare - worn).mean(axis=2)
    rows, columns = np.nonzero(darker > 40)
    assert len(rows) > 1500
    # At eye level, and not all over.
    assert 0.3 * 512 < np.median(rows) < 0.55 * 512
    assert np.percentile(rows, 90) - np.percentile(rows, 10) < 0.3 * 512
    assert 0.3 * 512 < np.median(columns) < 0.7 * 512


class Alarm:
    """Stands in for a classifier that finds everything unsafe: we have no such picture."""

    def unsafe(self, _: object) -> bool:
        return True


def test_what_is_not_safe_comes_out_black_and_is_told(
    face_id_engine: SketchFaceId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.sketch.instruments.Instruments.safety", Alarm())
    drawn = portrayed_by(face_id_engine, num_samples=2, return_samples=True)
    assert len(drawn.files) == 2
    assert not drawn.picture.any()
    warned = [step for step in drawn.steps if "Not safe for work" in step.message]
    assert [step.level for step in warned] == ["WARN", "WARN"]


def test_a_photo_without_a_face_is_refused_at_its_field(portray: Portray) -> None:
    with pytest.raises(FaceNotFound, match="tried 640 px") as caught:
        portray("21_noface_rocket.jpg")
    assert caught.value.loc == ("body", "face_image_url")


def test_it_stops_between_two_steps(face_id_engine: SketchFaceId) -> None:
    desk = Desk()
    wishes = {"prompt": "x", "face_image_url": ASTRONAUT, "num_samples": 1, "width": 64}
    asked = IpAdapterFaceIdInput.model_validate(wishes)
    work = face_id_engine.draw(asked, desk)
    while not next(work).message.startswith("Step 2 "):
        pass
    work.close()
    assert desk.kept == []
