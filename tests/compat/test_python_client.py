"""`fal-client` 1.0.3, unmodified, against a real server (wire.md 2.1, 3, 4.1)."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import fal_client
import fal_client.client as addresses
import pytest

from tests.rig.process import Server, eventually

METRONOME = "limner/metronome"
Client = fal_client.SyncClient

# The client drops the connections of its uploads without closing them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)


def read(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def test_subscribe_hears_the_queue_the_logs_and_the_result(python_client: Client) -> None:
    updates: list[fal_client.Status] = []
    result = python_client.subscribe(
        METRONOME, {"steps": 4, "pause": 0.2}, with_logs=True, on_queue_update=updates.append
    )
    assert result["steps"] == 4
    assert read(result["image"]["url"]) == b"not really a picture"
    running = [update for update in updates if isinstance(update, fal_client.InProgress)]
    messages = [entry["message"] for update in running for entry in update.logs or []]
    assert "step 1 of 4" in messages
    assert isinstance(updates[-1], fal_client.Completed)


def test_a_handle_is_found_again_from_its_id(python_client: Client) -> None:
    # wire.md 0.4: fal's own live test asserts that the two handles are equal.
    handle = python_client.submit(METRONOME, {"steps": 1})
    assert python_client.get_handle(METRONOME, handle.request_id) == handle
    assert handle.get()["steps"] == 1


def test_logs_are_null_unless_asked_for(python_client: Client) -> None:
    # wire.md 0.7.
    handle = python_client.submit(METRONOME, {"steps": 2})
    handle.get()
    without, with_logs = handle.status(), handle.status(with_logs=True)
    assert isinstance(without, fal_client.Completed)
    assert isinstance(with_logs, fal_client.Completed)
    assert without.logs is None
    assert [entry["message"] for entry in with_logs.logs or []][-1] == "step 2 of 2"
    assert with_logs.metrics["inference_time"] > 0


def test_a_running_request_is_cancelled_at_its_next_step(python_client: Client) -> None:
    handle = python_client.submit(METRONOME, {"steps": 1000, "pause": 0.05})
    eventually(lambda: isinstance(handle.status(), fal_client.InProgress))
    handle.cancel()
    eventually(lambda: isinstance(handle.status(), fal_client.Completed))
    with pytest.raises(fal_client.FalClientHTTPError) as cancelled:
        handle.get()
    assert cancelled.value.status_code == 499
    assert cancelled.value.error_type == "client_cancelled"


def test_run_returns_the_bare_output(python_client: Client) -> None:
    assert python_client.run(METRONOME, {"steps": 2})["steps"] == 2


def test_stream_sends_each_step_and_last_the_result(python_client: Client) -> None:
    events = list(python_client.stream(METRONOME, {"steps": 3, "pause": 0.05}))
    assert [event.get("message") for event in events[1:4]] == [
        "step 1 of 3",
        "step 2 of 3",
        "step 3 of 3",
    ]
    assert events[-1]["steps"] == 3


def test_wrong_input_is_an_error_naming_the_field(python_client: Client) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as refused:
        python_client.subscribe(METRONOME, {"steps": -1})
    assert refused.value.status_code == 422
    (entry,) = refused.value.response.json()["detail"]
    assert (entry["loc"], entry["type"], entry["ctx"]) == (
        ["body", "steps"],
        "greater_than_equal",
        {"ge": 0},
    )


def test_our_fault_is_opaque(python_client: Client, server: Server) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as failed:
        python_client.subscribe(METRONOME, {"ending": "badly"})
    assert failed.value.status_code == 500
    assert failed.value.response.json() == {"detail": "Internal Server Error"}
    log = server.log.read_text()
    assert "RuntimeError" in log
    assert "a secret" not in log


@pytest.mark.parametrize("size", [11, 3 * 1024 * 1024])
def test_an_upload_is_read_back_byte_for_byte(python_client: Client, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    url = python_client.upload(content, "image/png", file_name="face.png")
    assert read(url) == content
    assert python_client.run(METRONOME, {"picture": url})["read"] == len(content)


def test_a_file_over_100_mib_goes_up_in_parts(python_client: Client, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as out:
        for number in range(101):
            out.write(bytes([number]) * 1024 * 1024)
    url = python_client.upload_file(large)
    assert read(url) == large.read_bytes()


def test_a_start_timeout_ends_a_waiting_request(own_server: Server) -> None:
    # wire.md 3.4: 504 with x-fal-request-timeout-type: user. One worker, two slots, both taken.
    busy = {"steps": 100, "pause": 0.1}
    for _ in range(2):
        own_server.post(f"/queue.fal.run/{METRONOME}", json=busy)
    late = own_server.post(
        f"/queue.fal.run/{METRONOME}", json={}, headers={"X-Fal-Request-Timeout": "1"}
    ).json()
    path = late["response_url"].removeprefix(own_server.base)
    result = eventually(
        lambda: answer if (answer := own_server.get(path)).status_code != 400 else None
    )
    assert result.status_code == 504
    assert result.headers["x-fal-request-timeout-type"] == "user"


def test_a_start_timeout_is_not_tried_again(
    python_client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # wire.md 2.4, 4.3; nobody works here, so nothing starts in time.
    idle = Server(tmp_path / "home", env={"LIMNER_WORKERS": "0"})
    try:
        monkeypatch.setattr(addresses, "RUN_URL_FORMAT", f"{idle.base}/fal.run/")
        with pytest.raises(fal_client.FalClientHTTPError) as late:
            python_client.run(METRONOME, {}, start_timeout=1.1)
        assert (late.value.status_code, late.value.error_type) == (504, "request_timeout")
        assert len(idle.get("/limner/v1/requests").json()["requests"]) == 1
    finally:
        idle.stop()


def test_the_async_client_does_the_same(python_client: Client) -> None:
    async def calls() -> tuple[dict[str, object], dict[str, object]]:
        client = fal_client.AsyncClient(key="any:key")
        url = await client.upload(b"12345", "image/png")
        subscribed = await client.subscribe(METRONOME, {"steps": 2, "picture": url})
        ran = await client.run(METRONOME, {"steps": 1})
        await (await client._client).aclose()  # pyright: ignore[reportPrivateUsage]
        return subscribed, ran

    subscribed, ran = asyncio.run(calls())
    assert (subscribed["steps"], subscribed["read"], ran["steps"]) == (2, 5, 1)
