"""A server that can be reached from elsewhere hands out sealed addresses of files, and reads by no
other; fal's clients notice nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rig.process import Server
from tests.server.test_desk import DESK, ended, submit

PUBLIC = "https://faces.example.net"
UPLOAD = "/rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a public address, with a key."""
    env = {"LIMNER_PUBLIC_URL": PUBLIC}
    running = Server(tmp_path_factory.mktemp("far"), env=env)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def key(far: Server) -> dict[str, str]:
    made = far.post(f"{DESK}/keys", json={"scope": "admin"}).json()["key"]
    return {"authorization": f"Key {made}"}


def path(url: str) -> str:
    assert url.startswith(f"{PUBLIC}/v3.fal.media/")
    return url.removeprefix(PUBLIC)


def uploaded(far: Server, key: dict[str, str]) -> str:
    told = far.post(UPLOAD, json={"file_name": "face.png"}, headers=key).json()
    far.call("PUT", path(told["upload_url"]), content=b"a face").raise_for_status()
    return told["file_url"]


def test_what_is_uploaded_or_drawn_is_read_by_its_whole_address_alone(
    far: Server, key: dict[str, str]
) -> None:
    drawn = ended(far, key, submit(far, key, steps=0))["answer"]["image"]["url"]
    listed = far.get(f"{DESK}/files", headers=key).json()["files"][0]["url"]
    for url in (uploaded(far, key), drawn, listed):
        assert far.get(path(url)).status_code == 200
        head, _, name = url.rpartition("/files/")
        media, _, seal = head.rpartition("/sealed/")
        for wrong in (
            f"{media}/files/{name}",
            f"{media}/sealed/x/files/{name}",
            f"{media}/sealed/9{seal}/files/{name}",
            f"{media}/sealed/{seal[:-1]}{'AQ'[seal[-1] == 'A']}/files/{name}",
            f"{head}/files/{name[::-1]}",
        ):
            refused = far.get(path(wrong))
            assert refused.status_code == 403
            assert refused.headers["x-fal-error-type"] == "file_address_invalid"
            assert set(refused.json()) >= {"detail"}


def test_an_address_ends_with_its_file(far: Server, key: dict[str, str]) -> None:
    life = {"X-Fal-Object-Lifecycle": '{"expiration_duration_seconds": 0.1}'}
    told = far.post(UPLOAD, json={}, headers={**key, **life}).json()
    seal = told["file_url"].partition("/sealed/")[2].partition("-")[0]
    forever = told["file_url"].replace(seal, "999999999999")
    assert far.get(path(forever)).status_code == 403


def test_a_sealed_address_is_an_input_and_an_altered_one_is_not(
    far: Server, key: dict[str, str]
) -> None:
    photo = uploaded(far, key)
    assert ended(far, key, submit(far, key, steps=0, picture=photo))["answer"]["read"] == 6
    name = photo.rpartition("/")[2]
    for wrong in (f"{PUBLIC}/v3.fal.media/files/{name}", photo.replace("/sealed/1", "/sealed/2")):
        answer = ended(far, key, submit(far, key, steps=0, picture=wrong))
        assert answer["http_status"] == 422
        (fault,) = answer["answer"]["detail"]
        assert (fault["type"], fault["loc"]) == ("file_download_error", ["body", "picture"])


def test_pythons_parts_are_put_below_the_address_it_was_told(
    far: Server, key: dict[str, str]
) -> None:
    token = far.post("/rest.fal.ai/storage/auth/token", json={}, headers=key).json()
    bearer = {"authorization": f"Bearer {token['token']}"}
    begun = far.post(path(f"{token['base_url']}/files/upload/multipart"), headers=bearer).json()
    part = f"{path(begun['access_url'])}/multipart/{begun['uploadId']}"
    far.call("PUT", f"{part}/1", content=b"a face", headers=bearer).raise_for_status()
    whole = far.post(f"{part}/complete", json={"parts": [{"partNumber": 1}]}, headers=bearer)
    assert whole.json()["url"] == begun["access_url"]
    assert far.get(path(begun["access_url"])).content == b"a face"


def test_deleting_a_request_takes_its_sealed_upload_along(far: Server, key: dict[str, str]) -> None:
    photo = uploaded(far, key)
    request_id = submit(far, key, steps=0, picture=photo)
    ended(far, key, request_id)
    far.call("DELETE", f"{DESK}/requests/{request_id}", headers=key)
    assert far.get(path(photo)).status_code == 404
