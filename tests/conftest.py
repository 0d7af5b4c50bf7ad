"""What every test may use."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from limner.cli.house import OthersLines
from tests.rig.postgres import Postgres
from tests.rig.process import ROOT, Server
from tests.rig.s3 import S3


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A command that a test runs in this process says where the process's log goes from then on: to
    a stream of that test, which is closed after it, and the next that has something to log fails.
    """
    uvicorn = logging.getLogger("uvicorn.error")
    filters = list(uvicorn.filters)
    yield
    structlog.reset_defaults()
    uvicorn.filters[:] = filters
    for handler in [each for each in logging.root.handlers if isinstance(each, OthersLines)]:
        logging.root.removeHandler(handler)


@pytest.fixture(scope="session")
def networks() -> Path:
    """The folder with the sketch engine's networks; `make test` pulls them before."""
    folder = Path(os.environ.get("LIMNER_HOME", ROOT / ".limner")) / "networks"
    if not folder.exists():
        pytest.fail(f"no networks in {folder}: run `limner pull sketch` (make test does)")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server for all tests that only call it."""
    running = Server(tmp_path_factory.mktemp("home"))
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test alone, to be killed and filled."""
    running = Server(tmp_path / "home")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with its own authority: plain HTTP, TLS and CONNECT on one port."""
    # Slots for many metronomes at once: most of their time they pause. A lease that a busy machine
    # keeps: nobody is killed here.
    env = {"LIMNER_SLOTS": "16", "LIMNER_LEASE": "10"}
    running = Server(tmp_path_factory.mktemp("tls-home"), env=env, tls=True)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One real PostgreSQL for all tests that need a database of it."""
    running = Postgres()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """One S3 for all tests that need a bucket of it."""
    running = S3()
    yield running
    running.stop()
