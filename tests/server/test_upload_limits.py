"""What an upload may be: how large, how long kept, of which type (wire.md 2, 7)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.rig.process import Server, eventually
from tests.server.storage_calls import FACE, MEDIA, REST, initiate, path_of


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for files of a thousand bytes that live three seconds."""
    env = {
        "LIMNER_MAX_UPLOAD_BYTES": "1000",
        "LIMNER_UPLOAD_RETENTION": "3",
        "LIMNER_WORKERS": "0",
    }
    running = Server(tmp_path_factory.mktemp("small"), env=env)
    yield running
    running.stop()


def test_a_file_over_the_limit_is_413_however_it_comes(small: Server) -> None:
    def chunks() -> Iterator[bytes]:
        yield from [b"x" * 400] * 3

    upload, file = initiate(small)
    assert small.call("PUT", upload, content=b"x" * 1001).status_code == 413
    assert small.call("PUT", upload, content=chunks()).status_code == 413
    assert small.get(file).status_code == 404
    assert small.post(f"{MEDIA}/files/upload", content=b"x" * 1001).status_code == 413
    assert small.call("PUT", upload, content=b"x" * 1000).status_code == 200


def test_parts_that_are_too_large_together_are_413_as_they_come(small: Server) -> None:
    upload, file = initiate(small, "initiate-multipart")

    def part(number: int, size: int) -> int:
        return small.call("PUT", f"{upload}/{number}", content=b"y" * size).status_code

    assert part(1, 1001) == 413
    assert part(1, 600) == 200
    assert part(2, 401) == 413
    assert part(1, 500) == 200  # the one before it no longer counts, nor what was refused
    assert part(2, 500) == 200
    assert part(3, 1) == 413
    said = {"parts": [{"partNumber": 1}, {"partNumber": 2}]}
    assert small.post(f"{upload}/complete", json=said).status_code == 200
    assert len(small.get(file).content) == 1000


def test_an_uploaded_file_expires_with_the_operators_retention(small: Server) -> None:
    # A caller may ask for less, not for more.
    longer = json.dumps({"expiration_duration_seconds": 10**9})
    posted = small.post(
        f"{MEDIA}/files/upload", content=FACE[:100], headers={"x-fal-object-lifecycle": longer}
    )
    file = path_of(small, posted.json()["access_url"])
    assert small.get(file).status_code == 200
    eventually(lambda: small.get(file).status_code == 404)
    on_disk = small.home / "files"
    eventually(lambda: not any(FACE[:100] in p.read_bytes() for p in on_disk.rglob("content")))


@pytest.mark.parametrize(
    ("wanted", "left"),
    [(60, (0, 60)), (1, (0, 1)), (10**9, (80_000, 86_400)), (None, (80_000, 86_400))],
)
def test_an_upload_lives_as_long_as_the_caller_says(
    server: Server, wanted: int | None, left: tuple[int, int]
) -> None:
    headers = {"x-fal-object-lifecycle": json.dumps({"expiration_duration_seconds": wanted})}
    answer = server.post(f"{REST}/upload/initiate", json={}, headers=headers)
    server.call("PUT", path_of(server, answer.json()["upload_url"]), content=b"x")
    got = server.get(path_of(server, answer.json()["file_url"]))
    if got.status_code == 404:
        assert wanted == 1
        return
    age = int(re.findall(r"max-age=(\d+)", got.headers["cache-control"])[0])
    assert left[0] <= age <= left[1]


@pytest.mark.parametrize("said", ["{", "[]", '{"expiration_duration_seconds": -5}'])
def test_a_lifecycle_that_cannot_be_read_is_a_bad_request(server: Server, said: str) -> None:
    refused = server.post(
        f"{REST}/upload/initiate", json={}, headers={"x-fal-object-lifecycle": said}
    )
    assert (refused.status_code, refused.json()["error_type"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "content_type", ["text/html\r\nX-Evil: 1", "naïve/type", "", "nonsense", "a/b\n", "x" * 10]
)
def test_a_content_type_that_is_none_becomes_bytes(server: Server, content_type: str) -> None:
    upload, file = initiate(server, content_type=content_type)
    assert server.call("PUT", upload, content=b"x").status_code == 200
    got = server.get(file)
    assert (got.status_code, got.headers["content-type"]) == (200, "application/octet-stream")
    assert "x-evil" not in got.headers
