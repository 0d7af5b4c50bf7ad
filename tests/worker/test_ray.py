"""``limner work --ray`` on a real Ray cluster of three nodes, a real PostgreSQL and a real S3.

The GPUs are what the nodes say they have: what is drawn is the metronome's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.cli.shell import ExitCode
from limner.requests.fleet import Seen
from limner.requests.ledger import Ledger
from limner.requests.request import Request, Status, Submission
from tests.rig.postgres import Postgres
from tests.rig.process import ROOT, eventually
from tests.rig.s3 import S3

METRONOME = "limner/metronome"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that runs."""
    log = tmp_path_factory.mktemp("ray") / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.rig.ray_cluster"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=written,
        )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        address = process.stdout.readline().decode().strip()
        assert address, log.read_text()
        yield address
        process.stdin.close()
        process.wait(60)


class Placed:
    """A ledger, and a ``limner work --ray`` that keeps workers for it."""

    def __init__(self, folder: Path, cluster: str, postgres: Postgres, s3: S3) -> None:
        self.ledger = Ledger(url := postgres.new_database(), lease=1)
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.rig", "place"],
                cwd=ROOT,
                env={
                    **os.environ,
                    **s3.environment,
                    "RAY_ADDRESS": cluster,
                    "LIMNER_DATABASE_URL": url,
                    "LIMNER_FILES_URL": f"s3://{s3.new_bucket()}/pictures",
                    "LIMNER_HOME": str(folder),
                    "LIMNER_LEASE": "1",
                    "LIMNER_SLOTS": "2",
                },
                stderr=log,
            )

    def submit(self, **said: object) -> str:
        return self.ledger.submit(Submission(METRONOME, said)).result().id

    def get(self, request_id: str) -> Request:
        found = self.ledger.get(request_id).result()
        assert found is not None
        return found

    def workers(self) -> list[Seen]:
        return self.ledger.workers().result()

    def reaped(self) -> bool:
        """What every server does all the time."""
        self.ledger.reap().result()
        return True


@contextmanager
def placing(folder: Path, cluster: str, postgres: Postgres, s3: S3) -> Generator[Placed]:
    placed = Placed(folder, cluster, postgres, s3)
    try:
        yield placed
    finally:
        placed.process.terminate()
        try:
            placed.process.wait(40)
        finally:
            placed.process.kill()
            placed.ledger.close()


def pid(worker: Seen) -> int:
    return int(worker.presence.name.split(":")[1])


def parent(worker: Seen) -> int:
    """Ray's process of the node that a worker is on."""
    return int(Path(f"/proc/{pid(worker)}/stat").read_text().rpartition(")")[2].split()[1])


def test_there_are_as_many_as_the_queue_wants_and_one_that_is_killed_costs_nothing(
    tmp_path: Path, cluster: str, postgres: Postgres, s3: S3
) -> None:
    with placing(tmp_path, cluster, postgres, s3) as placed:
        first = eventually(placed.workers)
        assert [seen.presence.device for seen in first] == ["cuda:0"]
        # Enough for six workers of two slots; the cluster has two GPUs.
        ids = [placed.submit(steps=15, pause=0.1, stamp=n) for n in range(12)]
        eventually(lambda: sum(seen.running for seen in placed.workers()) == 4)
        both = placed.workers()
        assert len({parent(seen) for seen in both}) == len(both) == 2
        # One is killed while it draws two.
        killed = both[0]
        os.kill(pid(killed), signal.SIGKILL)
        eventually(
            lambda: (
                placed.reaped()
                and len(now := {seen.presence.name for seen in placed.workers()}) == 2
                and killed.presence.name not in now
            )
        )
        eventually(
            lambda: placed.reaped() and all(placed.get(each).outcome is not None for each in ids)
        )
        requests = [placed.get(each) for each in ids]
        assert [each.outcome.http_status for each in requests if each.outcome] == [200] * 12
        # What it held was begun anew by another.
        assert max(each.attempt for each in requests) > 1
        # Nothing waits any more: one is enough, and the other takes leave.
        eventually(lambda: len(placed.workers()) == 1)
        last = pid(placed.workers()[0])
        # Told to end, what is drawn goes back into the queue and nobody stays behind.
        slow = placed.submit(steps=600, pause=0.1)
        eventually(lambda: placed.get(slow).progress > 0)
        placed.process.send_signal(signal.SIGTERM)
        assert placed.process.wait(40) == 0
        assert placed.workers() == []
        assert placed.get(slow).status is Status.QUEUED
        eventually(lambda: not Path(f"/proc/{last}").exists())
        said = (tmp_path / "log").read_text()
        events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        # The actor that was killed was not made anew from here: Ray restarted it.
        placings = [each["number"] for each in events if each["event"] == "ray_workers"]
        assert placings == [1, 2, 1]
        assert "hush" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "LIMNER_DATABASE_URL"),
        (["--device", "cuda:1"], "Ray chooses the GPU"),
        (["--ray-min", "3", "--ray-max", "2"], "--ray-max is less"),
    ],
)
def test_what_cannot_be_placed_is_refused_before_ray_is_asked(
    options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A ledger in a file of this machine, and a bucket.
    monkeypatch.delenv("LIMNER_DATABASE_URL", raising=False)
    monkeypatch.setenv("LIMNER_FILES_URL", "s3://bucket/pictures")
    done = CliRunner().invoke(app, ["work", "--ray", *options])
    assert done.exit_code == ExitCode.USAGE
    assert said in done.stderr
