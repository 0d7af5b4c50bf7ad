"""What is left of a forgotten request in every byte of a database, beside others that stay.

Pages are shared, split and joined by requests of all sizes, so that what is forgotten stood in the
middle of what is kept. On SQLite nothing is left once its journal is emptied, as the server's
sweep does; PostgreSQL needs its operator, and the words for that in docs/privacy.md are tried here.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from limner.requests.ledger import Ledger
from limner.requests.lifecycle import StepTaken
from limner.requests.request import Outcome, Submission
from tests.privacy.traces import Traces
from tests.privacy.upkeep import analyzed, postgres_upkeep
from tests.rig.postgres import Postgres

ENDPOINT = "a/one"


class Book:
    """A ledger with a clock of the test's own, and all that was ever written into it."""

    def __init__(self, url: str) -> None:
        self.now = 1_000_000.0
        self.ledger = Ledger(url, retention=100, clock=lambda: self.now)
        self.traces = Traces()

    def draw(self, number: int, *, known: bool, store_io: bool = True) -> list[str]:
        """Requests of many sizes from submit to webhook; ``known``: keep their traces in mind."""
        traces = self.traces if known else Traces()
        for size in (40, 3_000, 9_000, 40_000, 700)[:number]:
            mark, photo = secrets.token_hex(10), os.urandom(size)
            traces.text("prompt", f"marmot {mark}")
            traces.text("address", f"http://hook/{mark}")
            traces.content("photo", photo)
            given = {"prompt": f"a marmot {mark}", "photo": base64.b64encode(photo).decode()}
            self.ledger.submit(
                Submission(ENDPOINT, given, webhook_url=f"http://hook/{mark}", store_io=store_io)
            ).result()
        drawn: list[str] = []
        for request in self.ledger.claim("worker", [ENDPOINT], number).result().requests:
            preview, answer = os.urandom(5_000), os.urandom(1_500).hex()
            traces.content("preview", preview)
            traces.content("answer", answer.encode())
            step = StepTaken("one of two", preview=preview)
            self.ledger.step(request.id, request.attempt, step).result()
            outcome = Outcome(200, {"answer": answer})
            assert self.ledger.finish(request.id, request.attempt, outcome).result()
            drawn.append(request.id)
        return drawn

    def delivered(self) -> None:
        """Every webhook that is owed arrives."""
        while due := self.ledger.due(limit=100, lease=10).result():
            for delivery in due:
                self.ledger.delivered(delivery.id, 200).result()


@pytest.fixture
def book(request: pytest.FixtureRequest, url: str) -> Book:
    made = Book(url)
    request.addfinalizer(made.ledger.close)
    return made


Swept = Callable[[], dict[str, set[str]]]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A database's address, and the folder that has all of its bytes."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database(), postgres.folder


@pytest.fixture
def url(place: tuple[str, Path]) -> str:
    return place[0]


@pytest.fixture
def swept(book: Book, place: tuple[str, Path]) -> Swept:
    """Does what the sweep does, and an operator of PostgreSQL; then what is still found."""

    def sweep() -> dict[str, set[str]]:
        url, folder = place
        assert book.ledger.scrub()
        if url.startswith("postgresql"):
            postgres_upkeep(url)
        return book.traces.found_under(folder)

    return sweep


def test_of_deleted_requests_nothing_is_left(
    book: Book, place: tuple[str, Path], swept: Swept
) -> None:
    mine: list[str] = []
    for _ in range(3):
        mine += book.draw(5, known=True)
        book.draw(5, known=False)
    if place[0].startswith("postgresql"):
        analyzed(place[0])
    there = set().union(*book.traces.found_under(place[1]).values())
    assert {"prompt (utf-8)", "photo (base64)", "answer (bytes)", "preview (bytes)"} <= there
    for request_id in mine:
        book.ledger.delete(request_id).result()
    assert swept() == {}


def test_of_expired_requests_nothing_is_left(book: Book, swept: Swept) -> None:
    book.draw(5, known=True)
    book.now += 90
    book.draw(5, known=False)
    book.now += 20
    book.ledger.expire().result()
    assert swept() == {}


def test_of_what_is_not_to_be_stored_nothing_is_left_after_its_delivery(
    book: Book, swept: Swept
) -> None:
    """Its minute is shorter than any retention, and a webhook that has arrived is not kept."""
    book.draw(5, known=True, store_io=False)
    book.draw(3, known=False)
    book.now += 61
    book.ledger.expire().result()
    assert len(book.ledger.due(limit=100, lease=0).result()) == 8
    book.delivered()
    assert swept() == {}
