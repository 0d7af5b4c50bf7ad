"""The databases that must keep the ledger's rules: a new one is one name in ENGINES."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.rig.postgres import Postgres

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(params=ENGINES)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes empty databases, of each engine in turn."""
    if request.param == "sqlite":
        numbers = count()
        return lambda: f"sqlite:///{tmp_path / f'ledger-{next(numbers)}.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    """The address of an empty database, of each engine in turn."""
    return new_url()
