"""The queue's words on how far it is: status and status stream (wire.md 3.2, 3.3)."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.rig.process import Server
from tests.server.queue_calls import ENDPOINT, QUEUE, STATUS_KEYS, ended, running, submit

# 3.2 Status


def test_a_waiting_request_is_202_in_queue_with_its_position(own_server: Server) -> None:
    for _ in range(2):
        running(own_server)
    waiting = [submit(own_server, steps=1) for _ in range(3)]
    low = submit(own_server, headers={"x-fal-queue-priority": "low"}, steps=1)
    late = submit(own_server, headers={"x-fal-queue-priority": "normal"}, steps=1)
    expected = {waiting[0]: 0, waiting[1]: 1, waiting[2]: 2, late: 3, low: 4}
    for request_id, position in expected.items():
        answer = own_server.get(f"{QUEUE}/requests/{request_id}/status")
        body = answer.json()
        assert (answer.status_code, body["status"]) == (202, "IN_QUEUE")
        assert set(body) == STATUS_KEYS | {"queue_position"}
        assert (body["queue_position"], body["metrics"]) == (position, {})


def test_a_running_request_is_202_in_progress(server: Server) -> None:
    request_id = running(server)
    answer = server.get(f"{QUEUE}/requests/{request_id}/status?logs=true")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (202, "IN_PROGRESS")
    assert set(body) == STATUS_KEYS
    assert answer.headers["x-fal-request-id"] == request_id
    server.call("PUT", f"{QUEUE}/requests/{request_id}/cancel")


@pytest.mark.parametrize("path", ["status", "status/"])
def test_a_done_request_is_200_completed_with_its_time(server: Server, path: str) -> None:
    request_id = submit(server, steps=1)
    ended(server, request_id)
    answer = server.get(f"{QUEUE}/requests/{request_id}/{path}")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "COMPLETED")
    assert set(body) == STATUS_KEYS
    assert body["metrics"]["inference_time"] > 0


@pytest.mark.parametrize(
    ("flag", "asked"),
    [
        ("", False), ("?logs=0", False), ("?logs=false", False), ("?logs=", False),
        ("?logs=1", True), ("?logs=true", True), ("?logs=True", True),
    ],
)  # fmt: skip
def test_logs_are_null_unless_asked_for_in_any_dialect(
    server: Server, flag: str, asked: bool
) -> None:
    # 0.7: JavaScript says 1 and 0, Python true and false.
    request_id = server.post(f"/{ENDPOINT}", json={"steps": 2}).headers["x-fal-request-id"]
    logs = server.get(f"{QUEUE}/requests/{request_id}/status{flag}").json()["logs"]
    if not asked:
        assert logs is None
        return
    assert [entry["message"] for entry in logs[1:]] == ["step 1 of 2", "step 2 of 2"]
    # 3.2: the union of the published shapes.
    assert all(
        set(entry) == {"timestamp", "message", "level", "source", "labels"} for entry in logs
    )
    assert {entry["source"] for entry in logs} == {"USER"}
    assert {entry["level"] for entry in logs} <= {
        "STDERR", "STDOUT", "ERROR", "INFO", "WARN", "DEBUG",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "code", "error", "error_type"),
    [
        ({"steps": -1}, 422, "Invalid status code: 422", None),
        ({"ending": "no face"}, 422, "Invalid status code: 422", None),
        ({"ending": "badly"}, 500, "Invalid status code: 500", None),
    ],
)
def test_a_failure_is_completed_with_an_error(
    server: Server, said: dict[str, Any], code: int, error: str, error_type: str | None
) -> None:
    # 0.2: there is no FAILED.
    request_id = submit(server, **said)
    assert ended(server, request_id).status_code == code
    answer = server.get(f"{QUEUE}/requests/{request_id}/status")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "COMPLETED")
    assert (body["error"], body.get("error_type")) == (error, error_type)


# 3.3 Status stream


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    """The data of every event; each is one JSON document."""
    blocks = answer.text.split("\n\n")
    assert blocks.pop() == ""
    said = [block for block in blocks if not block.startswith(":")]
    assert all(block.startswith("data: ") and "\n" not in block for block in said)
    return [json.loads(block.removeprefix("data: ")) for block in said]


def test_the_status_stream_tells_each_change_and_ends_with_completed(server: Server) -> None:
    request_id = submit(server, steps=4, pause=0.1)
    answer = server.get(f"{QUEUE}/requests/{request_id}/status/stream?logs=1")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-fal-request-id"] == request_id
    told = events(answer)
    assert [event["status"] for event in told[:-1]].count("COMPLETED") == 0
    assert told[-1]["status"] == "COMPLETED"
    assert all(set(event) >= STATUS_KEYS for event in told)
    # Only the new lines each time: JavaScript puts them together.
    messages = [entry["message"] for event in told for entry in event["logs"]]
    assert messages[1:] == [f"step {n} of 4" for n in range(1, 5)]


def test_the_status_stream_of_a_done_request_is_one_event(server: Server) -> None:
    # JavaScript's done() needs at least one.
    request_id = submit(server, steps=1)
    ended(server, request_id)
    for flag, logs in (("", None), ("?logs=0", None)):
        (event,) = events(server.get(f"{QUEUE}/requests/{request_id}/status/stream{flag}"))
        assert (event["status"], event["logs"]) == ("COMPLETED", logs)
