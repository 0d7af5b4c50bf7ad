"""Our own API: what the playground's pages show, for programs too."""

from __future__ import annotations

from typing import Any

from tests.rig.process import Server, eventually

QUEUE = "/queue.fal.run/limner/metronome"
DESK = "/limner/v1"


def submit(server: Server, key: dict[str, str], **input: object) -> str:
    return server.post(QUEUE, json=input, headers=key).json()["request_id"]


def ended(server: Server, key: dict[str, str], request_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        told = server.get(f"{DESK}/requests/{request_id}", headers=key).json()
        return told if told["status"] == "done" else None

    return eventually(look)


def test_every_caller_sees_its_own_requests_and_an_admin_sees_all(
    guarded: Server, admin: dict[str, str], user: dict[str, str]
) -> None:
    mine, other = submit(guarded, user, steps=1), submit(guarded, admin, steps=1)

    def seen(key: dict[str, str]) -> list[str]:
        listed = guarded.get(f"{DESK}/requests", headers=key).json()["requests"]
        return [request["id"] for request in listed]

    assert seen(user) == [mine]
    assert seen(admin)[:2] == [other, mine]  # the newest first
    assert guarded.get(f"{DESK}/requests/{other}", headers=user).status_code == 404
    assert guarded.call("DELETE", f"{DESK}/requests/{other}", headers=user).status_code == 404


def test_the_register_tells_how_each_request_ended_and_never_its_input(
    guarded: Server, admin: dict[str, str]
) -> None:
    wrong = submit(guarded, admin, steps=-1)
    well = submit(guarded, admin, steps=1, journal=None)
    long = submit(guarded, admin, steps=1000, pause=0.05)
    ended(guarded, admin, well)
    cancel = guarded.post(f"{DESK}/requests/{long}/cancel", headers=admin)
    assert cancel.json()["cancelled"] in ("removed", "requested")
    ended(guarded, admin, long)
    for state, request_id in (("failed", wrong), ("done", well), ("cancelled", long)):
        listed = guarded.get(f"{DESK}/requests?state={state}", headers=admin).json()["requests"]
        assert request_id in [entry["id"] for entry in listed]
        assert {entry["state"] for entry in listed} == {state}
        assert all("input" not in entry for entry in listed)
    again = guarded.post(f"{DESK}/requests/{long}/cancel", headers=admin)
    assert again.status_code == 409


def test_the_register_is_read_page_by_page_and_by_a_part_of_the_id(
    guarded: Server, admin: dict[str, str]
) -> None:
    made = [submit(guarded, admin, steps=0) for _ in range(3)]
    first = guarded.get(f"{DESK}/requests?limit=2", headers=admin).json()
    assert [entry["id"] for entry in first["requests"]] == made[:0:-1]
    after = f"{DESK}/requests?limit=1&before={first['next']}"
    (entry,) = guarded.get(after, headers=admin).json()["requests"]
    assert entry["id"] == made[0]
    part = made[1][10:30]
    (found,) = guarded.get(f"{DESK}/requests?text={part}", headers=admin).json()["requests"]
    assert found["id"] == made[1]
    assert guarded.get(f"{DESK}/requests?text=%25", headers=admin).json()["requests"] == []
    assert guarded.get(f"{DESK}/requests?limit=0", headers=admin).status_code == 422


def test_deleting_a_request_deletes_its_pictures(guarded: Server, admin: dict[str, str]) -> None:
    request_id = submit(guarded, admin, steps=400, pause=0.05)
    assert guarded.call("DELETE", f"{DESK}/requests/{request_id}", headers=admin).status_code == 409
    guarded.post(f"{DESK}/requests/{request_id}/cancel", headers=admin)
    request_id = submit(guarded, admin, steps=1)
    url = ended(guarded, admin, request_id)["answer"]["image"]["url"]
    picture = url.removeprefix(guarded.base)
    assert guarded.get(picture).status_code == 200
    gone = guarded.call("DELETE", f"{DESK}/requests/{request_id}", headers=admin)
    assert gone.json() == {"deleted": request_id, "files": 1, "owed": 0}
    assert guarded.get(picture).status_code == 404
    assert guarded.get(f"{DESK}/requests/{request_id}", headers=admin).status_code == 404


def uploaded(server: Server, key: dict[str, str]) -> str:
    """A file as the JavaScript client uploads it; its URL."""
    told = server.post(
        "/rest.fal.ai/storage/upload/initiate", json={"file_name": "me.jpg"}, headers=key
    ).json()
    put = told["upload_url"].removeprefix(server.base)
    assert server.call("PUT", put, content=b"a face").status_code == 200
    return told["file_url"]


def test_an_ended_request_is_submitted_again_as_long_as_its_photo_is_there(
    guarded: Server, admin: dict[str, str], user: dict[str, str]
) -> None:
    photo = uploaded(guarded, user)
    old = submit(guarded, user, steps=1, picture=photo)
    before = ended(guarded, user, old)
    # An admin's retry is still the user's request.
    told = guarded.post(f"{DESK}/requests/{old}/retry", headers=admin).json()
    assert told["retried"] == old
    assert told["id"] != old
    after = ended(guarded, user, told["id"])
    assert (after["input"], after["answer"]["read"]) == (before["input"], len(b"a face"))

    def retried(request_id: str, key: dict[str, str]) -> tuple[int, str | None]:
        answer = guarded.post(f"{DESK}/requests/{request_id}/retry", headers=key)
        return answer.status_code, answer.headers.get("x-fal-error-type")

    for request_id in (old, told["id"]):
        assert guarded.get(photo.removeprefix(guarded.base)).status_code == 200
        guarded.call("DELETE", f"{DESK}/requests/{request_id}", headers=user)
    assert guarded.get(photo.removeprefix(guarded.base)).status_code == 404
    assert retried(old, user) == (404, None)
    late = submit(guarded, user, steps=1, picture=photo)
    assert ended(guarded, user, late)["http_status"] == 422
    assert retried(late, user) == (410, "input_gone")
    assert retried(submit(guarded, admin, steps=-1), user) == (404, None)  # somebody else's
    assert retried(submit(guarded, user, steps=-1), user) == (409, None)


def test_a_request_that_was_given_somebody_elses_file_does_not_take_it_along(
    guarded: Server, admin: dict[str, str], user: dict[str, str]
) -> None:
    photo = uploaded(guarded, admin)
    for path in (f"{DESK}/requests/{{}}", "/api.fal.ai/v1/models/requests/{}/payloads"):
        borrowed = submit(guarded, user, steps=1, picture=photo)
        ended(guarded, user, borrowed)
        gone = guarded.call("DELETE", path.format(borrowed), headers=user)
        assert gone.status_code == 200
        assert photo not in gone.text
        assert guarded.get(photo.removeprefix(guarded.base)).status_code == 200


def test_keys_are_made_listed_and_ended_by_admins_only(
    guarded: Server, admin: dict[str, str], user: dict[str, str]
) -> None:
    for method in ("GET", "POST"):
        assert guarded.call(method, f"{DESK}/keys", headers=user).status_code == 403
    made = guarded.post(f"{DESK}/keys", json={"scope": "api"}, headers=admin).json()["key"]
    key_id, _, secret = made.partition(":")
    with_it = {"authorization": f"Key {made}"}
    assert guarded.get(f"{DESK}/me", headers=with_it).json() == {"key": key_id, "admin": False}
    listed = guarded.get(f"{DESK}/keys", headers=admin)
    assert key_id in [key["id"] for key in listed.json()["keys"]]
    assert secret not in listed.text
    assert guarded.call("DELETE", f"{DESK}/keys/{key_id}", headers=admin).status_code == 200
    assert guarded.get(f"{DESK}/me", headers=with_it).status_code == 401
    own = guarded.get(f"{DESK}/me", headers=admin).json()["key"]
    assert guarded.call("DELETE", f"{DESK}/keys/{own}", headers=admin).status_code == 409


def test_the_system_tells_engines_workers_and_queue(
    guarded: Server, admin: dict[str, str], user: dict[str, str]
) -> None:
    assert guarded.get(f"{DESK}/system", headers=user).status_code == 403
    waiting = submit(guarded, admin, steps=1000, pause=0.05)

    def counted() -> dict[str, Any] | None:
        told = guarded.get(f"{DESK}/system", headers=admin).json()
        return told if told["queue"].get("limner/metronome") else None

    told = eventually(counted)
    assert sum(told["queue"]["limner/metronome"].values()) >= 1
    assert told["engines"]["limner/metronome"]["engine"] == "sketch"
    assert told["workers"]["alive"] == told["workers"]["wanted"] == 1
    guarded.post(f"{DESK}/requests/{waiting}/cancel", headers=admin)


def test_workers_are_started_anew_and_lose_nothing(
    guarded: Server, admin: dict[str, str], user: dict[str, str]
) -> None:
    (before,) = guarded.workers()
    held = submit(guarded, admin, steps=60, pause=0.05)
    eventually(lambda: guarded.get(f"{DESK}/requests/{held}", headers=admin).json()["progress"])
    assert guarded.post(f"{DESK}/system/renew", headers=user).status_code == 403
    assert guarded.post(f"{DESK}/system/renew", headers=admin).status_code == 200
    eventually(lambda: guarded.workers() not in ([before], []))
    assert ended(guarded, admin, held)["http_status"] == 200
    assert "worker_died" not in guarded.log.read_text()
