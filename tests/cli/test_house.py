"""What lies in the home folder is for its user's eyes only."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.cli.house import open_ledger, open_to_others
from limner.requests.request import Submission
from limner.settings import Settings
from tests.rig.process import Server


def test_the_ledger_is_its_users_alone_also_in_a_folder_that_others_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator's own ``mkdir`` makes 0755; in the ledger are prompts, and the server's keys."""
    tmp_path.chmod(0o755)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    with open_ledger(Settings()) as ledger:
        ledger.submit(Submission("a/b", {"prompt": "private"})).result()
        kept = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.glob("limner.db*")}
    assert {"limner.db", "limner.db-wal"} <= set(kept)
    assert set(kept.values()) == {0o600}


def kept_wide(home: Path) -> list[Path]:
    """A home as an older Limner left it under the usual umask, and its operator opened it."""
    for name in ("limner.db", "limner.db-wal"):
        (home / name).touch()
        (home / name).chmod(0o644)
    (home / "limner.db-turn").touch(0o600)
    (home / "limner.db-turn").chmod(0o600)
    (home / "files").mkdir(0o750)
    home.chmod(0o755)
    return [home / "limner.db", home / "limner.db-wal"]


def test_what_others_can_get_at_is_found_and_the_group_is_the_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    wide = kept_wide(tmp_path)
    assert open_to_others(Settings()) == wide
    (tmp_path / "files").chmod(0o701)
    assert open_to_others(Settings()) == sorted([*wide, tmp_path / "files"])
    tmp_path.chmod(0o757)  # who may write the folder may put another ledger in it
    assert tmp_path in open_to_others(Settings())
    tmp_path.chmod(0o770)
    assert open_to_others(Settings()) == []


def test_a_server_says_what_others_can_get_at_and_changes_nothing(tmp_path: Path) -> None:
    (ledger, *_) = kept_wide(tmp_path)
    server = Server(tmp_path, workers=False)
    server.stop()
    (line,) = [line for line in server.log.read_text().splitlines() if "open_to_others" in line]
    assert str(ledger) in line
    assert ledger.stat().st_mode & 0o777 == 0o644
