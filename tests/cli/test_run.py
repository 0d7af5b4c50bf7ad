"""``limner run``: drawing one request without a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Workshop
from limner.endpoints.face_to_sticker.sketch import open_engine
from tests.cli.conftest import OUT, Run, drawn
from tests.endpoints.conftest import drawn_by
from tests.rig.process import ROOT


def test_a_photo_becomes_files_named_for_what_they_are(snap: Run) -> None:
    ran = snap("photo_url=@a.jpg", out=OUT)
    assert (ran.code, ran.out) == (0, "out/a-print-image.png\n")
    assert drawn() == {"a-print-image.png": b"photo a"}
    assert "a.jpg: Something is odd" in ran.err
    assert "Halfway" not in ran.err
    # Nothing that is there is written over.
    assert snap("photo_url=@b.jpg", "photo_url=@a.jpg", out=OUT).code == 0
    assert sorted(drawn()) == ["a-2-print-image.png", "a-print-image.png", "b-print-image.png"]


def test_the_answer_as_json_is_fals_with_the_files_addresses(snap: Run, photos: Path) -> None:
    ran = snap("photo_url=@a.jpg", as_json=True)
    picture = {
        "url": (photos / "a-print-image.png").as_uri(),
        "content_type": "image/PNG",
        "file_name": "a-print-image.png",
        "file_size": 7,
        "width": 2,
        "height": 1,
    }
    assert ran.answer == {"images": [picture], "print_image": picture, "seed": 7, "said": {}}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("times=3", 3),
        ("scale=0.5", 0.5),
        ("loud=yes", True),
        ("loud=false", False),
        ("caption=@home", "@home"),  # only what takes an address takes a file
        ("caption=2", "2"),
        ("caption=a=b:=c", "a=b:=c"),
        ("caption:=\"x\\ny\"", "x\ny"),
        ("size=square_hd", "square_hd"),
        ("size=512x768", {"width": 512, "height": 768}),
        ('size={"width": 512}', {"width": 512}),
        ("places=ink,oil", ["ink", "oil"]),
        ('places=["a,b"]', ["a,b"]),
        ("times:=4", 4),
    ],
)  # fmt: skip
def test_a_word_is_typed_as_its_field_is(snap: Run, word: str, value: object) -> None:
    said = snap("photo_url=@a.jpg", word, as_json=True).answer["said"]
    assert list(said.values()) == [value]


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["a.jpg"], 2, "'a.jpg' has no field's name: for a file write photo_url=@a.jpg"),
        (["photo_ulr=@a.jpg"], 2, "photo_ulr is no field of snapshot. Did you mean photo_url?"),
        (["photo_url:=@a.jpg"], 2, "photo_url:= must be JSON: "),
        (["caption=x", "caption=y"], 2, "caption is given twice"),
        (["photo_url=@a.jpg", "photo_url=x"], 2, "photo_url is given as a file and otherwise"),
        (["photo_url=@nowhere.jpg"], 1, "photo_url: nowhere.jpg is not there"),
        (["photo_url=@*.png"], 1, "photo_url: *.png is not there"),
        (["photo_url=a.jpg"], 1, "photo_url: a.jpg is a file: write photo_url=@a.jpg"),
        ([], 1, "photo_url: Field required; write photo_url=…"),
        (["photo_url=@a.jpg", "times=10"], 1, "times: Input should be less than or equal to 9"),
        (["photo_url=@a.jpg", "times=many"], 1, "times: Input should be a valid integer"),
        (["photo_url=@empty.jpg"], 1, "photo_url: There is no face in it. Take another photo."),
        # Only files that the command line named are read.
        (["photo_url:=\"file:///etc/passwd\""], 1, "photo_url: "),
        (["photo_url=@a.jpg", "caption=no network"], 3, "The network is missing; `limner pull"),
    ],
)  # fmt: skip
def test_an_error_names_the_field_and_what_to_do(
    snap: Run, words: list[str], code: int, line: str
) -> None:
    ran = snap(*words, out=OUT)
    assert (ran.code, ran.out) == (code, "")
    assert f"limner: {line}" in ran.err
    assert not OUT.exists()


def test_an_error_as_json_is_fals(snap: Run) -> None:
    ran = snap("photo_url=@empty.jpg", as_json=True)
    (entry,) = ran.answer["detail"]
    assert (ran.code, entry["type"], entry["loc"]) == (
        1,
        "face_detection_error",
        ["body", "photo_url"],
    )


def test_a_fault_of_ours_is_told_without_what_was_asked(snap: Run) -> None:
    ran = snap("photo_url=@a.jpg", "caption=broken", as_json=True)
    assert (ran.code, ran.answer) == (3, {"detail": "Internal Server Error"})
    assert "RuntimeError > " in ran.err
    assert "secret" not in ran.err


def limner(*arguments: str) -> Any:
    before = dict(os.environ)
    try:
        return CliRunner().invoke(app, ["run", *arguments])
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_endpoints_have_short_names_and_list_their_fields(photos: Path) -> None:
    wrong = limner("face-to-stiker")
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "limner: There is no endpoint face-to-stiker. Did you mean face-to-sticker?\n",
    )
    for endpoint in ENDPOINTS:
        listed = limner(endpoint.alias, "--fields")
        assert listed.stdout == limner(endpoint.id, "--fields").stdout
        for name in endpoint.input.model_fields:
            assert f"\n  {name}  (" in listed.stdout


@pytest.mark.networks
def test_a_sticker_is_the_servers_to_the_bit(
    photos: Path, monkeypatch: pytest.MonkeyPatch, networks: Path
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(networks.parent))
    photo = ROOT / "tests" / "faces" / "01_astronaut_frontal.png"
    ran = limner(
        "face-to-sticker", f"image_url=@{photo}", "prompt=a person", "seed=7",
        "image_size=320x320", 'exports:=["slack"]', "-o", "out", "--engine", "sketch",
    )  # fmt: skip
    assert ran.exit_code == 0
    *both, export = (Path(line) for line in ran.stdout.splitlines())
    plain, cutout = (path.read_bytes() for path in both)
    assert export.name == "01_astronaut_frontal-sticker-slack.png"
    engine = open_engine(Workshop(networks, may_fetch=False))
    assert [plain, cutout] == drawn_by(engine).files


def test_an_interrupted_run_ends_as_shells_count_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("limner.cli.run.run", interrupted)
    assert limner("face-to-sticker").exit_code == 130
