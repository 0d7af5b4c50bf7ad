"""Houses to be searched: a server on each kind of database and store, every byte of it at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from limner.sketch.instruments import Instruments
from tests.privacy.guest import Guest, photo
from tests.privacy.outside import Outside
from tests.privacy.traces import Traces
from tests.privacy.upkeep import postgres_upkeep
from tests.rig.postgres import Postgres
from tests.rig.process import Server
from tests.rig.s3 import S3

KINDS = ("embedded", "scaled out")


@dataclass
class House:
    """A server, and every place where it can leave something."""

    server: Server
    #: Its home, its temporary folder, and PostgreSQL's whole cluster.
    folders: tuple[Path, ...]
    bucket: Callable[[], dict[str, bytes]]
    outside: Outside
    key: str
    #: What its operator does so that what is forgotten is gone.
    upkeep: Callable[[], object]

    def guest(self) -> Guest:
        """A caller whose traces are not known here yet."""
        guest = Guest(self.server, self.outside, photo(), {"authorization": f"Key {self.key}"})
        guest.traces.text("key", self.key.partition(":")[2])
        return guest

    def found(self, traces: Traces) -> dict[str, set[str]]:
        """Where which traces stand, in every byte there is."""
        return {
            **traces.found_under(*self.folders),
            **traces.found_among(self.bucket().items()),
        }


@contextmanager
def house(kind: str, folder: Path, request: pytest.FixtureRequest, **env: str) -> Iterator[House]:
    """A house of one kind, in an empty folder."""
    scratch = folder / "tmp"
    scratch.mkdir()
    folders = [folder / "home", scratch]
    env = {"TMPDIR": str(scratch), "LIMNER_LOG_LEVEL": "debug", **env}
    bucket: Callable[[], dict[str, bytes]] = dict
    upkeep: Callable[[], object] = dict
    if kind == "scaled out":
        postgres: Postgres = request.getfixturevalue("postgres")
        s3: S3 = request.getfixturevalue("s3")
        name = s3.new_bucket()
        folders.append(postgres.folder)
        url = postgres.new_database()
        upkeep = lambda: postgres_upkeep(url)  # noqa: E731
        env |= {
            **s3.environment,
            "LIMNER_DATABASE_URL": url,
            "LIMNER_FILES_URL": f"s3://{name}/kept",
        }
        bucket = lambda: s3.objects(name)  # noqa: E731
    outside = Outside()
    server = Server(folder / "home", env=env, hasty=True)
    try:
        key = server.post("/limner/v1/keys", json={"scope": "admin"}).json()["key"]
        yield House(server, tuple(folders), bucket, outside, key, upkeep)
    finally:
        server.stop()
        outside.close()


@pytest.fixture(scope="module", params=KINDS)
def lasting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A house that forgets nothing by itself within a test, but what is not to be stored."""
    with house(request.param, tmp_path_factory.mktemp("lasting"), request) as made:
        yield made


@pytest.fixture(scope="session")
def seeing(networks: Path) -> Instruments:
    """The networks that look at faces."""
    return Instruments(networks, 1, may_fetch=False, index_url=None)
