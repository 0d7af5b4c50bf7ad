"""The stores that must keep the contract: a new one is one line in STORES."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from limner.files.disk import DiskStore
from limner.files.store import FileStore

START = 1_000_000.0


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


#: Name → how to open the store over an empty folder, with a clock.
STORES: dict[str, Callable[[Path, Clock], FileStore]] = {
    "disk": lambda folder, clock: DiskStore(folder / "files", clock),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> FileStore:
    """Each store in turn."""
    return STORES[request.param](tmp_path, clock)
