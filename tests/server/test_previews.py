"""Previews on the streams and at the desk. The metronome's are no pictures; only bytes count."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.rig.process import Server, eventually

ID = "limner/metronome"
RUN, QUEUE = f"/fal.run/{ID}", f"/queue.fal.run/{ID}"
SLOWLY = {"steps": 4, "pause": 0.25, "previews": True}


def events(text: str) -> list[dict[str, Any]]:
    blocks = text.removesuffix("\n\n").split("\n\n")
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def seen(event: dict[str, Any]) -> bytes | None:
    uri = event.get("preview")
    if uri is None:
        return None
    head, _, encoded = uri.partition(",")
    assert head == "data:image/webp;base64"
    return base64.b64decode(encoded)


def test_a_stream_shows_each_steps_preview_and_the_result_none(server: Server) -> None:
    *told, result = events(server.post(f"{RUN}/stream", json=SLOWLY).text)
    assert "preview" not in result
    shown = {event["message"]: seen(event) for event in told if "preview" in event}
    # Of steps that are read together only the latest has one.
    assert shown
    assert all(
        message == f"step {bytes(of or b'')[:1].decode()} of 4" for message, of in shown.items()
    )


def test_the_status_stream_tells_each_new_preview_once(server: Server) -> None:
    request_id = server.post(QUEUE, json=SLOWLY).json()["request_id"]
    told = events(server.get(f"{QUEUE}/requests/{request_id}/status/stream").text)
    shown = [seen(event) or b"" for event in told if "preview" in event]
    # Whoever is late sees only the latest, but none twice, and they come in order.
    assert shown
    assert shown == sorted(set(shown))
    assert told[-1]["status"] == "COMPLETED"
    assert "preview" not in told[-1]


def test_the_desk_shows_the_latest_one_while_it_runs_and_no_longer(server: Server) -> None:
    request_id = server.post(QUEUE, json=SLOWLY).json()["request_id"]

    def whole() -> dict[str, Any]:
        return server.get(f"/limner/v1/requests/{request_id}").json()

    assert "ticks" in (eventually(lambda: seen(whole())) or b"").decode()
    eventually(lambda: whole()["status"] == "done")
    assert whole()["preview"] is None


def test_nothing_is_shown_of_a_request_of_which_nothing_may_be_kept(server: Server) -> None:
    """X-Fal-Store-IO: 0."""
    said = {"x-fal-store-io": "0"}
    assert "preview" not in server.post(f"{RUN}/stream", json=SLOWLY, headers=said).text


def test_a_preview_is_in_no_log(server: Server) -> None:
    assert "preview" in server.post(f"{RUN}/stream", json=SLOWLY).text
    log = server.log.read_text()
    assert "ticks" not in log
    assert base64.b64encode(b"1 ticks").decode() not in log


def test_a_strict_server_streams_what_fal_has_and_no_more(tmp_path: Path) -> None:
    strict = Server(tmp_path / "home", env={"LIMNER_STRICT": "1"})
    try:
        request_id = strict.post(QUEUE, json=SLOWLY).json()["request_id"]
        for answer in (
            strict.get(f"{QUEUE}/requests/{request_id}/status/stream"),
            strict.post(f"{RUN}/stream", json=SLOWLY),
        ):
            assert len(events(answer.text)) > 1
            assert "preview" not in answer.text
    finally:
        strict.stop()
