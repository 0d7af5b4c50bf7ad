"""Every input of ip-adapter-face-id changes the picture, and nothing else does."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from limner.endpoints.ip_adapter_face_id.recipes import TYPES
from limner.endpoints.ip_adapter_face_id.sketch import SketchFaceId
from limner.errors import (
    ArchiveTooFewFiles,
    FaceNotFound,
    ImageLoadError,
    InputProblem,
    InvalidArchive,
)
from tests.endpoints.conftest import FACES
from tests.endpoints.portraits import Portray, portrayed_by, zipped

OBAMA = "03_obama_frontal_dark_skin.jpg"


def differ(one: Any, other: Any, share: float = 0.01) -> bool:
    """By more than stray bits: a visible share of the pixels, by a visible amount."""
    apart = np.abs(one.picture.astype(int) - other.picture)
    return bool((apart.max(axis=2) > 6).mean() > share)


@pytest.mark.parametrize(
    ("plain", "changed"),
    [
        ({}, {"prompt": "a person in a forest"}),
        ({}, {"prompt": "a person with sunglasses"}),
        ({}, {"prompt": "an oil painting of a person"}),
        ({}, {"prompt": "a toon of a person"}),
        ({}, {"prompt": "a person, white background"}),
        ({}, {"negative_prompt": ""}),
        ({}, {"negative_prompt": "smile"}),
        ({}, {"photo": OBAMA}),
        ({}, {"seed": 8}),
        ({}, {"seed": 0}),
        ({}, {"guidance_scale": 2.0}),
        ({"prompt": "sea"}, {"prompt": "sea", "guidance_scale": 15.0}),
        ({}, {"num_inference_steps": 16}),
        ({}, {"width": 320}),
        ({}, {"height": 192}),
        ({"photo": "08_two_people.jpg"}, {"photo": "08_two_people.jpg", "face_index": 1}),
        ({"photo": "08_two_people.jpg"}, {"photo": "08_two_people.jpg", "face_id_det_size": 96}),
    ],
    ids=lambda wishes: "-".join(f"{key}={value}" for key, value in wishes.items()) or "usual",
)
def test_each_input_changes_the_picture(
    portray: Portray, plain: dict[str, Any], changed: dict[str, Any]
) -> None:
    before, after = portray(**plain), portray(**changed)
    if before.picture.shape == after.picture.shape:
        assert differ(before, after)
    else:
        wide, tall = changed.get("width", 256), changed.get("height", 256)
        assert after.picture.shape == (tall, wide, 3)


def test_each_model_type_draws_its_own_picture(portray: Portray) -> None:
    drawn = {name: portray(model_type=name) for name in TYPES}
    names = list(TYPES)
    for position, one in enumerate(names):
        for other in names[position + 1 :]:
            assert differ(drawn[one], drawn[other]), (one, other)


def test_plus_is_more_like_the_photo_than_v1_and_v2_plus_more_still(portray: Portray) -> None:
    v1, plus, v2_plus, xl, xl_plus = (
        portray(model_type=name, return_scores=True).likeness
        for name in ("1_5-v1", "1_5-v1-plus", "1_5-v2-plus", "SDXL-v1", "SDXL-v2-plus")
    )
    assert v1 < plus < v2_plus
    assert xl < xl_plus


def test_more_steps_are_never_less_alike(portray: Portray) -> None:
    steps = (1, 4, 9, 16, 17, 30)
    alike = [
        portray(OBAMA, num_inference_steps=number, num_samples=2, return_scores=True).likeness
        for number in steps
    ]
    assert alike == sorted(alike)
    assert alike[-1] > alike[0] + 0.005


def test_the_most_like_of_the_samples_answers(portray: Portray) -> None:
    asked = {"num_samples": 3, "return_samples": True, "return_scores": True, "seed": 4}
    drawn = portray(**asked)
    samples, scores = drawn.output.samples, drawn.output.scores
    assert samples is not None
    assert scores is not None
    alike = [sample.similarity for sample in samples]
    assert alike == scores.samples
    assert scores.similarity == max(alike)
    assert drawn.output.image == samples[alike.index(max(alike))].image
    assert [sample.seed for sample in samples] == [4, 5, 6]
    assert drawn.output.seed == 4
    assert len(set(drawn.files)) == len(drawn.files) == 3
    # Asking for the others changes nothing of the answer.
    assert portrayed_without_samples(portray, asked).file == drawn.file


def portrayed_without_samples(portray: Portray, asked: dict[str, Any]) -> Any:
    drawn = portray(**{**asked, "return_samples": False})
    assert len(drawn.files) == 1
    return drawn


def test_a_sample_is_what_its_own_seed_draws(portray: Portray) -> None:
    # One step each: with two samples, the second step is the second sample's first.
    both = portray(seed=20, num_samples=2, num_inference_steps=2, return_samples=True)
    assert both.files[1] == portray(seed=21).file


def test_extras_are_in_the_answer_only_when_asked_for(portray: Portray) -> None:
    def said(**wishes: Any) -> list[str]:
        return list(portray(**wishes).output.model_dump(exclude_unset=True))

    assert said() == ["image", "seed"]
    assert said(return_scores=True) == ["image", "seed", "scores"]
    assert said(return_samples=True) == ["image", "seed", "samples"]


def test_an_archive_of_one_person_is_averaged_and_a_stranger_left_out(
    portray: Portray,
) -> None:
    archive = zipped("24_gray_L_mode.png", OBAMA, "01_astronaut_frontal.png", "27_cmyk.jpg",
                     "21_noface_rocket.jpg")  # fmt: skip
    drawn = portray(None, archive=archive)
    assert "Archive read: 5 photos" in drawn.said
    assert "Photo 5 of the archive is left out: no face found" in drawn.said
    assert "Face 2 of 4 is left out: too unlike the others (cosine 0." in drawn.said
    assert "One identity of 3 faces" in drawn.said
    # It is she who is drawn, and the stranger changes nothing.
    without = zipped("24_gray_L_mode.png", "01_astronaut_frontal.png", "27_cmyk.jpg")
    assert drawn.file == portray(None, archive=without).file


def test_photo_and_archive_together_make_one_identity(portray: Portray) -> None:
    archive = zipped("04_obama_speaking.jpg")
    both = portray(OBAMA, archive=archive, face_index=0)
    assert "not used" not in both.said
    assert "which was not sent: not used" in portray(None, archive=archive, face_index=0).said
    assert "One identity of 2 faces, drawn from face" in both.said
    assert differ(both, portray(OBAMA), 0.002)
    assert differ(both, portray(None, archive=archive))


def test_without_a_face_there_is_nothing_to_draw(portray: Portray) -> None:
    for wishes in ({}, {"face_images_data_url": ""}):
        with pytest.raises(InputProblem, match="face_images_data_url") as caught:
            portray(None, **wishes)
        assert caught.value.loc == ("body", "face_image_url")
        assert caught.value.answer().status == 422


@pytest.mark.parametrize(
    ("archive", "kind"),
    [
        (b"no zip at all", InvalidArchive),
        (zipped(), ArchiveTooFewFiles),
        (zipped("21_noface_rocket.jpg"), FaceNotFound),
    ],
    ids=["no zip", "empty", "no face"],
)
def test_a_bad_archive_is_refused_at_its_field(
    portray: Portray, archive: bytes, kind: type[InputProblem]
) -> None:
    with pytest.raises(kind) as caught:
        portray(archive=archive)
    assert caught.value.loc == ("body", "face_images_data_url")


def test_a_bad_picture_in_an_archive_is_named(portray: Portray) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("one.png", (FACES / "30_lowres_96px.jpg").read_bytes())
        archive.writestr("holiday/two.jpg", b"no picture")
    with pytest.raises(ImageLoadError) as caught:
        portray(None, archive=packed.getvalue())
    assert caught.value.loc == ("body", "face_images_data_url")
    (entry,) = caught.value.answer().body["detail"]
    assert entry["msg"].startswith("holiday/two.jpg in the archive: The file is not a picture.")


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ((64, 64), (64, 64)),
        ((100, 508), (104, 512)),
        ((1203, 64), (1200, 64)),
        ((67, 900), (64, 904)),
    ],
)
def test_any_size_is_drawn_in_eights_and_the_rounding_told(
    portray: Portray, asked: tuple[int, int], drawn: tuple[int, int]
) -> None:
    portrait = portray(width=asked[0], height=asked[1])
    assert portrait.picture.shape == (drawn[1], drawn[0], 3)
    image = portrait.output.image
    assert (image.width, image.height, image.content_type) == (*drawn, "image/png")
    told = f"{asked[0]}×{asked[1]} is drawn as {drawn[0]}×{drawn[1]}" in portrait.said
    assert told == (asked != drawn)


def test_the_same_request_and_seed_give_the_same_bytes_whatever_else_is_drawn(
    portray: Portray, face_id_engine: SketchFaceId
) -> None:
    wishes: dict[str, Any] = {"prompt": "ink, at the beach, glasses", "num_inference_steps": 8}
    alone = portray(**wishes)
    with ThreadPoolExecutor(3) as pool:
        others = [
            pool.submit(portrayed_by, face_id_engine, seed=number, prompt="pencil")
            for number in range(2)
        ]
        again = pool.submit(portrayed_by, face_id_engine, **wishes)
        assert again.result().files == alone.files
        assert len({other.result().file for other in others}) == 2


def test_without_a_seed_one_is_drawn_and_told_and_can_be_asked_for(
    face_id_engine: SketchFaceId,
) -> None:
    first = portrayed_by(face_id_engine, seed=None)
    again = portrayed_by(face_id_engine, seed=first.output.seed)
    assert again.file == first.file


def test_the_base_models_are_said_to_be_unused_only_when_given(portray: Portray) -> None:
    said = portray(base_sdxl_model_repo="stabilityai/sdxl-turbo").said
    assert "does not use base_sdxl_model_repo" in said
    assert "stabilityai" not in said
    assert "base_" not in portray().said


def test_the_prompts_own_words_are_in_no_log_line(portray: Portray) -> None:
    drawn = portray(prompt="a zyxomma in the desert with glasses", negative_prompt="frobnication")
    assert "Understood of the prompt: set in: desert, glasses" in drawn.said
    assert "beyond the sketch engine: 2." in drawn.said
    for word in ("zyxomma", "frobnication"):
        assert word not in drawn.said


def test_every_step_is_told_and_progress_only_grows(portray: Portray) -> None:
    drawn = portray(num_inference_steps=5, num_samples=2)
    shares = [step.progress for step in drawn.steps if step.progress is not None]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1
    told = [step.message for step in drawn.steps if step.message.startswith("Step ")]
    assert [message.partition(":")[0] for message in told] == [
        f"Step {n} of 5" for n in range(1, 6)
    ]
