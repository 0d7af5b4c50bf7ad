"""A server is updated while requests wait: the new one draws what the old one was left with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.history import OUTCOMES, STAMP
from tests.faults.receiver import Receiver
from tests.rig.older import Left, make_older
from tests.rig.postgres import Postgres
from tests.rig.process import Server, eventually

METRONOME = "limner/metronome"
QUEUE = f"/queue.fal.run/{METRONOME}"


@pytest.mark.parametrize(("engine", "version"), [("sqlite", 1), ("sqlite", 3), ("postgresql", 3)])
def test_what_waited_in_an_older_database_is_served(
    engine: str, version: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env: dict[str, str] = {}
    url = f"sqlite:///{home / 'limner.db'}"
    if engine == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = env["LIMNER_DATABASE_URL"] = postgres.new_database()
    receiver = Receiver()
    try:
        # Of two that wait, one must fail; of one, the worker went with the old server.
        left = {
            number: Left(
                f"00000000-0000-0000-0000-00000000000{number}",
                status=status,
                endpoint=METRONOME,
                input=json.dumps({"steps": 1, "ending": ending, "stamp": number}),
                webhook=receiver.url(number),
            )
            for number, status, ending in [
                (2, "queued", "well"), (3, "queued", "no face"), (4, "running", "well"),
                (7, "done", "well"),
            ]
        }  # fmt: skip
        make_older(url, version, list(left.values()))
        server = Server(home, env=env)
        try:
            for number, each in left.items():
                path = f"{QUEUE}/requests/{each.id}"
                eventually(lambda p=path: server.get(f"{p}/status").status_code == 200, within=60)
                answer = server.get(path)
                if number == 7:
                    assert (answer.status_code, answer.json()) == (200, {"old": True})
                    continue
                ending = json.loads(each.input)["ending"]
                assert answer.status_code == OUTCOMES[ending]
                (told,) = eventually(lambda n=number: receiver.delivered[n])
                assert told.body == answer.json()
                if ending == "well":
                    name = answer.json()["image"]["url"].rpartition("/")[2]
                    stamp = STAMP.fullmatch(server.get(f"/v3.fal.media/files/{name}").content)
                    assert stamp is not None
                    assert int(stamp[1]) == number
        finally:
            server.stop()
    finally:
        receiver.close()
