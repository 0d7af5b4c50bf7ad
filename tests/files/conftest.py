"""The stores that must keep the contract: a new one is one entry in STORES."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from limner.files.bucket import open_bucket
from limner.files.disk import DiskStore
from limner.files.s3 import S3Store
from limner.files.store import FileStore
from tests.rig.s3 import S3

START = 1_000_000.0


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def on_disk(request: pytest.FixtureRequest, clock: Clock) -> FileStore:
    folder: Path = request.getfixturevalue("tmp_path")
    return DiskStore(folder / "files", clock)


def in_s3(request: pytest.FixtureRequest, clock: Clock) -> FileStore:
    s3: S3 = request.getfixturevalue("s3")
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name, value in s3.environment.items():
        patch.setenv(name, value)
    return S3Store(open_bucket(f"s3://{s3.new_bucket()}/some/where"), clock)


#: Name → how to open the store, empty, with a clock.
STORES: dict[str, Callable[[pytest.FixtureRequest, Clock], FileStore]] = {
    "disk": on_disk,
    "s3": in_s3,
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, clock: Clock) -> FileStore:
    """Each store in turn."""
    return STORES[request.param](request, clock)
