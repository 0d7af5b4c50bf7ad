"""What is promised is on the disk, and a disk that fails is not believed the next time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from limner.requests import journal
from limner.requests.connections import Unreachable
from limner.requests.database import Database
from limner.requests.journal import Journal
from limner.requests.lanes import Keep

INSERT = "INSERT INTO notes VALUES (1)"


class Disk:
    """In the place of the call that brings a file to the disk: holds it up, or fails."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.fails = False
        self.synced: list[int] = []

    def __call__(self, file: int) -> None:
        """As ``os.fdatasync``."""
        self.goes_on.wait(10)
        if self.fails:
            raise OSError(5, "Input/output error")
        os.fsync(file)
        self.synced.append(os.fstat(file).st_ino)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(journal, "_to_disk", made)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def database(file: Path) -> Generator[Database]:
    with closing(Database(f"sqlite:///{file}")) as made:
        made.write(executing("CREATE TABLE notes (number INTEGER)")).result()
        yield made


def executing(statement: str) -> Callable[[sa.Connection], None]:
    def run(connection: sa.Connection) -> None:
        connection.exec_driver_sql(statement)

    return run


def notes(file: Path) -> int:
    with closing(sqlite3.connect(file)) as own:
        return own.execute("SELECT count(*) FROM notes").fetchone()[0]


def log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def test_whoever_asked_is_told_when_it_is_on_the_disk_and_holds_up_nobody(
    database: Database, file: Path, disk: Disk
) -> None:
    disk.goes_on.clear()
    told = database.write(executing(INSERT), keep=Keep.TOLD)
    # Its thread goes on meanwhile, and what others do is seen and told.
    database.write(executing(INSERT), keep=Keep.NEVER).result(5)
    assert notes(file) == 2
    with pytest.raises(TimeoutError):
        told.result(0.2)
    disk.goes_on.set()
    told.result(5)
    assert disk.synced == [log_of(file).stat().st_ino]


def test_one_sync_is_for_all_that_came_before_it(database: Database, disk: Disk) -> None:
    disk.goes_on.clear()
    asked = [database.write(executing(INSERT), keep=Keep.TOLD) for _ in range(50)]
    database.write(executing(INSERT), keep=Keep.NEVER).result(5)
    disk.goes_on.set()
    for each in asked:
        each.result(5)
    # The first is for what was there when it began, the second for all the rest.
    assert 1 <= len(disk.synced) <= 2


def test_what_did_not_get_to_the_disk_is_not_promised(database: Database, disk: Disk) -> None:
    disk.fails = True
    with pytest.raises(Unreachable):
        database.write(executing(INSERT), keep=Keep.TOLD).result(5)


@pytest.mark.parametrize("keep", [Keep.TOLD, Keep.SEEN])
def test_after_a_failure_the_log_is_emptied_before_more_is_promised(
    database: Database, file: Path, disk: Disk, keep: Keep
) -> None:
    disk.fails = True
    with pytest.raises(Unreachable):
        database.write(executing(INSERT), keep=Keep.TOLD).result(5)
    disk.fails = False
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM notes").fetchall()
        # While somebody reads in it, it can't be emptied: then nothing is promised.
        with pytest.raises(Unreachable):
            database.write(executing(INSERT), keep=keep).result(5)
        database.write(executing(INSERT), keep=Keep.NEVER).result(5)
        reader.execute("ROLLBACK")
    database.write(executing("SELECT 1"), keep=keep).result(5)
    assert log_of(file).stat().st_size == 0
    assert notes(file) == 2
    database.write(executing(INSERT), keep=keep).result(5)


def test_a_disk_on_which_no_turn_can_be_taken_promises_nothing(
    database: Database, file: Path, disk: Disk
) -> None:
    disk.fails = True
    with pytest.raises(Unreachable):
        database.write(executing(INSERT), keep=Keep.TOLD).result(5)
    disk.fails = False
    turn = file.with_name(f"{file.name}-turn")
    turn.unlink()
    turn.mkdir()  # in its way, as a file system that may only be read any more would be
    with pytest.raises(Unreachable):
        database.write(executing(INSERT), keep=Keep.TOLD).result(5)
    turn.rmdir()
    database.write(executing(INSERT), keep=Keep.TOLD).result(5)


def test_the_log_that_is_there_is_synced(tmp_path: Path, disk: Disk) -> None:
    file = tmp_path / "ledger.db"
    log = log_of(file)
    with closing(Journal(f"sqlite:///{file}")) as one:
        one.sync()  # there is none yet
        assert disk.synced == []
        for _ in range(2):
            with closing(sqlite3.connect(file, isolation_level=None)) as own:
                own.execute("PRAGMA journal_mode=WAL")
                own.execute("CREATE TABLE IF NOT EXISTS notes (number INTEGER)")
                own.execute(INSERT)
                one.sync()
                assert disk.synced[-1] == log.stat().st_ino
            # SQLite takes it away when its last connection is closed; keep its number in use.
            assert not log.exists()
        one.sync()
    assert len(disk.synced) == 2
