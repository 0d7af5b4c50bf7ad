"""The sweep goes on whatever fails beneath it, and loses no file that is to go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from limner.files.disk import DiskStore
from limner.files.store import Description, reserve
from limner.requests.leaving import HANDS_OFF, Leaving
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Submission
from limner.server.deleting import Deleted, delete_request
from limner.server.sweep import sweep_forever

ENDPOINT = "fal-ai/face-to-sticker"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """One that forgets at once."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lease=10, retention=0) as made:
        yield made


def swept(ledger: Ledger, files: DiskStore, until: Callable[[], bool]) -> None:
    """Sweep until something is so."""

    async def scenario() -> None:
        sweep = asyncio.create_task(sweep_forever(ledger, files))
        async with asyncio.timeout(30):
            while not until():
                await asyncio.sleep(0.02)
        sweep.cancel()

    asyncio.run(scenario())


def forgotten(ledger: Ledger, files: DiskStore, *names: str) -> str:
    """A request that is to be forgotten with its files, which live longer by themselves; its id."""
    for name in names:
        files.save(name, [b"a face"], Description("image/png"))
    ledger.submit(Submission(ENDPOINT, {})).result()
    (request,) = ledger.claim("w", [ENDPOINT], 1).result().requests
    ledger.finish(request.id, request.attempt, Outcome(200, {}, files=names)).result()
    return request.id


def test_files_of_a_forgotten_request_go_though_the_store_was_away(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskStore(tmp_path / "files")
    names = [reserve() for _ in range(3)]
    forgotten(ledger, files, *names)
    deletes, delete = 0, files.delete

    def unsteady(name: str) -> bool:
        nonlocal deletes
        deletes += 1
        if deletes <= 2:
            raise OSError(5, "Input/output error")
        return delete(name)

    monkeypatch.setattr(files, "delete", unsteady)
    swept(ledger, files, lambda: not list(files.listing()))
    assert deletes == 5


def test_a_file_that_cannot_go_holds_up_no_other(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskStore(tmp_path / "files")
    stuck, other, ended = reserve(), reserve(), reserve()
    forgotten(ledger, files, stuck, other)
    files.save(ended, [b"a face"], Description("image/png", 1.0))  # its own time has come
    delete = files.delete

    def refusing(name: str) -> bool:
        if name == stuck:
            raise OSError(1, "Operation not permitted")
        return delete(name)

    monkeypatch.setattr(files, "delete", refusing)
    there = lambda: {path.parent.name for path in tmp_path.rglob("about.json")}  # noqa: E731
    swept(ledger, files, lambda: there() == {stuck})


class Away(DiskStore):
    """A store that can be reached or not, as S3 can."""

    away = False
    deletes = 0

    def delete(self, name: str) -> bool:
        if self.away:
            raise ConnectionError("S3 is away")
        self.deletes += 1
        return super().delete(name)


def test_a_request_deleted_while_the_store_was_away_loses_its_files_when_it_is_back(
    tmp_path: Path,
) -> None:
    """Though the server that took the word for it was killed meanwhile."""
    url, files = f"sqlite:///{tmp_path / 'ledger.db'}", Away(tmp_path / "files")
    first, second = reserve(), reserve()
    with Ledger(url) as ledger:
        request_id = forgotten(ledger, files, first, second)
        files.away = True
        assert delete_request(ledger, files, request_id, "") == Deleted((), (first, second))
        assert ledger.get(request_id).result() is None
    files.away = False
    with Ledger(url) as ledger:
        assert ledger.leaving(limit=9).result() == [Leaving(first, ""), Leaving(second, "")]
        swept(ledger, files, lambda: not ledger.leaving(limit=9).result())
        assert list(files.listing()) == []


def test_a_request_deleted_by_a_server_that_dies_just_then_loses_its_files_too(
    tmp_path: Path,
) -> None:
    now = 1_000_000.0
    url, files = f"sqlite:///{tmp_path / 'ledger.db'}", Away(tmp_path / "files")
    with Ledger(url, clock=lambda: now) as ledger:
        request_id = forgotten(ledger, files, name := reserve())
        assert ledger.delete(request_id).result() == (name,)
        # Who deletes it has it to itself, so that it can say what became of it.
        assert ledger.leaving(limit=9).result() == []
        now += HANDS_OFF
        assert ledger.leaving(limit=9).result() == [Leaving(name, "")]
        swept(ledger, files, lambda: not list(files.listing()))


def test_a_request_deleted_in_peace_owes_nothing(tmp_path: Path) -> None:
    files = Away(tmp_path / "files")
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: 0.0) as ledger:
        request_id = forgotten(ledger, files, mine := reserve())
        assert delete_request(ledger, files, request_id, "") == Deleted((mine,), ())
        assert files.deletes == 1
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: HANDS_OFF) as ledger:
        assert ledger.leaving(limit=9).result() == []


def test_a_clock_that_is_set_back_keeps_no_file(tmp_path: Path) -> None:
    now = 1_000_000.0
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: now) as ledger:
        ledger.delete(forgotten(ledger, Away(tmp_path / "files"), name := reserve())).result()
        now -= 86_400
        assert ledger.leaving(limit=9).result() == [Leaving(name, "")]
