"""``limner models`` says how large a weight is only where that is known of all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.diffusion.holdings import Holdings
from limner.diffusion.weights import WEIGHTS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LIMNER_HOME without a weight."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    return tmp_path


def shown() -> dict[str, str]:
    """Weight → its size as ``limner models`` shows it."""
    lines = CliRunner().invoke(app, ["models"], catch_exceptions=False).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {words[0]: words[1] for words in rows if words and words[0] in WEIGHTS}


def put(home: Path, name: str, size: int) -> None:
    """Lay a weight's files down: empty ones, and a last of ``size`` bytes."""
    weight = WEIGHTS[name]
    for file in weight.files:
        path = home / "weights" / weight.repo / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with path.open("r+b") as last:  # pyright: ignore[reportPossiblyUnboundVariable]
        last.truncate(size)


def test_a_base_of_which_one_file_is_not_known_is_of_unknown_size(home: Path) -> None:
    said = shown()
    assert set(said) == set(WEIGHTS)
    assert {name for name, size in said.items() if size == "unknown"} == {
        "realvisxl-v3", "albedobase-xl", "zoe-depth", "controlnet-zoe-depth", "auraface-sd15"
    }  # fmt: skip
    assert said["instantid"] == "4.19"  # 1.69 and 2.5, as published
    assert said["realistic-vision-v4"] == "3.93"  # 3.44 and 0.492


def test_what_is_here_is_as_large_as_it_is_on_the_disk(home: Path) -> None:
    put(home, "zoe-depth", 1_440_000_000)
    put(home, "vae-ft-mse", 167_000_000)  # half of what is published: in fp16
    own = home / "own.bin"
    own.write_bytes(bytes(20_000_000))
    here = Holdings(home / "weights", commercial=False)
    here.bring("auraface-sd15", own)
    said = shown()
    assert (said["zoe-depth"], said["vae-ft-mse"], said["auraface-sd15"]) == (
        "1.44",
        "0.17",
        "0.02",
    )
    own.unlink()
    assert shown()["auraface-sd15"] == "unknown"
