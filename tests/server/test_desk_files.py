"""The desk's files: whose they are, how many, and letting go of them."""

from __future__ import annotations

from tests.rig.process import Server
from tests.server.test_desk import DESK, ended, submit

FILES = f"{DESK}/files"


def sent_by_javascript(server: Server, key: dict[str, str], content: bytes) -> str:
    said = {"content_type": "image/png", "file_name": "face.png"}
    asked = server.post("/rest.fal.ai/storage/upload/initiate", json=said, headers=key).json()
    server.call("PUT", asked["upload_url"].removeprefix(server.base), content=content)
    return asked["file_url"]


def sent_by_python(server: Server, key: dict[str, str], content: bytes) -> str:
    token = server.post("/rest.fal.ai/storage/auth/token", json={}, headers=key).json()["token"]
    bearer = {"authorization": f"Bearer {token}", "content-type": "image/png"}
    stored = server.post("/v3.fal.media/files/upload", content=content, headers=bearer)
    return stored.json()["access_url"]


def names(server: Server, key: dict[str, str], query: str = "") -> list[str]:
    return [file["name"] for file in server.get(FILES + query, headers=key).json()["files"]]


def test_uploads_and_pictures_belong_to_the_key_that_made_them(
    guarded: Server, admin: dict[str, str], user: dict[str, str]
) -> None:
    urls = [
        sent_by_javascript(guarded, user, b"12345"),
        sent_by_python(guarded, user, b"1234567"),
        ended(guarded, user, submit(guarded, user, steps=1))["answer"]["image"]["url"],
    ]
    foreign = sent_by_javascript(guarded, admin, b"1").rpartition("/")[2]
    listed = guarded.get(FILES, headers=user).json()
    assert [file["url"] for file in listed["files"]] == urls[::-1]  # the newest first
    assert (listed["count"], listed["bytes"]) == (3, 5 + 7 + len(b"not really a picture"))
    assert listed["kept"] == {"results": 3600, "uploads": 86400}
    assert names(guarded, user, "?limit=1&skip=1") == [urls[1].rpartition("/")[2]]
    assert guarded.get(f"{FILES}?whose=all", headers=user).status_code == 403
    assert guarded.call("DELETE", f"{FILES}?whose=all", headers=user).status_code == 403
    assert guarded.call("DELETE", f"{FILES}/{foreign}", headers=user).status_code == 404
    assert names(guarded, admin) == [foreign]
    assert len(names(guarded, admin, "?whose=all")) == 4


def test_one_file_or_all_of_mine_go_at_once_and_nobody_elses(
    guarded: Server, admin: dict[str, str], user: dict[str, str]
) -> None:
    first, second = (sent_by_javascript(guarded, user, bytes(size)) for size in (10, 20))
    foreign = sent_by_javascript(guarded, admin, b"1")
    gone = guarded.call("DELETE", f"{FILES}/{first.rpartition('/')[2]}", headers=user)
    assert gone.json() == {"deleted": 1, "bytes": 10}
    assert guarded.get(first.removeprefix(guarded.base)).status_code == 404
    assert guarded.get(second.removeprefix(guarded.base)).status_code == 200
    mine = guarded.get(FILES, headers=user).json()
    gone = guarded.call("DELETE", FILES, headers=user).json()
    assert gone == {"deleted": mine["count"], "bytes": mine["bytes"]}
    assert guarded.get(second.removeprefix(guarded.base)).status_code == 404
    assert names(guarded, user) == []
    assert guarded.get(foreign.removeprefix(guarded.base)).status_code == 200
