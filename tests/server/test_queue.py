"""The queue's words at the start of a request: submit, and its headers (wire.md 3.1, 5)."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from limner.requests.ledger import Ledger
from limner.requests.request import Priority
from tests.rig.process import Server
from tests.server.queue_calls import ENDPOINT, QUEUE, STATUS_KEYS, ended, submit

PREFERENCE = "x-fal-object-lifecycle-preference"


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


def test_what_weighs_differently_is_drawn_by_different_workers_and_the_rest_by_the_same(
    server: Server,
) -> None:
    """Few steps need an LCM-LoRA, whatever their number; an interval needs nothing more."""

    def hint(**asked: object) -> str | None:
        sent = {"prompt": "a person", "face_image_url": "data:,", **asked}
        answer = server.post("/queue.fal.run/fal-ai/ip-adapter-face-id", json=sent)
        with Ledger(f"sqlite:///{server.home / 'limner.db'}") as ledger:
            request = ledger.get(answer.json()["request_id"]).result()
        assert request is not None
        return request.submission.hint

    plain, few = hint(), hint(x_fast={"lcm_steps": 4})
    between = {"guidance_interval": [0.28, 5.42]}
    assert hint(x_fast=None) == hint(x_fast={}) == hint(x_fast=between) == plain
    assert hint(x_fast={**between, "lcm_steps": None}) == plain
    assert hint(x_fast={"lcm_steps": 8, **between}) == few
    assert len({plain, few, hint(model_type="SDXL-v1"), hint(base_1_5_model_repo="a/b")}) == 4


def test_only_what_the_endpoint_knows_is_kept(busy: Server) -> None:
    request_id = submit(busy, steps=1, secret="of the caller's")
    with Ledger(f"sqlite:///{busy.home / 'limner.db'}") as ledger:
        request = ledger.get(request_id).result()
    assert request is not None
    assert request.submission.input == {"steps": 1}
