"""What becomes of operations whose database fails, and of those that were asked together.

A real SQLite; only what its driver says at a commit is put in its mouth.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from limner.requests import lanes
from limner.requests.connections import Unreachable, Unwritable, sqlite_engine
from limner.requests.journal import Journal
from limner.requests.lanes import Closed, Keep, Lane, Task, Way

#: Long enough for a machine that is busy; nobody waits for it who is answered.
SOON = 20


class Said(Enum):
    """What a driver can say: SQLite's number, or PostgreSQL's letters."""

    UNDONE = "40001"
    DEADLOCK = "40P01"
    FULL = sqlite3.SQLITE_FULL
    READ_ONLY = sqlite3.SQLITE_READONLY
    BROKEN = sqlite3.SQLITE_IOERR_FSYNC
    OTHER = sqlite3.SQLITE_AUTH
    LOST = None

    def by_driver(self) -> sqlite3.Error:
        """A fault of its own: one that was raised before has another in its context."""
        if self is Said.LOST:
            return sqlite3.ProgrammingError("Cannot operate on a closed database.")
        fault = sqlite3.OperationalError("put in its mouth")
        name = "sqlstate" if isinstance(self.value, str) else "sqlite_errorcode"
        setattr(fault, name, self.value)
        return fault

    def of_operation(self) -> DBAPIError:
        """As SQLAlchemy tells an operation."""
        lost = self is Said.LOST
        return OperationalError("INSERT", None, self.by_driver(), connection_invalidated=lost)


UNDONE, DEADLOCK, FULL, READ_ONLY, BROKEN, OTHER, LOST = Said


@dataclass
class Rig:
    """One lane on a database of its own, and what happened on it."""

    way: Way
    lane: Lane
    file: Path
    #: What the driver says at the next commits, one each; None is a commit.
    at_commit: list[Said | None]
    rung: list[Sequence[str]]
    #: Operations begun, by name.
    begun: list[str]

    def ask(
        self, name: str, *faults: Exception, topics: Sequence[str] | None = None, **more: Any
    ) -> Future[str]:
        """Note ``name``; the operation fails so often before it succeeds."""
        left = list(faults)

        def note(connection: sa.Connection) -> str:
            self.begun.append(name)
            connection.exec_driver_sql("INSERT INTO notes VALUES (?)", (name,))
            if left:
                raise left.pop(0)
            return f"{name} noted"

        committed = None if topics is None else (lambda _: topics)
        task = Task(note, Future[str](), committed, **more)
        self.lane.put(task)
        return task.future

    def together(self, ask: Callable[[], list[Future[str]]]) -> list[Future[str]]:
        """Have these asked while the lane is busy, so that they come in one transaction."""
        busy, gate = threading.Event(), threading.Event()
        first: Future[Any] = Future()
        self.lane.put(Task(lambda _: (busy.set(), gate.wait(SOON)), first, None))
        assert busy.wait(SOON)
        asked = ask()
        gate.set()
        first.result(SOON)
        for future in asked:
            if not future.cancelled():
                future.exception(SOON)
        return asked

    def kept(self) -> list[str]:
        with closing(sqlite3.connect(self.file)) as own:
            return [name for (name,) in own.execute("SELECT name FROM notes ORDER BY rowid")]


@pytest.fixture
def open_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[..., Rig]]:
    monkeypatch.setattr(lanes, "LOOK_EVERY", 0.001)
    file = tmp_path / "notes.db"
    url = f"sqlite:///{file}"
    engine = sqlite_engine(url, writes=True)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE notes (name TEXT UNIQUE)")
    commit = engine.dialect.do_commit
    opened: list[Rig] = []

    def scripted(connection: Any) -> None:
        if opened and opened[-1].at_commit and (fault := opened[-1].at_commit.pop(0)):
            connection.rollback()  # as SQLite does when a commit fails
            raise fault.by_driver()
        commit(connection)

    monkeypatch.setattr(engine.dialect, "do_commit", scripted)

    def made(at_commit: Sequence[Said | None] = (), **way: Any) -> Rig:
        rung: list[Sequence[str]] = []
        ours = replace(Way(engine, 64, comes_back=False), **way)
        rig = Rig(ours, Lane("test", ours, rung.append), file, list(at_commit), rung, [])
        opened.append(rig)
        return rig

    yield made
    for rig in opened:
        rig.lane.close()
    engine.dispose()


@pytest.mark.parametrize(
    ("in_commit", "fault", "comes_back", "told"),
    [
        # Undone, or lost before its commit: nothing was kept and it is run again.
        (False, UNDONE, False, None), (False, DEADLOCK, False, None), (True, UNDONE, False, None),
        (False, LOST, True, None),
        # Lost in its commit: nobody can know, and it is not run again.
        (True, LOST, True, Unreachable), (True, LOST, False, Unreachable),
        # Surely nothing was kept.
        (False, FULL, False, Unwritable), (True, FULL, False, Unwritable),
        (False, READ_ONLY, False, Unwritable), (True, READ_ONLY, True, Unwritable),
        (False, BROKEN, False, Unwritable),
        # What could not be synced may be there all the same.
        (True, BROKEN, False, Unreachable),
        # Anything else is told as it is.
        (False, LOST, False, OperationalError), (False, OTHER, True, OperationalError),
        (True, OTHER, False, OperationalError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_log", [True, False])
def test_each_fault_of_a_database_is_told_as_what_became_of_the_operation(
    open_rig: Callable[..., Rig],
    in_commit: bool,
    fault: Said,
    comes_back: bool,
    told: type[Exception] | None,
    with_log: bool,
    tmp_path: Path,
) -> None:
    journal = Journal(f"sqlite:///{tmp_path / 'notes.db'}") if with_log else None
    rig = open_rig([fault] if in_commit else [], comes_back=comes_back, journal=journal)
    asked = rig.ask("it", *([] if in_commit else [fault.of_operation()]), topics=["it"])
    wrong = asked.exception(SOON)
    assert type(wrong) is (told or type(None))
    assert rig.begun == ["it"] * (1 if told else 2)
    assert rig.kept() == ([] if told else ["it"])
    assert rig.rung == ([] if told else [["it"]])
    if journal is not None:
        # In doubt is the log after a sync that failed, and only then.
        in_doubt = in_commit and fault is BROKEN
        if in_doubt:
            with pytest.raises(OSError, match="in doubt"):
                journal.sync()
        else:
            journal.sync()
    # The next one is served, and what failed is not in its transaction.
    assert rig.ask("next").result(SOON) == "next noted"
    assert rig.kept() == ([] if told else ["it"]) + ["next"]
    if journal is not None:
        journal.close()


def test_a_database_that_stays_away_is_given_up_with_all_who_wait(
    open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PATIENCE", 0.05)
    rig = open_rig(comes_back=True)
    away = [LOST.of_operation() for _ in range(5000)]
    asked = rig.together(lambda: [rig.ask("one", *away), rig.ask("other", *away)])
    assert [type(each.exception()) for each in asked] == [Unreachable, Unreachable]
    assert rig.begun.count("one") > 1
    assert rig.kept() == []


def test_of_several_the_one_that_fails_fails_alone_and_all_are_told_once(
    open_rig: Callable[..., Rig],
) -> None:
    rig = open_rig()
    taken, other = IntegrityError("INSERT", None, OTHER.by_driver()), RuntimeError("its own")
    asked = rig.together(
        lambda: [
            rig.ask("a", topics=["x"]),
            rig.ask("b", taken, taken, topics=["never"]),
            rig.ask("c", topics=["y", "x"]),
            rig.ask("d", other, other, other),
            rig.ask("e"),
        ]
    )
    assert [each.exception() for each in asked] == [None, taken, None, other, None]
    assert [asked[0].result(), asked[2].result()] == ["a noted", "c noted"]
    # What failed left nothing of what it had done.
    assert rig.kept() == ["a", "c", "e"]
    assert rig.rung == [["x", "y"]]
    # Once until the first that failed, and once more apart.
    assert rig.begun == [*"ab", *"abcde"]


def test_a_disk_that_is_full_for_one_of_several_is_full_for_all(
    open_rig: Callable[..., Rig],
) -> None:
    """SQLite undoes all of it: also what had succeeded, and what failed alone keeps its fault."""
    rig = open_rig()
    full, alone = FULL.of_operation(), RuntimeError("alone")
    asked = rig.together(
        lambda: [rig.ask("a"), rig.ask("b", alone, alone), rig.ask("c", full), rig.ask("d")]
    )
    assert asked[1].exception() is alone
    assert [type(asked[n].exception()) for n in (0, 2, 3)] == [Unwritable] * 3
    assert rig.kept() == []


def test_a_commit_that_fails_is_told_to_each_in_it(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig([None, FULL])
    asked = rig.together(lambda: [rig.ask("a", topics=["x"]), rig.ask("b", keep=Keep.NEVER)])
    assert [type(each.exception()) for each in asked] == [Unwritable, Unwritable]
    assert (rig.kept(), rig.rung) == ([], [])


def test_what_nobody_waits_for_any_more_is_not_begun(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig()

    def ask() -> list[Future[str]]:
        asked = [rig.ask(name) for name in "abc"]
        assert asked[1].cancel()
        return asked

    rig.together(ask)
    assert rig.kept() == ["a", "c"]
    assert rig.begun == ["a", "c"]


def test_so_many_at_once_and_no_more_in_one_transaction(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(at_once=2)
    asked = rig.together(lambda: [rig.ask(name, topics=[name], keep=Keep.TOLD) for name in "abcde"])
    assert [each.result() for each in asked] == [f"{name} noted" for name in "abcde"]
    assert rig.rung == [["a", "b"], ["c", "d"], ["e"]]


def test_a_bell_that_fails_takes_nobodys_answer(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig()

    def fails(_: object) -> Sequence[str]:
        raise RuntimeError("silent")

    silent: Future[str] = Future()

    def ask() -> list[Future[str]]:
        rig.lane.put(Task(lambda _: "kept", silent, fails))
        return [rig.ask("a", topics=["x"]), silent]

    assert [each.result() for each in rig.together(ask)] == ["a noted", "kept"]
    assert rig.kept() == ["a"]


def test_a_closed_lane_has_done_what_was_asked_and_takes_nothing_more(
    open_rig: Callable[..., Rig],
) -> None:
    rig = open_rig(at_once=2)
    asked = [rig.ask(name) for name in "abcde"]
    rig.lane.close()
    assert [each.done() for each in asked] == [True] * 5
    with pytest.raises(Closed):
        rig.ask("late").result(SOON)
    assert rig.kept() == list("abcde")
