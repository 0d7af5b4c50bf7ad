"""Every status a caller may meet, with fal's body and headers, a row each (wire.md 3.4, 4.3, 4.4).

Clients decide by these: a JSON body with ``detail``, a real reason phrase (wire.md 0.9), the type
in ``x-fal-error-type`` where fal has one, and never the word at which Python tries again (2.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from tests.rig.process import Server, eventually
from tests.server.conftest import new_key

ID = "limner/metronome"
RUN, QUEUE = f"/fal.run/{ID}", f"/queue.fal.run/{ID}"
ENDLESS = {"steps": 2000, "pause": 0.05}
Key = dict[str, str]
Call = Callable[[Server, Key], httpx2.Response]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Key]]:
    """A server with a key, that draws one request at a time and takes small bodies."""
    limits = {"LIMNER_SLOTS": "1", "LIMNER_MAX_DOWNLOAD_BYTES": "3000"}
    running = Server(tmp_path_factory.mktemp("narrow"), env=limits)
    yield running, new_key(running.home, "api")
    running.stop()


def result_of(server: Server, key: Key, input: Any, **said: str) -> httpx2.Response:
    """The result of a queued request, as soon as there is one."""
    request_id = server.post(QUEUE, json=input, headers={**key, **said}).json()["request_id"]
    path = f"{QUEUE}/requests/{request_id}"
    return eventually(
        lambda: answer if (answer := server.get(path, headers=key)).status_code != 400 else None
    )


def out_of_scope(server: Server, key: Key) -> httpx2.Response:
    asked = {"allowed_apps": ["face-to-sticker"], "token_expiration": 60}
    token = server.post("/rest.fal.ai/tokens/", json=asked, headers=key).json()
    return server.post(f"{RUN}?fal_jwt_token={token}", json={})


def while_busy(server: Server, key: Key, call: Call) -> httpx2.Response:
    """A call while the only slot is taken by a request that is cancelled afterwards."""
    running = server.post(QUEUE, json=ENDLESS, headers=key).json()["request_id"]
    path = f"{QUEUE}/requests/{running}"
    eventually(lambda: server.get(f"{path}/status", headers=key).json()["status"] == "IN_PROGRESS")
    try:
        return call(server, key)
    finally:
        server.call("PUT", f"{path}/cancel", headers=key)


def queue_too_long(server: Server, key: Key) -> httpx2.Response:
    waiting = server.post(QUEUE, json={}, headers=key).json()["request_id"]
    try:
        return server.post(f"{QUEUE}?fal_max_queue_length=0", json={}, headers=key)
    finally:
        server.call("PUT", f"{QUEUE}/requests/{waiting}/cancel", headers=key)


def cancelled(server: Server, key: Key) -> httpx2.Response:
    request_id = server.post(QUEUE, json={}, headers=key).json()["request_id"]
    path = f"{QUEUE}/requests/{request_id}"
    assert server.call("PUT", f"{path}/cancel", headers=key).json() == {"status": "OK"}
    return server.get(path, headers=key)


def by_the_proxy(server: Server, key: Key) -> httpx2.Response:
    target = {"x-fal-target-url": f"https://fal.run/{ID}", "content-type": "text/plain"}
    return server.post("/api/fal/proxy", content=b"steps", headers={**key, **target})


ROWS: dict[int, tuple[Call, Any, dict[str, str]]] = {
    401: (
        lambda server, _: server.post(RUN, json={}),
        f'Cannot access application "{ID}". Authentication is required to access this application.',
        {},
    ),
    403: (out_of_scope, f'The token is not valid for application "{ID}"', {}),
    404: (
        lambda server, key: server.post("/fal.run/limner/nothing", json={}, headers=key),
        'Application "nothing" not found',
        {"x-fal-billable-units": "0"},
    ),
    405: (
        lambda server, key: server.call("DELETE", RUN, headers=key),
        "Method Not Allowed",
        {},
    ),
    413: (
        lambda server, key: server.post(RUN, content=b"x" * (4001 + 4 * 2**20), headers=key),
        None,
        {"x-fal-billable-units": "0"},
    ),
    415: (by_the_proxy, None, {}),
    422: (
        lambda server, key: server.post(RUN, json={"steps": -1}, headers=key),
        [
            {
                "loc": ["body", "steps"],
                "msg": "Input should be greater than or equal to 0",
                "type": "greater_than_equal",
                "url": "https://docs.fal.ai/errors/#greater_than_equal",
                "ctx": {"ge": 0},
                "input": -1,
            }
        ],
        {"x-fal-retryable": "false", "x-fal-billable-units": "0"},
    ),
    429: (
        lambda server, key: while_busy(server, key, queue_too_long),
        "The queue is longer than fal_max_queue_length",
        {"retry-after": "5"},
    ),
    499: (
        lambda server, key: while_busy(server, key, cancelled),
        "Request was cancelled",
        {"x-fal-error-type": "client_cancelled"},
    ),
    503: (
        lambda server, key: result_of(server, key, {"ending": "die"}, **{"x-fal-no-retry": "1"}),
        "Runner disconnected",
        {
            "x-fal-error-type": "runner_disconnected",
            "x-fal-retryable": "true",
            "retry-after": "5",
        },
    ),
    504: (
        lambda server, key: while_busy(
            server,
            key,
            lambda server, key: result_of(server, key, {}, **{"x-fal-request-timeout": "0.2"}),
        ),
        "Request timed out",
        {"x-fal-error-type": "request_timeout", "x-fal-request-timeout-type": "user"},
    ),
}


@pytest.mark.parametrize("status", ROWS)
def test_a_refusal_has_fals_body_and_headers(narrow: tuple[Server, Key], status: int) -> None:
    call, detail, headers = ROWS[status]
    answer = call(*narrow)
    assert answer.status_code == status, answer.text
    assert answer.reason_phrase
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    if status == 415:  # the proxy's refusals are JSON strings (wire.md 1.5)
        assert isinstance(body, str)
        return
    assert body["detail"]
    assert detail is None or body["detail"] == detail
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert body.get("error_type") == headers.get("x-fal-error-type")
    assert "nginx" not in answer.text.lower()
