"""The queue's words: submit, status, status stream, result, cancel (wire.md 3.1–3.5, 5)."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx2
import pytest

from limner.requests.ledger import Ledger
from limner.requests.request import Priority
from tests.rig.process import Server, eventually
from tests.server.conftest import raw

ENDPOINT = "limner/metronome"
QUEUE = f"/queue.fal.run/{ENDPOINT}"
PREFERENCE = "x-fal-object-lifecycle-preference"
STATUS_KEYS = {
    "status", "request_id", "response_url", "status_url", "cancel_url", "logs", "metrics",
}  # fmt: skip


def submit(server: Server, query: str = "", **said: Any) -> str:
    headers = said.pop("headers", {})
    answer = server.post(QUEUE + query, json=said, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["request_id"]


def ended(server: Server, request_id: str) -> httpx2.Response:
    """The result, once there is one."""
    return eventually(
        lambda: (
            got
            if (got := server.get(f"{QUEUE}/requests/{request_id}")).status_code != 400
            else None
        )
    )


def running(server: Server, **said: Any) -> str:
    """A request whose first step was taken."""
    request_id = submit(server, steps=1000, pause=0.05, **said)
    path = f"{QUEUE}/requests/{request_id}/status?logs=1"
    eventually(lambda: len(server.get(path).json()["logs"]) > 1)
    return request_id


# 3.1 Submit


def test_a_submit_answers_200_with_fals_keys_and_the_webhooks_ninth(busy: Server) -> None:
    answer = busy.post(QUEUE, json={"steps": 1})
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == STATUS_KEYS | {"queue_position", "gateway_request_id"}
    assert UUID(body["request_id"]).version == 7
    assert body["gateway_request_id"] == body["request_id"] == answer.headers["x-fal-request-id"]
    assert (body["status"], body["logs"], body["metrics"]) == ("IN_QUEUE", None, {})
    assert isinstance(body["queue_position"], int)


@pytest.mark.parametrize("path", [QUEUE + "/", QUEUE, f"/queue.falrun.com/{ENDPOINT}/"])
def test_a_trailing_slash_changes_nothing(busy: Server, path: str) -> None:
    assert busy.post(path, json={}).json()["status"] == "IN_QUEUE"


def test_urls_drop_what_follows_owner_and_alias(busy: Server) -> None:
    # 0.4: fal-ai/flux/dev → fal-ai/flux/requests/…
    body = busy.post(f"{QUEUE}/some/path", json={}).json()
    base = f"{busy.base}{QUEUE}/requests/{body['request_id']}"
    assert (body["response_url"], body["status_url"], body["cancel_url"]) == (
        base,
        f"{base}/status",
        f"{base}/cancel",
    )


def test_an_empty_body_is_an_empty_input(server: Server) -> None:
    # 2.2: JavaScript's submit without input.
    answer = server.call("POST", QUEUE, headers={"content-type": "application/json"})
    assert ended(server, answer.json()["request_id"]).json()["steps"] == 3


def test_a_get_submits_its_query(server: Server) -> None:
    # 2.2: method "get": the input is the query string, minus fal's own parameters.
    request_id = server.get(f"{QUEUE}?steps=2&fal_max_queue_length=50").json()["request_id"]
    assert ended(server, request_id).json()["steps"] == 2


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "²", "9" * 5000, ""])
def test_a_queue_length_that_is_no_number_is_a_bad_request(busy: Server, length: str) -> None:
    refused = busy.post(QUEUE, params={"fal_max_queue_length": length}, json={})
    assert (refused.status_code, refused.json()["error_type"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "hook", ["hook", "ftp://example.com/", "http://", "//example.com", "http://[::1", "javascript:"]
)
def test_a_webhook_that_is_no_url_is_a_bad_request(busy: Server, hook: str) -> None:
    refused = busy.post(QUEUE, params={"fal_webhook": hook}, json={})
    assert (refused.status_code, refused.json()["error_type"]) == (400, "bad_request")


def test_the_same_idempotency_key_is_the_same_request(busy: Server) -> None:
    key = {"Idempotency-Key": "once"}
    assert submit(busy, headers=key, steps=1) == submit(busy, headers=key, steps=1)
    assert submit(busy, steps=1) != submit(busy, headers=key, steps=1)


@pytest.mark.parametrize("body", ['{"prompt": "\\ud800"}', "[" * 100_000, '{"a":' * 5000])
def test_json_that_breaks_parsers_breaks_nothing(busy: Server, body: str) -> None:
    answer = busy.post(QUEUE, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 422)
    if answer.status_code == 422:
        assert answer.json()["detail"][0]["type"] == "json_invalid"


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


# 3.4 Result


def test_a_result_is_the_bare_output_with_fals_headers(server: Server) -> None:
    request_id = submit(server, steps=2)
    answer = ended(server, request_id)
    assert answer.status_code == 200
    assert set(answer.json()) == {"steps", "read", "image"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-fal-request-id"] == request_id
    assert answer.headers["x-fal-billable-units"] == "0"
    assert answer.headers["x-limner-engine"] == "sketch"


def test_a_result_that_is_not_there_yet_is_400(busy: Server) -> None:
    answer = busy.get(f"{QUEUE}/requests/{submit(busy)}")
    assert (answer.status_code, answer.json()) == (400, {"detail": "Request is still in progress"})


def test_an_error_is_the_result_as_the_model_gave_it(server: Server) -> None:
    answer = ended(server, submit(server, ending="no face"))
    assert (answer.status_code, answer.headers["x-fal-retryable"]) == (422, "false")
    (entry,) = answer.json()["detail"]
    assert entry == {
        "loc": ["body", "picture"],
        "msg": "Could not detect face in the image",
        "type": "face_detection_error",
        "url": "https://docs.fal.ai/errors/#face_detection_error",
    }


@pytest.mark.parametrize("what", ["", "/status", "/status/stream", "/response"])
@pytest.mark.parametrize("rid", ["none", "019abcde-0000-7000-8000-000000000000", "%00", "'--"])
def test_an_unknown_request_is_404_not_found(server: Server, what: str, rid: str) -> None:
    answer = server.get(f"{QUEUE}/requests/{rid}{what}")
    assert answer.status_code == 404
    assert answer.json() == {"status": "NOT_FOUND", "detail": "Request not found"}


def test_a_request_is_found_under_its_own_application_only(server: Server) -> None:
    request_id = submit(server, steps=0)
    other = server.get(f"/queue.fal.run/fal-ai/face-to-sticker/requests/{request_id}")
    assert other.status_code == 404


@pytest.mark.parametrize(
    ("method", "what", "code"),
    [
        ("POST", "", 405), ("DELETE", "", 405), ("POST", "/status", 405), ("GET", "/cancel", 405),
        ("POST", "/cancel", 405), ("PUT", "/status/stream", 405), ("POST", "/response", 405),
        ("GET", "/nothing", 404), ("POST", "/nothing", 404),
    ],
)  # fmt: skip
def test_a_wrong_call_on_a_requests_path_submits_nothing(
    busy: Server, method: str, what: str, code: int
) -> None:
    request_id = submit(busy)
    answer = busy.call(method, f"{QUEUE}/requests/{request_id}{what}")
    assert answer.status_code == code
    assert "request_id" not in answer.json()


# 3.5 Cancel


def test_cancelling_what_waits_removes_it(busy: Server) -> None:
    request_id = submit(busy)
    path = f"{QUEUE}/requests/{request_id}"
    answer = busy.call("PUT", f"{path}/cancel")
    assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
    status = busy.get(f"{path}/status")
    assert (status.status_code, status.json()["status"]) == (200, "COMPLETED")
    assert status.json()["error_type"] == "client_cancelled"
    assert status.json()["metrics"] == {"inference_time": None}
    result = busy.get(path)
    assert (result.status_code, result.json()["error_type"]) == (499, "client_cancelled")
    assert result.headers["x-fal-error-type"] == "client_cancelled"
    again = busy.call("PUT", f"{path}/cancel")
    assert (again.status_code, again.json()) == (400, {"status": "ALREADY_COMPLETED"})


def test_cancelling_what_runs_is_asked_for_and_ends_499(server: Server) -> None:
    path = f"{QUEUE}/requests/{running(server)}"
    # Through a server-proxy the body is {} and there may be a slash.
    answer = server.call("PUT", f"{path}/cancel/", json={})
    assert (answer.status_code, answer.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    assert ended(server, path.rpartition("/")[2]).status_code == 499


def test_cancelling_what_is_unknown_is_404(server: Server) -> None:
    answer = server.call("PUT", f"{QUEUE}/requests/none/cancel")
    assert (answer.status_code, answer.json()["status"]) == (404, "NOT_FOUND")


def test_499_has_a_reason_phrase(busy: Server) -> None:
    # 0.9, 3.4: JavaScript's message is the phrase when the body has none.
    path = f"{QUEUE}/requests/{submit(busy)}"
    busy.call("PUT", f"{path}/cancel")
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    head, _ = raw(busy, request)
    assert head.startswith(b"HTTP/1.1 499 Client Closed Request\r\n")


# 5 Headers


def test_a_start_timeout_is_504_of_the_user(busy: Server) -> None:
    # 4.3; fractions of a second are accepted (12: clients say > 1, fal > 0.1).
    request_id = submit(busy, headers={"X-Fal-Request-Timeout": "0.2"})
    answer = ended(busy, request_id)
    assert answer.status_code == 504
    assert answer.headers["x-fal-request-timeout-type"] == "user"
    assert answer.headers["x-fal-error-type"] == "request_timeout"
    assert answer.headers["x-fal-request-id"] == request_id
    assert answer.json() == {"detail": "Request timed out", "error_type": "request_timeout"}
    status = busy.get(f"{QUEUE}/requests/{request_id}/status").json()
    assert (status["error"], status["error_type"]) == ("Request timed out", "request_timeout")


@pytest.mark.parametrize(
    "preference",
    ['{"expiration_duration_seconds": NaN}', '{"expiration_duration_seconds": 1e999}',
     '{"expiration_duration_seconds": -1}', '{"expiration_duration_seconds": true}',
     '{"expiration_duration_seconds": "60"}', '{"expiration_duration_seconds": [60]}',
     f'{{"expiration_duration_seconds": 1{"0" * 400}}}', "[]", "60", "{"],
)  # fmt: skip
def test_a_lifecycle_that_cannot_be_is_a_bad_request(busy: Server, preference: str) -> None:
    for name in ("x-fal-object-lifecycle-preference", "x-fal-object-lifecycle"):
        refused = busy.post(QUEUE, json={}, headers={name: preference})
        assert (refused.status_code, refused.json()["error_type"]) == (400, "bad_request")


@pytest.mark.parametrize(("seconds", "most"), [(90, 90), (10**9, 3600), (None, 3600)])
def test_generated_files_live_as_long_as_the_caller_says_and_the_operator_lets(
    server: Server, seconds: int | None, most: int
) -> None:
    preference = json.dumps(
        {"expiration_duration_seconds": seconds, "initial_acl": {"default": "hide"}}
    )
    url = ended(
        server, submit(server, headers={"X-Fal-Object-Lifecycle-Preference": preference})
    ).json()["image"]["url"]
    freshness = server.get(url.removeprefix(server.base)).headers["cache-control"]
    assert most - 60 < int(freshness.split("max-age=")[1].split(",")[0]) <= most


def test_without_payloads_stored_the_result_is_still_fetched_once(server: Server) -> None:
    assert ended(server, submit(server, headers={"X-Fal-Store-IO": "0"})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "field", "value"),
    [
        ({}, "priority", Priority.NORMAL),
        ({"x-fal-queue-priority": "low"}, "priority", Priority.LOW),
        ({"x-fal-queue-priority": "LOW"}, "priority", Priority.LOW),
        ({}, "no_retry", False),
        ({"x-fal-no-retry": "1"}, "no_retry", True),
        ({"X-Fal-No-Retry": "True"}, "no_retry", True),
        ({"x-fal-no-retry": "yes"}, "no_retry", True),
        ({"x-fal-no-retry": "0"}, "no_retry", False),
        ({}, "store_io", True),
        ({"x-fal-store-io": "0"}, "store_io", False),
        ({"x-fal-store-io": "1"}, "store_io", True),
        ({}, "file_lifetime", None),
        ({PREFERENCE: '{"expiration_duration_seconds": 3600}'}, "file_lifetime", 3600.0),
        ({PREFERENCE: '{"expiration_duration_seconds": null}'}, "file_lifetime", None),
        # 2.1: Python says both.
        (
            {PREFERENCE: '{"expiration_duration_seconds": 5}', "x-fal-object-lifecycle": "{}"},
            "file_lifetime",
            5.0,
        ),
        ({"x-fal-runner-hint": "warm", "x-fal-tags": "team=a"}, "start_by", None),
    ],
)
def test_a_header_reaches_the_ledger(
    busy: Server, headers: dict[str, str], field: str, value: object
) -> None:
    request_id = submit(busy, headers=headers)
    with Ledger(f"sqlite:///{busy.home / 'limner.db'}") as ledger:
        request = ledger.get(request_id).result()
    assert request is not None
    assert getattr(request.submission, field) == value


def test_only_what_the_endpoint_knows_is_kept(busy: Server) -> None:
    request_id = submit(busy, steps=1, secret="of the caller's")
    with Ledger(f"sqlite:///{busy.home / 'limner.db'}") as ledger:
        request = ledger.get(request_id).result()
    assert request is not None
    assert request.submission.input == {"steps": 1}
