"""``limner files``: what is past its time goes, and what is not stays."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.files.disk import PARTS_LIFE, DiskStore
from limner.files.store import Description, reserve
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Submission

HOUR = 3600


def limner(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["files", *arguments])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def ended(home: Path, ago: float, made: str) -> str:
    """A request that ended so many seconds ago, and made a file."""
    url = f"sqlite:///{home / 'limner.db'}"
    with Ledger(url, retention=HOUR, clock=lambda: time.time() - ago) as ledger:
        ledger.submit(Submission("a/one", {})).result()
        (claimed,) = ledger.claim("worker", ["a/one"], 1).result().requests
        ledger.finish(claimed.id, claimed.attempt, Outcome(200, {}, files=(made,))).result()
        return claimed.id


def test_gc_removes_what_is_past_its_time_and_says_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    files = DiskStore(tmp_path / "files")
    now = time.time()
    names = {name: reserve(name) for name in ("made", "fresh", "uploaded", "expired")}
    life = {"made": now + 60, "fresh": now + 60, "uploaded": now + 60, "expired": now - 1}
    for name, stored in names.items():
        files.save(stored, [name.encode()], Description("image/png", life[name]))
    half = reserve("half")
    files.save_part(half, 1, [b"half an upload"])
    old = now - PARTS_LIFE - 1
    os.utime(tmp_path / "files" / ".parts" / half, (old, old))
    gone = ended(tmp_path, 2 * HOUR, names["made"])
    stays = ended(tmp_path, HOUR / 2, names["fresh"])

    size = len("made") + len("expired") + len("half an upload")
    would = {"requests": 1, "files": 3, "bytes": size, "dry_run": True}
    assert json.loads(limner("gc", "--dry-run", "--json")) == would
    assert files.find(names["made"]) is not None
    assert limner("gc") == f"1 request(s) and 3 file(s), {size} bytes, are gone\n"
    assert files.find(names["made"]) is None
    assert not (tmp_path / "files" / ".parts" / half).exists()
    assert files.find(names["fresh"]) is not None
    assert files.find(names["uploaded"]) is not None
    with Ledger(f"sqlite:///{tmp_path / 'limner.db'}") as ledger:
        assert ledger.get(gone).result() is None
        assert ledger.get(stays).result() is not None
    assert limner("gc") == "0 request(s) and 0 file(s), 0 bytes, are gone\n"
