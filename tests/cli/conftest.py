"""``limner run`` in this process, on an endpoint that copies the photo: what several files need."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from limner.cli.journal import FILE_NAME
from limner.cli.run import Wishes, run
from limner.cli.shell import told
from limner.endpoints import ENDPOINTS
from tests.cli.snapshot import SNAPSHOT


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
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return snap


OUT = Path("out")


def drawn(folder: Path = OUT) -> dict[str, bytes]:
    """Every file in a folder but the journal."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != FILE_NAME}
