"""``limner run``: drawing without a server, one request or many, and going on where it stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from limner.cli import app
from limner.cli.journal import FILE_NAME
from limner.cli.run import Wishes, run
from limner.cli.shell import ExitCode, told
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Workshop
from limner.endpoints.face_to_sticker.sketch import open_engine
from tests.cli.snapshot import SNAPSHOT
from tests.endpoints.conftest import drawn_by
from tests.rig.process import ROOT


@dataclass
class Ran:
    """What one ``limner run`` came to."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, with three photos of somebody and one of nobody."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(f"photo {name}".encode())
    (tmp_path / "empty.jpg").write_bytes(b"nobody")
    return tmp_path


@pytest.fixture
def snap(photos: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def snap(*words: str, **wishes: Any) -> Ran:
        try:
            code = run("snapshot", words, Wishes(**wishes), (*ENDPOINTS, SNAPSHOT))
        except KeyboardInterrupt:
            capsys.readouterr()
            raise
        except Exception as fault:  # noqa: BLE001 - it is asserted that it is told
            # As the command itself does it.
            found = told(fault)
            assert found is not None, fault
            code = found
        finally:
            structlog.reset_defaults()
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return snap


OUT = Path("out")


def drawn(folder: Path = OUT) -> dict[str, bytes]:
    """Every file in a folder but the journal."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != FILE_NAME}


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


def test_several_photos_are_a_batch_in_a_folder_of_its_own(snap: Run) -> None:
    assert snap("photo_url=@*.jpg").code == ExitCode.USAGE
    ran = snap("photo_url=@*.jpg", out=OUT)
    # One that fails stops no other, and the worst of all is the end's.
    assert (ran.code, len(ran.out.splitlines())) == (1, 3)
    assert "limner: empty.jpg: photo_url: There is no face in it." in ran.err
    assert "limner: 3 of 4 are drawn" in ran.err


CSV = """photo_url,caption,times,places
@a.jpg,"one, with a comma",2,"ink,oil"

@nowhere.jpg,two,,
@empty.jpg,three,,
@b.jpg,four
"""


def test_a_table_is_drawn_row_by_row_and_its_faults_stop_nothing(snap: Run, photos: Path) -> None:
    (photos / "sub").mkdir()
    (photos / "a.jpg").rename(photos / "sub" / "a.jpg")
    (photos / "sub" / "rows.csv").write_text(CSV.replace("@b.jpg", "@../b.jpg"))
    ran = snap("scale=0.5", batch=Path("sub/rows.csv"), out=OUT, as_json=True)
    assert ran.code == 1
    first, second, third, fourth = ran.lines
    assert first["answer"]["said"] == {
        "caption": "one, with a comma", "times": 2, "places": ["ink", "oil"], "scale": 0.5,
    }  # fmt: skip
    assert second["error"]["detail"][0]["type"] == "file_download_error"
    assert third["error"]["detail"][0]["type"] == "file_download_error"  # not in that folder
    assert (fourth["row"], fourth["answer"]["said"]["caption"]) == (4, "four")
    assert "limner: row 2: photo_url: nowhere.jpg is not there; check the path." in ran.err


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("r.csv", "photo_url,captoin\n", "line 1: captoin is no field of snapshot. Did you mean"),
        ("r.csv", "photo_url\na,b\n", "line 2: 2 cells, but line 1 names 1"),
        ("r.csv", "photo_url\n\n", "holds no request"),
        ("r.jsonl", '{"photo_url": "x"}\n\n{"photo_url"\n', "line 3: not JSON"),
        ("r.jsonl", "[]\n", "line 1: not a JSON object"),
        ("r.jsonl", '{"times": 1, "tmes": 2}\n', "line 1: tmes is no field"),
        ("r.csv", "\xff", "is not UTF-8 text"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused_before_anything_is_drawn(
    snap: Run, photos: Path, name: str, text: str, line: str
) -> None:
    (photos / name).write_bytes(text.encode("latin-1"))
    ran = snap(batch=Path(name), out=OUT)
    assert (ran.code, ran.out) == (2, "")
    assert line in ran.err


def test_a_batch_goes_on_where_it_was_interrupted(snap: Run, photos: Path) -> None:
    rows = [
        {"photo_url": "@a.jpg", "caption": "1", "journal": "drawn"},
        {"photo_url": "@a.jpg", "caption": "1", "journal": "drawn"},  # twice is two
        {"photo_url": "@b.jpg", "caption": "interrupt", "journal": "drawn"},
        {"photo_url": "@c.jpg", "caption": "3", "journal": "drawn"},
    ]
    batch = photos / "r.jsonl"
    batch.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(KeyboardInterrupt):
        snap(batch=batch, out=OUT)
    # What a crash leaves of a line is no line.
    journal = OUT / FILE_NAME
    journal.write_bytes(journal.read_bytes() + '{"key": "torn é'.encode()[:-1])
    rows[2]["caption"] = "2"
    batch.write_text("\n".join(map(json.dumps, reversed(rows))))
    ran = snap(batch=batch, out=OUT, as_json=True)
    assert ran.code == 0
    assert [line["resumed"] for line in ran.lines] == [False, False, True, True]
    assert (photos / "drawn").read_text().split() == ["1", "1", "interrupt", "3", "2"]
    for line in ran.lines:
        assert Path(line["answer"]["print_image"]["url"].removeprefix("file://")).is_file()
    # All is known now; what is asked for again, lost or changed is drawn again.
    assert [line["resumed"] for line in snap(batch=batch, out=OUT, as_json=True).lines] == [
        True
    ] * 4
    (OUT / "a-print-image.png").unlink()
    (photos / "c.jpg").write_bytes(b"another photo")
    resumed = [line["resumed"] for line in snap(batch=batch, out=OUT, as_json=True).lines]
    assert resumed == [False, True, False, True]
    again = snap(batch=batch, out=OUT, as_json=True, again=True)
    assert [line["resumed"] for line in again.lines] == [False] * 4


def test_a_killed_batch_has_lost_nothing_of_what_it_told(photos: Path) -> None:
    words = [f"photo_url=@{name}.jpg" for name in "abc"]
    environment = {**os.environ, "OUT": "out", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.snapshot", *words],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    told = running.stdout.readline().strip()
    running.kill()
    running.communicate()
    assert Path(told).read_bytes() == b"photo a"
    finished = subprocess.run(
        [sys.executable, "-m", "tests.cli.snapshot", *words],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told in finished.stdout
    assert {name: content for name, content in drawn().items() if "-2-" not in name} == {
        f"{name}-print-image.png": f"photo {name}".encode() for name in "abc"
    }


def limner(*arguments: str) -> Any:
    before = dict(os.environ)
    try:
        return CliRunner().invoke(app, ["run", *arguments])
    finally:
        structlog.reset_defaults()
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
