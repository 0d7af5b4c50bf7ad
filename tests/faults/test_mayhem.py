"""Ten kills under load, and every accepted request ends once, with its own picture, and says so.

`make faults` does the same a thousand times and more.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.faults.mayhem import Mayhem

KILLS, SEED = 10, 1


def test_under_kills_every_accepted_request_ends_once_and_as_it_must(tmp_path: Path) -> None:
    history = Mayhem(SEED, KILLS, tmp_path / "home").run()
    assert history.wrongs() == []
    # It was under load: a proof of an empty history would prove nothing.
    assert len(history.accounts) > KILLS
    codes = {end.code for account in history.accounts for end in account.results}
    assert {200, 422, 500} <= codes
    assert any(look.position for account in history.accounts for look in account.looks)
    # And the faults hit: requests were lost with their workers, and drawn again.
    with closing(sqlite3.connect(tmp_path / "home" / "limner.db")) as ledger:
        assert ledger.execute("SELECT sum(losses) FROM requests").fetchone()[0] > 0
