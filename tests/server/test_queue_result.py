"""The queue's words at the end of a request: result and cancel (wire.md 3.4, 3.5)."""

from __future__ import annotations

import pytest

from tests.rig.process import Server
from tests.server.conftest import raw
from tests.server.queue_calls import QUEUE, ended, running, submit

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
