"""What lies in the home folder is for its user's eyes only."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.cli.house import open_ledger
from limner.requests.request import Submission
from limner.settings import Settings


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
