"""Several machines on one PostgreSQL and one S3: gateways without workers, workers without them.

Every process has a home of its own, as on a machine of its own: they share nothing but the two.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from limner.requests.ledger import Ledger
from tests.rig.postgres import Postgres
from tests.rig.process import ROOT, Server, eventually
from tests.rig.s3 import S3

METRONOME = "limner/metronome"

#: Route D of wire.md 1.4: the client's module addresses, everything over plain HTTP.
ROAD = """
import json, sys
import fal_client, fal_client.client as addresses
base = sys.argv[1]
addresses.RUN_URL_FORMAT = base + "/fal.run/"
addresses.QUEUE_URL_FORMAT = base + "/queue.fal.run/"
addresses.REST_URL = base + "/rest.fal.ai"
addresses.CDN_URL = base + "/v3.fal.media"
client = fal_client.SyncClient(key="any:key")
"""

SUBSCRIBE = """
url = client.upload(b"a face" * 1000, "image/png", file_name="face.png")
said = []
heard = lambda update: said.extend(e["message"] for e in getattr(update, "logs", None) or [])
answer = client.subscribe(
    "limner/metronome", {"steps": 4, "pause": 0.1, "picture": url}, with_logs=True,
    on_queue_update=heard,
)
print(json.dumps({"answer": answer, "said": said, "url": url}))
"""

SUBMIT = """
handle = client.submit("limner/metronome", json.loads(sys.argv[2]))
print(handle.request_id, flush=True)
print(json.dumps(handle.get()))
"""


class Machines:
    """Two gateways and two workers, one database and one bucket."""

    def __init__(self, folder: Path, postgres: Postgres, s3: S3) -> None:
        self.folder = folder
        self.postgres = postgres
        self.bucket = s3.new_bucket()
        self.url = postgres.new_database()
        self.env = {
            "LIMNER_DATABASE_URL": self.url,
            "LIMNER_FILES_URL": f"s3://{self.bucket}/pictures",
            **s3.environment,
        }
        self.gateways = [
            Server(folder / f"gateway-{n}", env=self.env, workers=False) for n in range(2)
        ]
        self.workers = [self.worker(n) for n in range(2)]
        self.ledger = Ledger(self.url)
        eventually(lambda: len(self.ledger.workers().result()) == 2)

    def worker(self, number: int) -> subprocess.Popen[bytes]:
        home = self.folder / f"worker-{number}"
        home.mkdir()
        environment = {
            **os.environ,
            **self.env,
            "LIMNER_HOME": str(home),
            "LIMNER_LEASE": "1",
            "LIMNER_ALLOW_PRIVATE_URLS": "1",
        }
        with (home / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.rig", "work"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stderr=log,
            )

    def client(self, number: int, program: str, *said: str) -> subprocess.Popen[str]:
        """A program of fal's unmodified client, led to one of the gateways."""
        return subprocess.Popen(
            [sys.executable, "-c", ROAD + program, self.gateways[number].base, *said],
            stdout=subprocess.PIPE,
            text=True,
        )

    def get(self, number: int, request_id: str) -> httpx2.Response:
        """A request's result by one of the gateways."""
        return self.gateways[number].get(f"/queue.fal.run/{METRONOME}/requests/{request_id}")

    def stop(self) -> None:
        self.ledger.close()
        for worker in self.workers:
            worker.kill()
            worker.wait()
            assert worker.stdin is not None
            worker.stdin.close()
        for gateway in self.gateways:
            gateway.stop()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, s3: S3) -> Iterator[Machines]:
    postgres = Postgres()  # their own, to be killed
    running = Machines(tmp_path_factory.mktemp("machines"), postgres, s3)
    yield running
    running.stop()
    postgres.stop()


@pytest.mark.parametrize("gateway", [0, 1])
def test_by_either_gateway_the_client_uploads_draws_hears_and_reads(
    machines: Machines, gateway: int
) -> None:
    told = json.loads(machines.client(gateway, SUBSCRIBE).communicate(timeout=60)[0])
    assert told["answer"]["steps"] == 4
    # The worker has read what the gateway was given, from the bucket.
    assert told["answer"]["read"] == 6000
    assert "step 1 of 4" in told["said"]
    picture = told["answer"]["image"]["url"]
    for each in machines.gateways:
        # A load balancer may send the next call anywhere.
        elsewhere = picture.replace(machines.gateways[gateway].base, each.base)
        whole, part = httpx2.get(elsewhere), httpx2.get(elsewhere, headers={"range": "bytes=4-9"})
        assert (whole.content, part.content) == (b"not really a picture", b"really"[:6])
        assert (part.status_code, whole.headers["content-type"]) == (206, "image/PNG")
        assert httpx2.head(elsewhere).headers["etag"] == whole.headers["etag"]


def test_a_database_killed_in_the_middle_costs_no_request(
    machines: Machines, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    said = {"steps": 30, "pause": 0.1, "journal": str(journal)}
    client = machines.client(1, SUBMIT, json.dumps(said))
    assert client.stdout is not None
    request_id = client.stdout.readline().strip()
    eventually(lambda: journal.exists() and len(journal.read_text().splitlines()) > 3)
    machines.postgres.kill()
    drawn = len(journal.read_text().splitlines())
    # It goes on drawing without a ledger to tell: to its end, if that comes first.
    eventually(lambda: len(journal.read_text().splitlines()) > drawn + 3)
    machines.postgres.start()
    answer = json.loads(client.communicate(timeout=60)[0])
    assert (answer["steps"], machines.get(0, request_id).json()) == (30, answer)
    assert httpx2.get(answer["image"]["url"]).content == b"not really a picture"
    assert machines.gateways[0].get("/ready").status_code == 200


def test_a_worker_killed_in_the_middle_leaves_exactly_one_outcome(
    machines: Machines, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    said = {"steps": 30, "pause": 0.1, "journal": str(journal)}
    client = machines.client(0, SUBMIT, json.dumps(said))
    assert client.stdout is not None
    request_id = client.stdout.readline().strip()
    eventually(lambda: journal.exists() and len(journal.read_text().splitlines()) > 3)
    (holder,) = [seen for seen in machines.ledger.workers().result() if seen.running]
    pid = int(holder.presence.name.split(":")[1])
    assert pid in [worker.pid for worker in machines.workers]
    os.kill(pid, signal.SIGKILL)
    answer = json.loads(client.communicate(timeout=60)[0])
    assert answer["steps"] == 30
    # Begun twice, ended once: the same end by whichever gateway, and its picture is there.
    assert journal.read_text().splitlines().count("0") == 2
    assert journal.read_text().splitlines().count("29") == 1
    found = machines.ledger.get(request_id).result()
    assert found is not None
    assert found.attempt == 2
    assert [machines.get(n, request_id).json() for n in range(2)] == [answer, answer]
    assert httpx2.get(answer["image"]["url"]).content == b"not really a picture"
    # The one that was killed is soon no longer counted among the workers.
    eventually(lambda: len(machines.ledger.workers().result()) == 1)
