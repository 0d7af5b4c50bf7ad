"""The platform API, as far as one's own server has something true to say (wire.md 8.2)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.rig.process import ROOT, Server

METRONOME = "limner/metronome"
MODELS = "/api.fal.ai/v1/models"
HISTORY = f"{MODELS}/requests/by-endpoint"


def test_the_catalogue_lists_what_is_served(server: Server) -> None:
    told = server.get(MODELS).json()
    ids = [model["endpoint_id"] for model in told["models"]]
    assert {"fal-ai/face-to-sticker", METRONOME} <= set(ids)
    assert (told["has_more"], told["next_cursor"]) == (False, None)
    sticker = next(m for m in told["models"] if m["endpoint_id"] == "fal-ai/face-to-sticker")
    assert sticker["metadata"]["category"] == "image-to-image"
    assert "openapi" not in sticker


def test_the_catalogue_is_searched_paged_and_expanded(server: Server) -> None:
    by_id = server.get(MODELS, params={"endpoint_id": METRONOME, "expand": "openapi-3.0"}).json()
    (model,) = by_id["models"]
    assert f"/{METRONOME}" in model["openapi"]["paths"]
    assert server.get(MODELS, params={"q": "STICKER"}).json()["models"]
    assert server.get(MODELS, params={"q": "no such thing"}).json()["models"] == []
    seen: list[str] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = server.get(MODELS, params={"limit": 1, "cursor": cursor}).json()
        seen += [found["endpoint_id"] for found in page["models"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) >= 2


def test_the_api_is_answered_by_its_own_name(server: Server) -> None:
    assert server.get("/v1/models", headers={"host": "api.fal.ai"}).json()["models"]


def history(server: Server, **query: Any) -> list[dict[str, Any]]:
    answer = server.get(HISTORY, params={"endpoint_id": METRONOME, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_ended_requests_are_listed_newest_first_by_how_they_ended(own_server: Server) -> None:
    own_server.post(f"/{METRONOME}", json={"steps": 1})
    own_server.post(f"/{METRONOME}", json={"steps": 2, "pause": 0.2})
    own_server.post(f"/{METRONOME}", json={"ending": "no face"})
    own_server.post(f"/{METRONOME}", json={"ending": "badly"})
    assert [item["status_code"] for item in history(own_server)] == [500, 422, 200, 200]
    assert [item["status_code"] for item in history(own_server, status="error")] == [500]
    assert [item["status_code"] for item in history(own_server, status="user_error")] == [422]
    good = history(own_server, status="success", expand="payloads")
    assert [item["json_input"]["steps"] for item in good] == [2, 1]
    assert good[0]["json_output"]["steps"] == 2
    assert good[0]["duration"] >= 0.4
    longest = history(own_server, sort_by="duration", limit=1)
    assert longest[0]["request_id"] == good[0]["request_id"]
    assert "json_input" not in longest[0]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert history(own_server, start=tomorrow) == []
    assert len(history(own_server, end=tomorrow)) == 4
    one = history(own_server, request_id=good[1]["request_id"])
    assert [item["request_id"] for item in one] == [good[1]["request_id"]]


def test_deleting_payloads_removes_the_request_and_its_pictures(server: Server) -> None:
    ran = server.post(f"/{METRONOME}", json={"steps": 0})
    request_id = ran.headers["x-fal-request-id"]
    picture = ran.json()["image"]["url"].removeprefix(server.base)
    assert server.get(picture).status_code == 200
    path = f"{MODELS}/requests/{request_id}/payloads"
    told = server.call("DELETE", path)
    assert told.json() == {
        "cdn_delete_results": [{"link": server.base + picture, "exception": None}]
    }
    assert server.get(picture).status_code == 404
    assert server.get(f"/queue.fal.run/{METRONOME}/requests/{request_id}").status_code == 404
    assert server.call("DELETE", path).status_code == 404


def test_what_still_runs_is_not_deleted(server: Server) -> None:
    asked = server.post(f"/queue.fal.run/{METRONOME}", json={"steps": 400, "pause": 0.05}).json()
    refused = server.call("DELETE", f"{MODELS}/requests/{asked['request_id']}/payloads")
    assert refused.status_code == 400
    assert "has not ended" in refused.json()["error"]["message"]
    server.call("PUT", asked["cancel_url"].removeprefix(server.base))


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        (HISTORY, 400, "validation_error"),
        (f"{HISTORY}?endpoint_id=a/b", 404, "not_found"),
        (f"{HISTORY}?endpoint_id={METRONOME}&start=yesterday", 400, "validation_error"),
        (f"{MODELS}?limit=0", 400, "validation_error"),
        ("/api.fal.ai/v1/nowhere", 404, "not_found"),
    ],
)
def test_errors_have_the_platforms_own_shape(
    server: Server, path: str, status: int, kind: str
) -> None:
    answer = server.get(path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["type"] == kind
    assert set(error) == {"type", "message", "docs_url", "request_id"}


@pytest.fixture(scope="module")
def two_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str, str]]:
    """A server with an api key and an admin's key."""
    running = Server(tmp_path_factory.mktemp("two-keys"))
    made = [
        subprocess.run(
            [sys.executable, "-m", "limner", "keys", "create", "--scope", scope],
            cwd=ROOT,
            env={"LIMNER_HOME": str(running.home), "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for scope in ("api", "admin")
    ]
    yield running, made[0], made[1]
    running.stop()


def test_a_key_sees_and_forgets_its_own_requests_only(two_keys: tuple[Server, str, str]) -> None:
    server, api, admin = two_keys
    by_api, by_admin = ({"authorization": f"Key {key}"} for key in (api, admin))
    mine = server.post(f"/{METRONOME}", json={"steps": 0}, headers=by_api)
    theirs = server.post(f"/{METRONOME}", json={"steps": 0}, headers=by_admin)
    seen = {
        name: [
            item["request_id"]
            for item in server.get(
                HISTORY, params={"endpoint_id": METRONOME}, headers=headers
            ).json()["items"]
        ]
        for name, headers in (("api", by_api), ("admin", by_admin))
    }
    own, other = (run.headers["x-fal-request-id"] for run in (mine, theirs))
    assert seen == {"api": [own], "admin": [other, own]}
    path = f"{MODELS}/requests/{other}/payloads"
    assert server.call("DELETE", path, headers=by_api).status_code == 404
    nobody = server.get(HISTORY, params={"endpoint_id": METRONOME})
    assert (nobody.status_code, nobody.json()["error"]["type"]) == (401, "authorization_error")
    # The catalogue is open, as at fal.
    assert json.loads(server.get(MODELS).text)["models"]
