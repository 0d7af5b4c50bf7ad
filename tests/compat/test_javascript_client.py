"""`@fal-ai/client` 1.10.1, unmodified, in Node against a real server (wire.md 2.2, 3, 4.1)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compat.conftest import run_node, wheel_node
from tests.rig.process import Server, eventually

METRONOME = "limner/metronome"
Node = Callable[..., Any]
roads = pytest.mark.parametrize("road", ["proxy", "fetch", "middleware", "names"])


@roads
def test_subscribe_by_polling(node: Node, road: str) -> None:
    told = node("subscribe", METRONOME, {"steps": 4, "pause": 0.1}, road=road)
    assert told["result"]["data"]["steps"] == 4
    # wire.md 0.8: requestId is read from the x-fal-request-id header.
    assert told["result"]["requestId"] == told["updates"][0]["request_id"]
    assert told["updates"][-1]["status"] == "COMPLETED"
    assert told["updates"][-1]["logs"][-1]["message"] == "step 4 of 4"


@roads
def test_subscribe_by_streaming(node: Node, road: str) -> None:
    told = node(
        "subscribe", METRONOME, {"steps": 4, "pause": 0.1}, {"mode": "streaming"}, road=road
    )
    assert told["result"]["data"]["steps"] == 4
    assert told["updates"][-1]["status"] == "COMPLETED"


@roads
def test_submit_status_result(node: Node, road: str) -> None:
    told = node("queue", METRONOME, {"steps": 2, "pause": 0.2}, road=road)
    # wire.md 3.4: a result that is not there yet is a 400.
    assert (told["early"]["status"], told["early"]["api"]) == (400, True)
    assert told["result"]["data"]["steps"] == 2
    assert told["submitted"]["status"] == "IN_QUEUE"


@roads
def test_cancel(node: Node, road: str) -> None:
    told = node("cancel", METRONOME, {"steps": 500, "pause": 0.05}, road=road)
    assert told["status"]["status"] == "COMPLETED"
    assert told["result"]["status"] == 499
    # wire.md 3.5: too late to cancel is a 400.
    assert told["again"]["status"] == 400


@roads
def test_run(node: Node, road: str) -> None:
    told = node("run", METRONOME, {"steps": 2}, road=road)
    assert told["data"]["steps"] == 2
    assert told["requestId"]


@roads
def test_stream(node: Node, road: str) -> None:
    told = node("stream", METRONOME, {"steps": 3, "pause": 0.05}, road=road)
    assert [event.get("message") for event in told["events"]][1:4] == [
        f"step {n} of 3" for n in (1, 2, 3)
    ]
    assert told["done"]["steps"] == 3


def test_the_status_stream_ends_with_completed_and_sends_each_log_line_once(node: Node) -> None:
    told = node("streamStatus", METRONOME, {"steps": 3, "pause": 0.1})
    assert told["events"][-1]["status"] == told["done"]["status"] == "COMPLETED"
    lines = [entry["message"] for event in told["events"] for entry in event["logs"] or []]
    # wire.md 3.3: stream events carry only what is new.
    assert [line for line in lines if line.startswith("step")] == [
        f"step {n} of 3" for n in (1, 2, 3)
    ]


@roads
def test_upload_small(node: Node, road: str) -> None:
    told = node("upload", "hello", "text/plain", road=road)
    assert told["text"] == "hello"
    assert told["type"].startswith("text/plain")


def test_the_status_stream_opens_with_a_token_instead_of_the_key(node: Node) -> None:
    # wire.md 2.2: connectionMode "client" sends no Authorization; only road A carries its address.
    told = node("streamStatusWithoutKey", METRONOME, {"steps": 2, "pause": 0.05}, road="names")
    assert told["status"] == "COMPLETED"


def test_a_timeout_cancels(node: Node) -> None:
    told = node("timeout", METRONOME, {"steps": 400, "pause": 0.05}, 1500)
    assert "timed out" in told["message"]
    assert told["result"]["status"] == 499


def test_an_abort_stops_the_client_and_cancels_nothing(node: Node, server: Server) -> None:
    # wire.md 2.2: an abortSignal stops polling; no cancel is sent.
    told = node("abort", METRONOME, {"steps": 3, "pause": 0.1})
    assert told["name"] == "AbortError"
    path = f"/queue.fal.run/{METRONOME}/requests/{told['requestId']}"
    eventually(lambda: server.get(path).status_code == 200)
    assert server.get(path).json()["steps"] == 3


def test_realtime(node: Node) -> None:
    messages = [{"steps": 2, "request_id": "mine"}, {"steps": -1}, {"steps": 1}]
    told = node("realtime", METRONOME, messages, road="names")
    # wire.md 2.2: a tokenProvider is given the full path.
    assert told["tokens"] == [f"{METRONOME}/realtime"]
    first, wrong, last = told["answers"]
    assert (first["result"]["steps"], first["result"]["request_id"]) == (2, "mine")
    assert wrong["error"].startswith("INVALID_INPUT: steps: ")
    assert wrong["body"]["detail"][0]["loc"] == ["body", "steps"]
    assert last["result"]["steps"] == 1


def test_realtime_by_the_websocket_that_node_22_has(tls_server: Server, node_modules: Path) -> None:
    asked = ["client.mjs", tls_server.base, "names", "realtime"]
    told = run_node([*asked, json.dumps([METRONOME, [{"steps": 2}]])], tls_server, wheel_node())
    assert told["hasOwnSocket"]
    assert told["answers"][0]["result"]["steps"] == 2


def test_realtime_of_what_is_not_there_is_refused(node: Node) -> None:
    told = node("realtimeOfWhatIsNotThere", "fal-ai/nothing-here", road="names")
    assert told["status"] == 500  # the client's word for a refused handshake


@pytest.mark.parametrize("road", ["proxy", "names"])
def test_upload_over_90_mib_goes_in_parts(node: Node, road: str) -> None:
    assert node("uploadLarge", 91, road=road)["same"]


@roads
def test_a_blob_in_the_input_is_uploaded_first(node: Node, road: str) -> None:
    assert node("autoUpload", METRONOME, {"steps": 1}, "12345", road=road)["data"]["read"] == 5


@roads
def test_what_is_said_beside_the_input_is_heeded(node: Node, road: str) -> None:
    """Hint, priority, start timeout and headers are taken; a lifecycle can be seen."""
    lives = node("askedFor", METRONOME, {"steps": 1}, road=road)
    assert len(lives) == 3
    assert all(0 < life <= 90 for life in lives)


def test_an_upload_lives_as_long_as_its_settings_say(node: Node) -> None:
    every = ["immediate", 90, "1h", "1d", "7d", "30d", "1y", "never"]
    lives = node("uploadFor", every)
    # A caller may ask for less than the operator's retention, here a day, and not for more.
    said = dict.fromkeys(map(str, every), 86400) | {"immediate": 60, "90": 90, "1h": 3600}
    assert all(-1 <= said[name] - life < 45 for name, life in lives.items()), lives
    assert lives.keys() == said.keys()


def test_a_run_by_get_takes_its_input_from_the_query(node: Node) -> None:
    assert node("run", METRONOME, {"steps": 2}, {"method": "get"})["data"]["steps"] == 2


def test_the_stream_opens_with_a_token_instead_of_the_key(node: Node) -> None:
    told = node("streamWithoutKey", METRONOME, {"steps": 2}, road="names")
    assert told["steps"] == 2


def test_an_aborted_run_is_cancelled(node: Node, server: Server) -> None:
    # wire.md 3.6: hanging up cancels.
    assert node("runAborted", METRONOME, {"steps": 1234, "pause": 0.05}) == "AbortError"

    def cancelled() -> bool:
        listed = server.get("/limner/v1/requests", params={"state": "cancelled"}).json()
        wholes = [server.get(f"/limner/v1/requests/{one['id']}") for one in listed["requests"]]
        return any(whole.json()["input"].get("steps") == 1234 for whole in wholes)

    eventually(cancelled)


def test_a_start_timeout_is_the_users_and_is_not_tried_again(
    node_modules: Path, tmp_path: Path
) -> None:
    """wire.md 2.4, 4.3; nobody works here, so nothing starts in time."""
    idle = Server(tmp_path / "home", env={"LIMNER_WORKERS": "0"})
    try:
        asked = json.dumps([METRONOME, {"steps": 1}, {"startTimeout": 1.1}])
        told = run_node(["client.mjs", idle.base, "proxy", "run", asked])
        assert (told["status"], told["isUserTimeout"]) == (504, True)
        assert len(idle.get("/limner/v1/requests").json()["requests"]) == 1
    finally:
        idle.stop()


def test_wrong_input_is_a_validation_error(node: Node) -> None:
    told = node("subscribe", METRONOME, {"steps": "many"})["result"]
    assert (told["validation"], told["status"]) == (True, 422)
    assert told["body"]["detail"][0]["loc"] == ["body", "steps"]


def test_an_unknown_application_is_not_found(node: Node) -> None:
    told = node("run", "fal-ai/nothing-here", {})
    assert (told["status"], told["body"]) == (
        404,
        {"detail": 'Application "nothing-here" not found'},
    )
