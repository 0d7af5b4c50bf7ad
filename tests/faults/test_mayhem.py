"""Ten kills and one of each other fault under load, on either ledger and either file store: every
accepted request ends once, with its own picture, and says so.

`make faults` does the same a thousand times and more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.machine import Disk, WallClock
from tests.faults.mayhem import Mayhem
from tests.faults.world import Plan

KILLS, SEED = 10, 1


def test_under_kills_every_accepted_request_ends_once_and_as_it_must(tmp_path: Path) -> None:
    mayhem = Mayhem(SEED, KILLS, Plan(tmp_path / "home"), ["kills"])
    history = mayhem.run()
    assert history.wrongs() == []
    # It was under load: a proof of an empty history would prove nothing.
    assert len(history.accounts) > KILLS
    codes = {end.code for account in history.accounts for end in account.results}
    assert {200, 422, 500} <= codes
    assert any(look.position for account in history.accounts for look in account.looks)
    # And the faults hit: requests were lost with their workers, and drawn again.
    assert mayhem.losses > 0


def test_stopped_politely_under_load_nothing_is_lost_with_a_worker(tmp_path: Path) -> None:
    mayhem = Mayhem(SEED, None, Plan(tmp_path / "home"), ["stops"])
    history = mayhem.run()
    assert history.wrongs() == []
    assert {fault.name for fault in history.faults} == {"stop_and_start", "pause_the_server"}
    # What was being drawn was finished or handed back.
    assert mayhem.losses == 0


def test_of_many_machines_the_database_and_the_lines_may_fail(tmp_path: Path) -> None:
    groups = ["database", "lines", *(["disk"] if Disk.can() else [])]
    plan = Plan(tmp_path / "home", "postgresql", "s3", groups)
    history = Mayhem(SEED, None, plan, groups).run()
    assert history.wrongs() == []
    assert len(history.faults) == (6 if Disk.can() else 5)


def test_the_disk_and_the_clock_may_fail(tmp_path: Path) -> None:
    groups = [name for name, had in (("disk", Disk.can()), ("clock", WallClock.can())) if had]
    if not groups:
        pytest.skip("neither a disk nor a clock can be had: that takes root, and a C compiler")
    history = Mayhem(SEED, None, Plan(tmp_path / "home", spoilt=groups), groups).run()
    assert history.wrongs() == []
    assert history.faults
