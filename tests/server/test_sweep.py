"""The sweep goes on whatever fails beneath it, and loses no file that is to go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from limner.files.disk import DiskStore
from limner.files.store import Description, reserve
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Submission
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


def forgotten(ledger: Ledger, files: DiskStore, *names: str) -> None:
    """A request that is to be forgotten with its files, which live longer by themselves."""
    for name in names:
        files.save(name, [b"a face"], Description("image/png"))
    ledger.submit(Submission(ENDPOINT, {})).result()
    (request,) = ledger.claim("w", [ENDPOINT], 1).result().requests
    ledger.finish(request.id, request.attempt, Outcome(200, {}, files=names)).result()


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
