"""kill -9 in the middle of work: nothing accepted is lost, nothing is done twice to completion."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.rig.process import Server, eventually

QUEUE = "/queue.fal.run/limner/metronome"


def submit(server: Server, **arguments: object) -> str:
    answer = server.post(QUEUE, json=arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()["request_id"]


def status(server: Server, request_id: str) -> str:
    return server.get(f"{QUEUE}/requests/{request_id}/status").json()["status"]


def started(server: Server, request_id: str) -> bool:
    logs = server.get(f"{QUEUE}/requests/{request_id}/status?logs=1").json()["logs"]
    return any(entry["message"].startswith("step") for entry in logs)


def result(server: Server, request_id: str) -> dict[str, object]:
    answer = eventually(
        lambda: (
            got
            if (got := server.get(f"{QUEUE}/requests/{request_id}")).status_code not in (400, 503)
            else None
        ),
        within=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_killed_worker_is_replaced_and_its_requests_are_drawn_by_the_next(
    own_server: Server, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    first = submit(own_server, steps=20, pause=0.1, journal=str(journal))
    others = [submit(own_server, steps=1) for _ in range(5)]
    eventually(lambda: started(own_server, first))
    (worker,) = own_server.workers()
    os.kill(worker, signal.SIGKILL)
    assert result(own_server, first)["steps"] == 20
    assert all(result(own_server, other)["steps"] == 1 for other in others)
    assert own_server.workers() != [worker]
    # It did begin twice: the test would pass for nothing if the kill had come too late.
    assert journal.read_text().splitlines().count("0") == 2


def test_a_killed_server_comes_back_with_every_accepted_request(tmp_path: Path) -> None:
    home = tmp_path / "home"
    server = Server(home)
    accepted = [submit(server, steps=5, pause=0.1) for _ in range(8)]
    eventually(lambda: started(server, accepted[0]))
    workers = server.workers()
    server.kill()
    # The workers see the pipe end, finish or give back what they hold, and leave.
    eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    again = Server(home)
    try:
        assert [result(again, each)["steps"] for each in accepted] == [5] * 8
    finally:
        again.stop()


def test_a_request_that_may_not_be_retried_fails_when_its_worker_is_lost(
    own_server: Server,
) -> None:
    answer = own_server.post(
        QUEUE, json={"steps": 100, "pause": 0.1}, headers={"x-fal-no-retry": "1"}
    )
    request_id = answer.json()["request_id"]
    eventually(lambda: started(own_server, request_id))
    os.kill(own_server.workers()[0], signal.SIGKILL)
    eventually(lambda: status(own_server, request_id) == "COMPLETED")
    failed = own_server.get(f"{QUEUE}/requests/{request_id}")
    assert (failed.status_code, failed.json()["error_type"]) == (503, "runner_disconnected")


def test_a_request_that_ends_its_workers_fails_and_takes_no_other_along(
    own_server: Server, tmp_path: Path
) -> None:
    """Two slots: somebody is drawn beside it each time, and is lost with it once at most."""
    journal = tmp_path / "journal"
    others = [submit(own_server, steps=25, pause=0.1)]
    poison = submit(own_server, steps=3, pause=0.1, ending="die", journal=str(journal))
    others += [submit(own_server, steps=5, pause=0.1) for _ in range(4)]
    assert [result(own_server, other)["steps"] for other in others] == [25, 5, 5, 5, 5]
    eventually(lambda: status(own_server, poison) == "COMPLETED")
    failed = own_server.get(f"{QUEUE}/requests/{poison}")
    assert (failed.status_code, failed.json()["error_type"]) == (503, "runner_disconnected")
    assert journal.read_text().splitlines().count("0") == 3
    # And the fleet goes on.
    assert result(own_server, submit(own_server, steps=1))["steps"] == 1


def test_a_polite_stop_gives_running_requests_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    server = Server(home)
    long = submit(server, steps=300, pause=0.1)
    eventually(lambda: started(server, long))
    server.stop()
    again = Server(home)
    try:
        assert status(again, long) in ("IN_QUEUE", "IN_PROGRESS")
        again.call("PUT", f"{QUEUE}/requests/{long}/cancel")
    finally:
        again.stop()
