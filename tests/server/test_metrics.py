"""``/metrics``: figures that can be checked against what was just done, read by a real parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.rig.process import Server, eventually

METRONOME = "limner/metronome"
QUEUE = f"/queue.fal.run/{METRONOME}"


def scraped(server: Server) -> dict[tuple[str, str, str], float]:
    """(name, endpoint, outcome) → value."""
    answer = server.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, sample.labels.get("endpoint", ""), sample.labels.get("outcome", "")): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def ended(server: Server, **said: object) -> str:
    request_id = server.post(QUEUE, json=said).json()["request_id"]
    eventually(lambda: server.get(f"{QUEUE}/requests/{request_id}").status_code != 400)
    return request_id


def test_what_waits_runs_and_ended_is_told_as_it_is(own_server: Server) -> None:
    ended(own_server, steps=2, pause=0.2)
    ended(own_server, ending="badly")
    ended(own_server, ending="no face")
    ended(own_server, steps=-1)
    slow = [own_server.post(QUEUE, json={"steps": 600, "pause": 0.1}) for _ in range(5)]
    ids = [answer.json()["request_id"] for answer in slow]
    eventually(lambda: scraped(own_server)["limner_requests_running", METRONOME, ""] == 2)
    told = scraped(own_server)
    assert told["limner_requests_waiting", METRONOME, ""] == 3
    assert told["limner_requests_waiting", "fal-ai/face-to-sticker", ""] == 0
    assert told["limner_queue_head_wait_seconds", METRONOME, ""] > 0
    assert told["limner_requests_ended_total", METRONOME, "ok"] == 1
    assert told["limner_requests_ended_total", METRONOME, "error"] == 1
    # A face that was not found, and a field that was wrong.
    assert told["limner_requests_ended_total", METRONOME, "user_error"] == 2
    assert told["limner_requests_ran_seconds_total", METRONOME, "ok"] >= 0.4
    for request_id in ids:
        own_server.call("PUT", f"{QUEUE}/requests/{request_id}/cancel")
    eventually(
        lambda: (
            scraped(own_server).get(("limner_requests_ended_total", METRONOME, "client_cancelled"))
            == 5
        )
    )


def test_figures_are_for_the_operator(own_server: Server) -> None:
    key = own_server.post("/limner/v1/keys", json={"scope": "admin"}).json()["key"]
    plain = own_server.post(
        "/limner/v1/keys", json={"scope": "api"}, headers={"authorization": f"Key {key}"}
    ).json()["key"]
    assert own_server.get("/metrics").status_code == 401
    for given, status in ((plain, 403), (key, 200)):
        answer = own_server.get("/metrics", headers={"authorization": f"Key {given}"})
        assert answer.status_code == status
