"""What is promised is on the disk, and a disk that fails is not believed the next time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from limner.requests import journal
from limner.requests.connections import Unreachable
from limner.requests.database import Database
from limner.requests.journal import Journal, Turn
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
    asked = [database.write(executing(INSERT), keep=Keep.TOLD) for _ in range(5)]
    for each in asked:
        with pytest.raises(Unreachable) as lost:
            each.result(5)
        # The first ones are told what the disk said, all others that the log is in doubt.
        assert lost.value.__cause__ is None or isinstance(lost.value.__cause__, OSError)
    assert isinstance(asked[0].exception().__cause__, OSError)  # pyright: ignore


def test_closing_waits_for_what_is_on_its_way_to_the_disk(
    database: Database, file: Path, disk: Disk
) -> None:
    disk.goes_on.clear()
    told = database.write(executing(INSERT), keep=Keep.TOLD)
    threading.Timer(0.3, disk.goes_on.set).start()
    database.close()
    assert told.done()
    told.result()


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


def test_behind_a_link_it_is_the_log_of_the_file_to_which_it_leads(
    tmp_path: Path, disk: Disk
) -> None:
    """SQLite follows links: beside the link itself there is never a log."""
    real, link = tmp_path / "disk" / "real.db", tmp_path / "ledger.db"
    real.parent.mkdir()
    link.symlink_to(real)
    with closing(Database(f"sqlite:///{link}")) as database:
        database.write(executing("CREATE TABLE notes (number)"), keep=Keep.TOLD).result(5)
        assert disk.synced == [log_of(real).stat().st_ino]


def test_a_log_in_doubt_is_believed_when_it_was_emptied_and_not_before(
    database: Database, file: Path, disk: Disk
) -> None:
    with closing(Journal(f"sqlite:///{file}")) as one:
        one.sync()
        assert one.is_sound()
        assert log_of(file).stat().st_size > 0  # what is sound is let be
        one.doubt()
        with pytest.raises(OSError, match="in doubt"):
            one.sync()
        assert len(disk.synced) == 1  # the kernel, asked again, would have said yes
        assert one.is_sound()
        assert log_of(file).stat().st_size == 0
        one.sync()
    assert len(disk.synced) == 2


def test_a_turn_is_one_writers_at_a_time_and_the_log_is_emptied_in_one(
    database: Database, file: Path
) -> None:
    url = f"sqlite:///{file}"
    with (
        closing(Turn(url)) as mine,
        closing(Journal(url)) as one,
        ThreadPoolExecutor(1) as pool,
    ):
        with mine:
            emptied = pool.submit(one.empty)
            written = database.write(executing(INSERT))
            for waiting in (emptied, written):
                with pytest.raises(TimeoutError):
                    waiting.result(0.2)
        written.result(5)
        assert emptied.result(5)
    assert stat.S_IMODE(file.with_name(f"{file.name}-turn").stat().st_mode) == 0o600


def test_a_turn_is_waited_for_as_long_as_sqlite_would_and_no_longer(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped in its turn stops no other for ever: SQLite has its own lock."""
    monkeypatch.setattr(journal, "BUSY_TIMEOUT", 50)
    url = f"sqlite:///{file}"
    went_on = threading.Event()
    with closing(Turn(url)) as mine, closing(Turn(url)) as others:

        def goes_on() -> None:
            with others:
                went_on.set()

        with mine, file.with_name(f"{file.name}-turn").open() as third:
            waiting = threading.Thread(target=goes_on, daemon=True)
            waiting.start()
            assert went_on.wait(20)
            waiting.join(20)
            # It had no turn, and so gave back nobody else's.
            with pytest.raises(BlockingIOError):
                fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with file.with_name(f"{file.name}-turn").open() as third:
            fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_no_file_is_held_longer_than_it_is_there(file: Path) -> None:
    def held() -> list[str]:
        open_now = list(Path("/proc/self/fd").iterdir())
        links = [str(each.readlink()) for each in open_now if each.is_symlink()]
        return sorted(link for link in links if link.startswith(str(file)))

    url = f"sqlite:///{file}"
    with closing(Journal(url)) as one:
        for _ in range(3):
            with closing(Database(url)) as database:
                database.write(executing("CREATE TABLE IF NOT EXISTS notes (number)")).result()
                one.sync()
                assert one.empty()
        # The last log's, which was taken away with the last connection.
        assert held() == [f"{log_of(file)} (deleted)"]
    assert held() == []
