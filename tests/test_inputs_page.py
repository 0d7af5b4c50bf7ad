"""docs/inputs.md says what is really answered: every type, every limit, every message."""

from __future__ import annotations

import io
import re
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.cli.house import input_limits, largest_body
from limner.endpoints import ENDPOINTS
from limner.endpoints.accept import accept
from limner.endpoints.face_to_sticker.asked import canvas_of
from limner.endpoints.face_to_sticker.extras import finish_of
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput
from limner.errors import InputProblem, InvalidInput
from limner.settings import Settings
from limner.stages.archive import open_archive
from limner.stages.choice import choose
from limner.stages.face import Face, FaceDetector, Found
from limner.stages.fetch import Door
from limner.stages.limits import ArchiveLimits, Limits
from limner.stages.picture import MIN_SIDE, open_picture
from tests.stages.test_face import detector_weights

PAGE = (Path(__file__).parents[1] / "docs" / "inputs.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## Errors")[2].splitlines()
    if line.startswith("| `")
]
TYPES = {name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])}


def problems(root: type[InputProblem] = InputProblem) -> Iterator[type[InputProblem]]:
    yield root
    for child in root.__subclasses__():
        yield from problems(child)


def test_every_input_problem_is_on_the_page() -> None:
    assert {problem.type for problem in problems()} <= TYPES


def test_every_limit_on_the_page_is_a_setting_with_that_default() -> None:
    names = re.findall(r"`LIMNER_(\w+)`", PAGE)
    fields = Settings.model_fields
    assert {name.lower() for name in names} <= set(fields)
    # Whatever the operator can limit is on the page.
    assert {name for name in fields if name.startswith(("max_", "min_"))} <= {
        *(name.lower() for name in names), "max_upload_bytes",
    }  # fmt: skip
    limits, mib = Limits(), 1024 * 1024
    assert fields["max_download_bytes"].default == 50 * mib
    assert fields["download_timeout"].default == 10
    assert limits.max_pixels == fields["max_pixels"].default == 64_000_000
    assert limits.archive.max_files == 50
    assert MIN_SIDE == 16


def test_limits_without_a_setting_follow_the_largest_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_MAX_DOWNLOAD_BYTES", "1000")
    archive = input_limits(Settings()).archive
    assert (archive.max_bytes, archive.max_unpacked_bytes) == (1000, 4000)
    photo = b64encode(bytes(1000))
    assert largest_body(Settings()) == len(photo) + 4 * 1024 * 1024
    monkeypatch.delenv("LIMNER_MAX_DOWNLOAD_BYTES")
    assert input_limits(Settings()) == Limits()  # the stages' own defaults are the settings'


def picture(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def asked(**wrong: object) -> Callable[[], object]:
    return lambda: accept(FaceToStickerInput, {"prompt": "", "image_url": "", **wrong})


DOOR = Door(allow_private=False, max_bytes=1000, timeout=1)
ONE = Found(
    np.zeros((99, 99, 3), np.uint8),
    (Face((10, 20, 30, 40), np.zeros((5, 2), np.float32), 0.9),),
    (),
    0,
)
FULL = FaceToStickerInput.model_validate(
    {"prompt": "", "image_url": "", "image_size": {"width": 14142, "height": 14142}}
)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DOOR.read("ftp://example.com/me.jpg"),
        lambda: DOOR.read("data:," + "x" * 1001),
        lambda: open_picture(b""),
        lambda: open_picture(picture(8)),
        lambda: open_picture(picture(20), max_pixels=100),
        lambda: open_picture(b"<svg/>"),
        lambda: open_archive(b"Rar!", ArchiveLimits()),
        lambda: open_archive(zipped(), ArchiveLimits()),
        lambda: open_archive(zipped("a.jpg", "b.jpg"), ArchiveLimits(max_files=1)),
        lambda: FaceDetector(detector_weights()).find(np.zeros((640, 640, 3), np.uint8)),
        lambda: choose(ONE, 1),
        lambda: choose(ONE, 0, (0, 0, 1, 1)),
        lambda: canvas_of(FULL, Limits().max_pixels),
        lambda: finish_of(FULL.model_copy(update={"outline_width": 20}), (64, 64)),
        lambda: accept(FaceToStickerInput, {"prompt": ""}),
        lambda: accept(FaceToStickerInput, []),
        asked(seed="x"),
        asked(guidance_scale=21),
        asked(image_size="large"),
        asked(face_box=[1, 2]),
        asked(outline_color="red"),
        asked(x_fast={"guidance_interval": [5.42, 0.28]}),
        lambda: accept(FaceToStickerInput, {"prompt": "", "image_url": "", "x": 1}, strict=True),
    ],
)
def test_each_message_on_the_page_is_what_is_said(wrong: Callable[[], object]) -> None:
    with pytest.raises((InputProblem, InvalidInput)) as caught:
        wrong()
    (entry,) = caught.value.answer().body["detail"]
    row = next(row for row in ROWS if row[3] == entry["msg"])
    assert f"`{entry['type']}`" in row[0]
    told = set(re.findall(r"`(\w+)`", row[2]))
    assert bool(told & set(entry.get("ctx", {}))) == bool(told)


def test_every_type_of_every_endpoints_schema_is_on_the_page() -> None:
    """What pydantic can say of our fields, found by trying values of every kind in each."""
    values = [None, "x", "", 1.5, 1e999, -1, 10**9, True, [], ["x"] * 9, {}, {"width": "x"}]
    said: set[str] = set()
    for endpoint in ENDPOINTS:
        for name in endpoint.input.model_fields:
            for value in values:
                try:
                    accept(endpoint.input, {**endpoint.example, name: value}, strict=True)
                except InvalidInput as refused:
                    said |= {entry["type"] for entry in refused.entries}
    assert said <= TYPES
