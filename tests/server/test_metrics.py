"""``/metrics``: figures that can be checked against what was just done, read by a real parser."""

from __future__ import annotations

import re
import shutil

from prometheus_client.parser import text_string_to_metric_families

from limner.requests.fleet import Pace, Presence
from limner.requests.ledger import Ledger
from tests.docs.pages import page, rows, section
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
    # By fal's types of what went wrong.
    assert told["limner_requests_ended_total", METRONOME, "face_detection_error"] == 1
    assert told["limner_requests_ended_total", METRONOME, "greater_than_equal"] == 1
    # The one that went well drew one picture, of 20 bytes.
    assert told["limner_storage_files", "", ""] == 1
    assert told["limner_storage_kept_bytes", "", ""] == 20
    disk = shutil.disk_usage(own_server.home)
    assert told["limner_storage_total_bytes", "", ""] == disk.total
    pages = own_server.home / "limner.db"
    assert 0 < told["limner_ledger_bytes", "", ""] >= pages.stat().st_size
    assert told["limner_requests_ran_seconds_total", METRONOME, "ok"] >= 0.4
    for request_id in ids:
        own_server.call("PUT", f"{QUEUE}/requests/{request_id}/cancel")
    eventually(
        lambda: (
            scraped(own_server).get(("limner_requests_ended_total", METRONOME, "client_cancelled"))
            == 5
        )
    )


def test_a_running_batch_is_told_as_its_worker_told_it(own_server: Server) -> None:
    with Ledger(f"sqlite:///{own_server.home / 'limner.db'}", lease=60) as ledger:
        pace = Pace(steps=10, seconds=5.0, rows=12, places=40)
        ledger.announce(Presence("here", "cuda:3", (METRONOME,), 2, pace=pace)).result()
    lines = own_server.get("/metrics").text.splitlines()
    told = [line for line in lines if 'device="cuda:3"' in line and "_step" in line]
    who = '{device="cuda:3",worker="here"}'
    assert [line for line in told if "_created" not in line] == [
        f"limner_worker_steps_total{who} 10.0",
        f"limner_worker_step_seconds_total{who} 5.0",
        f"limner_worker_step_rows_total{who} 12.0",
        f"limner_worker_step_places_total{who} 40.0",
    ]


def test_every_figure_is_on_the_operators_page_and_nothing_else(own_server: Server) -> None:
    types = re.findall(r"^# TYPE (\w+) (\w+)", own_server.get("/metrics").text, re.MULTILINE)
    there = {name.removesuffix("_total") for name, _ in types if not name.endswith("_created")}
    said = rows(section(page("operating.md"), "Metrics"))
    assert {name for row in said for name in re.findall(r"limner_\w+", row[0])} == there


def test_figures_are_for_the_operator(own_server: Server) -> None:
    key = own_server.post("/limner/v1/keys", json={"scope": "admin"}).json()["key"]
    plain = own_server.post(
        "/limner/v1/keys", json={"scope": "api"}, headers={"authorization": f"Key {key}"}
    ).json()["key"]
    assert own_server.get("/metrics").status_code == 401
    for given, status in ((plain, 403), (key, 200)):
        answer = own_server.get("/metrics", headers={"authorization": f"Key {given}"})
        assert answer.status_code == status
