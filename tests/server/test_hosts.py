"""The three roads in, and the way back that answers show (wire.md 0.4, 0.6, 1.4, 1.5, 13)."""

from __future__ import annotations

import pytest

from tests.rig.process import Server

ENDPOINT = "limner/metronome"


def test_urls_lead_back_by_the_host_name_the_caller_came_by(server: Server) -> None:
    answer = server.post(f"/{ENDPOINT}", json={"steps": 1}, headers={"host": "queue.fal.run"})
    body = answer.json()
    base = f"http://queue.fal.run/{ENDPOINT}/requests/{body['request_id']}"
    assert body["response_url"] == base
    assert body["status_url"] == f"{base}/status"
    assert body["cancel_url"] == f"{base}/cancel"


def test_urls_lead_back_by_the_prefix_the_caller_came_by(server: Server) -> None:
    body = server.post(f"/queue.fal.run/{ENDPOINT}", json={"steps": 1}).json()
    base = f"{server.base}/queue.fal.run/{ENDPOINT}/requests/{body['request_id']}"
    assert body["response_url"] == base


def test_submit_answers_all_eight_keys(server: Server) -> None:
    # wire.md 3.1.
    body = server.post(f"/queue.fal.run/{ENDPOINT}", json={"steps": 0}).json()
    eight = {
        "status", "request_id", "response_url", "status_url",
        "cancel_url", "logs", "metrics", "queue_position",
    }  # fmt: skip
    assert eight <= set(body)
    assert (body["status"], body["logs"], body["metrics"]) == ("IN_QUEUE", None, {})


@pytest.mark.parametrize(
    "road",
    [
        "/queue.fal.run/limner/metronome/requests/{id}",
        "/queue.fal.run/limner/metronome/requests/{id}/",
        "/queue.fal.run/limner/metronome/requests/{id}/response",
        "/queue.fal.run/limner/metronome/some/path/requests/{id}",
        "/queue.falrun.com/limner/metronome/requests/{id}",
    ],
)
def test_a_result_is_answered_on_every_road(server: Server, road: str) -> None:
    run = server.post(f"/{ENDPOINT}", json={"steps": 1})
    assert run.status_code == 200
    answer = server.get(road.format(id=run.headers["x-fal-request-id"]))
    assert (answer.status_code, answer.json()) == (200, run.json())


@pytest.mark.parametrize(
    "path", ["/limner/metronome", "/limner/metronome/", "/fal.run/limner/metronome"]
)
def test_a_run_is_answered_on_every_road(server: Server, path: str) -> None:
    answer = server.post(path, json={"steps": 2})
    assert (answer.status_code, answer.json()["steps"]) == (200, 2)


def test_the_proxy_takes_fal_addresses_only(server: Server) -> None:
    # wire.md 1.5: fal's contract for a proxy.
    proxy = "/api/fal/proxy"
    target = {"x-fal-target-url": f"https://fal.run/{ENDPOINT}"}
    assert server.post(proxy, json={"steps": 1}, headers=target).json()["steps"] == 1
    assert server.post(proxy, json={}).status_code == 400
    elsewhere = {"x-fal-target-url": "https://example.com/limner/metronome"}
    assert server.post(proxy, json={}, headers=elsewhere).status_code == 412
    assert server.call("DELETE", proxy, headers=target).status_code == 405
    text = {**target, "content-type": "text/plain"}
    assert server.post(proxy, content="x", headers=text).status_code == 415


def test_what_does_not_exist_is_told_as_fal_tells_it(server: Server) -> None:
    missing = server.post("/queue.fal.run/fal-ai/h3-max", json={})
    assert (missing.status_code, missing.json()) == (
        404,
        {"detail": 'Application "h3-max" not found'},
    )
    path = server.post("/fal.run/limner/metronome/nowhere", json={})
    assert (path.status_code, path.json()) == (404, {"detail": "Path /nowhere not found"})
    unknown = server.get("/queue.fal.run/limner/metronome/requests/no-such-request/status")
    assert (unknown.status_code, unknown.json()["status"]) == (404, "NOT_FOUND")


def test_an_unknown_path_of_an_application_is_accepted_and_its_result_is_404(
    server: Server,
) -> None:
    # wire.md 3.4: first-party e2e test_404_response.
    submitted = server.post(f"/queue.fal.run/{ENDPOINT}/nowhere", json={}).json()
    path = submitted["response_url"].removeprefix(server.base)
    answer = server.get(path)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Path /nowhere not found"})


def test_browsers_on_this_machine_may_call_and_other_sites_may_not(server: Server) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-fal-a"}
    near = server.call(
        "OPTIONS", "/api/fal/proxy", headers={"origin": "http://localhost:3000", **asks}
    )
    assert near.headers["access-control-allow-origin"] == "http://localhost:3000"
    far = server.call("OPTIONS", "/api/fal/proxy", headers={"origin": "https://evil.test", **asks})
    assert "access-control-allow-origin" not in far.headers
