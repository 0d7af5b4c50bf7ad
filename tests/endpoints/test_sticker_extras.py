"""A sticker's finish and its exports: only when asked for, and only where they belong."""

from __future__ import annotations

import io
import re
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from limner.endpoints.accept import accept
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput, PlatformName
from limner.endpoints.face_to_sticker.sketch import SketchSticker
from limner.endpoints.fields import rgb_of
from limner.errors import InputProblem, InvalidInput
from limner.stages.see_through import visible
from tests.endpoints.conftest import Draw, Drawn, drawn_by
from tests.endpoints.test_sticker_craft import Alarm

PLATFORMS = list(get_args(PlatformName))


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.fixture(scope="module")
def usual(draw: Draw) -> Drawn:
    return draw()


def test_a_finish_changes_the_cut_out_and_no_other_picture(draw: Draw, usual: Drawn) -> None:
    for wishes in ({"outline_width": 10, "outline_color": "#f36"}, {"trim": True, "margin": 4}):
        drawn = draw(**wishes)
        assert drawn.files[0] == usual.files[0]
        assert drawn.files[1] != usual.files[1]
        assert (
            drawn.output.model_dump(exclude_unset=True).keys()
            == usual.output.model_dump(exclude_unset=True).keys()
        )
        told = drawn.output.sticker_image_background_removed
        assert (told.width, told.height) == opened(drawn.files[1]).size
        if "trim" not in wishes:
            assert drawn.cutout.shape == usual.cutout.shape
            ring = (drawn.cutout == (255, 51, 102, 255)).all(axis=-1)
            # Around some 280 pixels of sticker: at least along its height and its width, twice.
            assert ring.sum() > 10 * 2 * 280
    assert draw(**wishes).files == drawn.files


def test_every_platform_gets_the_finished_sticker_in_the_order_asked_for(
    draw: Draw, usual: Drawn
) -> None:
    finish = {"outline_width": 10, "outline_color": "#00ff00", "shadow": True}
    drawn = draw(exports=PLATFORMS[::-1], return_scores=True, **finish)
    assert drawn.files[0] == usual.files[0]
    told = drawn.output.exports or []
    assert [each.platform for each in told] == PLATFORMS[::-1]
    assert "scores" in drawn.output.model_dump(exclude_unset=True)
    for each, content in zip(told, drawn.files[2:], strict=True):
        assert each.file_size == len(content)
        if each.platform == "print":
            assert each.content_type == "application/pdf"
            assert content.startswith(b"%PDF-")
            continue
        picture = opened(content)
        assert each.content_type == f"image/{str(picture.format).lower()}"
        assert (each.width, each.height) == picture.size
        rgba = np.asarray(picture.convert("RGBA")).astype(int)
        green = (rgba[..., 1] > 240) & (rgba[..., 0] < 30) & (rgba[..., 3] > 250)
        # The outline is 10 of some 300 pixels, whatever the size.
        assert 0.02 < green.mean() < 0.2, each.platform
        faint = (rgba[..., 3] > 8) & (rgba[..., 3] < 100) & (rgba[..., :3].max(axis=-1) < 60)
        assert faint.any(), f"no shadow for {each.platform}"
    # 320 pixels are 27 mm on paper; a page has 5 cm.
    assert re.search(r"For print the sticker was enlarged (1\.9|2\.\d) times", drawn.said)
    assert "For slack" not in drawn.said
    progress = [step.progress for step in drawn.steps if step.progress is not None]
    assert progress == sorted(progress)


def test_upscaled_it_is_the_same_finish_at_twice_the_size(draw: Draw) -> None:
    wishes: dict[str, Any] = {"outline_width": 12, "margin": 20, "trim": True}
    wishes["exports"] = ["print", "slack", "print"]
    wishes["image_size"] = {"width": 160, "height": 160}
    small, large = draw(**wishes), draw(**wishes, upscale=True)
    assert large.cutout.shape[:2] == pytest.approx(
        [2 * side for side in small.cutout.shape[:2]], abs=6
    )
    left, top, right, bottom = visible(large.cutout) or (0, 0, 0, 0)
    height, width = large.cutout.shape[:2]
    assert (left, top, width - right, height - bottom) == (40, 40, 40, 40)
    enlarged: list[float] = []
    for drawn in (small, large):
        told = {each.platform: each.width for each in drawn.output.exports or []}
        assert list(told) == ["print", "slack"], "each once"
        assert told["slack"] == 128
        said = re.search(r"For print the sticker was enlarged (\d\.\d) times", drawn.said)
        assert said
        enlarged.append(float(said[1]))
    # Both are brought to the 5 cm of a page, and one was larger.
    assert enlarged[0] == pytest.approx(2 * enlarged[1], abs=0.16)


def test_what_is_not_safe_is_exported_nowhere(
    engine: SketchSticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.sketch.instruments.Instruments.safety", Alarm())
    drawn = drawn_by(engine, exports=PLATFORMS, outline_width=9, shadow=True)
    assert drawn.output.model_dump(exclude_unset=True)["exports"] == []
    assert len(drawn.files) == 2
    assert not drawn.cutout[..., :3].any()
    assert "nothing to export" in drawn.said


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"outline_width": 81}, "outline_width"),
        ({"margin": 81}, "margin"),
        ({"outline_width": 40, "margin": 41}, "margin"),
    ],
)
def test_what_leaves_too_little_sticker_is_refused_before_it_is_drawn(
    draw: Draw, wishes: dict[str, int], field: str
) -> None:
    with pytest.raises(InputProblem, match=r"at most 80 for both") as caught:
        # Not even the photo is read.
        draw("no such photo", **wishes)
    assert caught.value.loc == ("body", field)


@pytest.mark.parametrize(
    ("wishes", "kind", "loc"),
    [
        ({"outline_width": 129}, "less_than_equal", ["body", "outline_width"]),
        ({"outline_width": -1}, "greater_than_equal", ["body", "outline_width"]),
        ({"outline_width": 1.5}, "int_from_float", ["body", "outline_width"]),
        ({"margin": 257}, "less_than_equal", ["body", "margin"]),
        ({"outline_color": "red"}, "string_pattern_mismatch", ["body", "outline_color"]),
        ({"outline_color": "#12345"}, "string_pattern_mismatch", ["body", "outline_color"]),
        ({"outline_color": "#fff\n"}, "string_pattern_mismatch", ["body", "outline_color"]),
        ({"exports": ["line", "viber"]}, "one_of", ["body", "exports", 1]),
        ({"exports": "line"}, "list_type", ["body", "exports"]),
        ({"exports": ["line"] * 9}, "sequence_too_long", ["body", "exports"]),
    ],
)
def test_a_wrong_wish_is_refused_at_its_field(
    wishes: dict[str, Any], kind: str, loc: list[str | int]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        accept(FaceToStickerInput, {"prompt": "", "image_url": "", **wishes})
    (entry,) = caught.value.entries
    assert (entry["type"], entry["loc"]) == (kind, loc)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("#fff", (255, 255, 255)), ("#F36", (255, 51, 102)), ("#ff3366", (255, 51, 102))],
)
def test_colours_are_read_as_css_writes_them(written: str, meant: tuple[int, int, int]) -> None:
    assert rgb_of(written) == meant
