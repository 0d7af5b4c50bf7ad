"""Direct calls: run and stream, their headers, their errors, and hanging up (wire.md 3.6, 3.7)."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.rig.process import Server, eventually

ENDPOINT = "limner/metronome"
RUN = f"/fal.run/{ENDPOINT}"


def test_a_run_is_the_bare_output_with_fals_headers(server: Server) -> None:
    answer = server.post(RUN, json={"steps": 2})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert set(answer.json()) == {"steps", "read", "image"}
    request_id = answer.headers["x-fal-request-id"]
    assert answer.headers["x-fal-billable-units"] == "0"
    # It went through the same ledger as everything.
    status = server.get(f"/queue.fal.run/{ENDPOINT}/requests/{request_id}/status").json()
    assert status["status"] == "COMPLETED"


def test_a_run_by_get_takes_its_input_from_the_query(server: Server) -> None:
    answer = server.get(f"{RUN}?steps=1&pause=0&unknown=x")
    assert (answer.status_code, answer.json()["steps"]) == (200, 1)


@pytest.mark.parametrize("path", [RUN, f"{RUN}/stream"])
def test_wrong_input_is_refused_at_once(server: Server, path: str) -> None:
    # 4.5: validation errors cost nothing and say so.
    refused = server.post(path, json={"steps": -1})
    assert (refused.status_code, refused.headers["x-fal-billable-units"]) == (422, "0")
    assert refused.headers["content-type"] == "application/json"
    (entry,) = refused.json()["detail"]
    assert (entry["loc"], entry["type"], entry["input"]) == (
        ["body", "steps"],
        "greater_than_equal",
        -1,
    )


def test_our_fault_is_one_opaque_500(server: Server) -> None:
    answer = server.post(RUN, json={"ending": "badly"})
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})
    assert answer.headers["x-fal-request-id"]  # so that Python does not ask again (2.4)


def test_a_run_whose_worker_is_lost_is_503_and_not_tried_again(own_server: Server) -> None:
    # 5: run() is never retried by the queue. 2.4: no "nginx", and a request id.
    answer = own_server.post(RUN, json={"ending": "die"})
    assert answer.status_code == 503
    assert answer.json() == {"detail": "Runner disconnected", "error_type": "runner_disconnected"}
    assert answer.headers["x-fal-error-type"] == "runner_disconnected"
    assert answer.headers["x-fal-request-id"]
    assert b"nginx" not in answer.content.lower()


def test_a_run_that_does_not_start_in_time_is_504_of_the_user(busy: Server) -> None:
    answer = busy.post(RUN, json={}, headers={"x-fal-request-timeout": "0.2"})
    assert answer.status_code == 504
    assert answer.headers["x-fal-request-timeout-type"] == "user"


def test_a_path_the_application_does_not_have_is_404(server: Server) -> None:
    # 4.4.
    for path in (f"{RUN}/nowhere", f"{RUN}/nowhere/stream"):
        answer = server.post(path, json={})
        assert (answer.status_code, answer.json()) == (404, {"detail": "Path /nowhere not found"})
        assert answer.headers["x-fal-billable-units"] == "0"


def test_a_stream_is_one_json_event_per_step_and_last_the_result(server: Server) -> None:
    answer = server.post(f"{RUN}/stream", json={"steps": 3})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    request_id = answer.headers["x-fal-request-id"]
    blocks = answer.text.removesuffix("\n\n").split("\n\n")
    events = [json.loads(block.removeprefix("data: ")) for block in blocks]  # 0.13: no [DONE]
    assert [event["progress"] for event in events[:-1]] == [0.0, 1 / 3, 2 / 3, 1.0]
    assert {event["request_id"] for event in events[:-1]} == {request_id}
    assert events[-1]["steps"] == 3


def test_a_stream_that_fails_ends_with_the_error(server: Server) -> None:
    answer = server.post(f"{RUN}/stream", json={"steps": 1, "ending": "no face"})
    last = json.loads(answer.text.rstrip().rpartition("data: ")[2])
    assert last["detail"][0]["type"] == "face_detection_error"


# Hanging up


def hang_up(server: Server, path: str, said: dict[str, Any], after: bytes) -> None:
    """Call, wait until ``after`` was answered, and break the line."""
    body = json.dumps(said).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(head.encode() + body)
        heard = b""
        while after and after not in heard:
            heard += line.recv(65536)
        if not after:
            eventually(lambda: Path(said["journal"]).exists())


@pytest.mark.parametrize(
    ("path", "after"), [(RUN, b""), (f"{RUN}/stream", b""), (f"{RUN}/stream", b"step 2 of")]
)
def test_hanging_up_cancels(server: Server, tmp_path: Path, path: str, after: bytes) -> None:
    # 3.6: "client disconnect cancels".
    journal = tmp_path / "journal"
    hang_up(server, path, {"steps": 2000, "pause": 0.02, "journal": str(journal)}, after)
    # It stops: the journal of steps grows no more.
    eventually(lambda: done(journal))
    assert len(journal.read_text().splitlines()) < 2000


def done(journal: Path) -> bool:
    """Has nothing been written for ten steps' time?"""
    before = journal.read_text()
    time.sleep(0.2)
    return journal.read_text() == before


def test_looking_away_from_the_queue_cancels_nothing(server: Server) -> None:
    # Only direct calls are their caller's line: a status stream is a look.
    submitted = server.post(f"/queue.fal.run/{ENDPOINT}", json={"steps": 20, "pause": 0.05}).json()
    path = submitted["status_url"].removeprefix(server.base)
    with httpx2.Client() as client, client.stream("GET", f"{server.base}{path}/stream") as events:
        next(events.iter_lines())
    result = submitted["response_url"].removeprefix(server.base)
    answer = eventually(lambda: got if (got := server.get(result)).status_code != 400 else None)
    assert (answer.status_code, answer.json()["steps"]) == (200, 20)
