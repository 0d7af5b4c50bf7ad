"""What a sticker's request comes to before anything is drawn: its canvas, its face, its finish."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limner.endpoints.face_to_sticker.asked import canvas_of, faces_told
from limner.endpoints.face_to_sticker.extras import finish_of
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput
from limner.errors import FeatureNotSupported, InputProblem
from limner.stages.face import Face, Found
from limner.stages.finish import Finish


def asked(**wishes: Any) -> FaceToStickerInput:
    return FaceToStickerInput.model_validate({"prompt": "", "image_url": "", **wishes})


def sized(width: int, height: int, **wishes: Any) -> FaceToStickerInput:
    return asked(image_size={"width": width, "height": height}, **wishes)


def test_a_canvas_is_as_asked_for_on_the_nearest_lines_of_the_grid() -> None:
    for width, height in ((1, 700), (333, 9), (512, 517), (4, 3)):
        assert canvas_of(sized(width, height), 10**6) == (width, height)
        canvas = canvas_of(sized(width, height), 10**6, 8)
        for side, wished in zip(canvas, (width, height), strict=True):
            assert side % 8 == 0
            assert abs(side - wished) <= 4 or (wished < 8 and side == 8)


@pytest.mark.parametrize("upscale", [False, True])
def test_a_canvas_may_have_so_many_pixels_and_not_one_more(upscale: bool) -> None:
    most = 300 * 200 * (4 if upscale else 1)
    wish = sized(300, 200, upscale=upscale)
    assert canvas_of(wish, most) == (300, 200)
    with pytest.raises(FeatureNotSupported) as refused:
        canvas_of(wish, most - 1)
    assert refused.value.loc == ("body", "image_size")
    assert ("upscaled twice" in str(refused.value)) == upscale
    assert f"more than {(most - 1) / 1e6:g} megapixels" in str(refused.value)
    # What is drawn counts: 303 and 197 are these on the grid.
    with pytest.raises(FeatureNotSupported, match="304×200"):
        canvas_of(sized(303, 197, upscale=upscale), most, 8)


def face(side: float) -> Face:
    return Face((0, 0, side, side), np.zeros((5, 2), np.float32), 1)


@pytest.mark.parametrize("tried", [("640 px",), ("640 px", "320 px")])
@pytest.mark.parametrize(
    ("sides", "chosen", "level", "said"),
    [
        ([9], {}, "INFO", "1 face found"),
        ([9, 5], {}, "INFO", "2 faces found"),
        ([9, 8], {}, "WARN", "2 faces found, of nearly the same size: the largest is taken"),
        ([9, 8], {"face_index": 0}, "INFO", "2 faces found; yours is taken"),
        ([9, 8, 5], {"face_box": [0, 0, 9, 9]}, "INFO", "3 faces found; yours is taken"),
        ([9], {"face_index": 0}, "INFO", "1 face found; yours is taken"),
    ],
)
def test_whose_face_is_taken_is_told_and_a_doubt_is_a_warning(
    tried: tuple[str, ...], sides: list[float], chosen: dict[str, Any], level: str, said: str
) -> None:
    faces = tuple(map(face, sides))
    found = Found(np.zeros((1, 1, 3), np.uint8), faces, tried, 0)
    step = faces_told(asked(**chosen), found, 0.25)
    more = "; tried: 640 px, 320 px" if len(tried) > 1 else ""
    assert (step.message, step.level, step.progress) == (said + more, level, 0.25)


def test_a_finish_is_of_the_answers_pixels_and_leaves_half_of_the_shorter_side() -> None:
    wishes = {"outline_color": "#010203", "shadow": True, "trim": True}
    most = asked(outline_width=50, margin=30, **wishes)
    assert finish_of(most, (323, 999)) == Finish(50, (1, 2, 3), True, True, 30)
    twice = asked(outline_width=50, margin=30, upscale=True)
    assert finish_of(twice, (999, 320)) == Finish(100, (255, 255, 255), False, False, 60)
    for outline, margin, field in ((51, 30, "margin"), (80, 1, "margin"), (81, 0, "outline_width")):
        with pytest.raises(InputProblem, match="at most 80 for both") as refused:
            finish_of(asked(outline_width=outline, margin=margin), (999, 323))
        assert refused.value.loc == ("body", field)
