"""``limner run`` of many requests: photos, tables, and going on where it stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limner.cli.journal import FILE_NAME
from limner.cli.shell import ExitCode
from tests.cli.conftest import OUT, Run, drawn
from tests.rig.process import ROOT


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
