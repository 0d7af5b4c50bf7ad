"""Reading a file back: its headers, ranges, what never runs as a page (wire.md 7)."""

from __future__ import annotations

import hashlib

import httpx2
import pytest

from tests.rig.process import Server
from tests.server.storage_calls import FACE, MEDIA, initiate


@pytest.fixture(scope="module")
def face(server: Server) -> str:
    """The path of an uploaded face."""
    upload, file = initiate(server)
    assert server.call("PUT", upload, content=FACE).status_code == 200
    return file


# Reading back


def test_a_file_is_told_by_its_headers(server: Server, face: str) -> None:
    for method in ("GET", "HEAD"):
        got = server.call(method, face)
        assert got.status_code == 200
        assert got.content == (FACE if method == "GET" else b"")
        assert got.headers["content-length"] == str(len(FACE))
        assert got.headers["etag"] == f'"{hashlib.sha256(FACE).hexdigest()}"'
        assert got.headers["accept-ranges"] == "bytes"
        assert got.headers["cache-control"].endswith("immutable")


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1), ("bytes=0-99", 0, 100), ("bytes=100-", 100, 1024),
        ("bytes=1000-9999", 1000, 1024), ("bytes=-24", 1000, 1024), ("bytes=-9999", 0, 1024),
        ("bytes=1023-", 1023, 1024),
    ],
)  # fmt: skip
def test_a_range_is_206(server: Server, face: str, wanted: str, start: int, stop: int) -> None:
    got = server.get(face, headers={"range": wanted})
    assert (got.status_code, got.content) == (206, FACE[start:stop])
    assert got.headers["content-range"] == f"bytes {start}-{stop - 1}/1024"
    assert got.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("wanted", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(server: Server, face: str, wanted: str) -> None:
    got = server.get(face, headers={"range": wanted})
    assert (got.status_code, got.headers["content-range"]) == (416, "bytes */1024")


@pytest.mark.parametrize(
    "wanted",
    ["bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "0-1",
     "bytes=" + "9" * 5000 + "-"],
)  # fmt: skip
def test_a_range_that_is_none_is_ignored(server: Server, face: str, wanted: str) -> None:
    # RFC 9110, 14.2.
    got = server.get(face, headers={"range": wanted})
    assert (got.status_code, len(got.content)) == (200, 1024)


def test_a_range_is_for_get(server: Server, face: str) -> None:
    got = server.call("HEAD", face, headers={"range": "bytes=0-1"})
    assert (got.status_code, got.headers["content-length"]) == (200, "1024")


def test_a_range_of_another_version_is_ignored(server: Server, face: str) -> None:
    etag = server.get(face).headers["etag"]
    for said, code in ((etag, 206), ('"other"', 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)):
        headers = {"range": "bytes=0-1", "if-range": said}
        assert server.get(face, headers=headers).status_code == code


def test_what_the_caller_has_is_not_sent_again(server: Server, face: str) -> None:
    etag = server.get(face).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        got = server.get(face, headers={"if-none-match": known})
        assert (got.status_code, got.content, got.headers["etag"]) == (304, b"", etag)
    assert server.get(face, headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "disposition"),
    [
        ("image/png", "inline"), ("image/PNG", "inline"), ("video/mp4", "inline"),
        ("text/plain; charset=utf-8", "inline"), ("image/svg+xml", "attachment"),
        ("text/html", "attachment"), ("application/javascript", "attachment"),
    ],
)  # fmt: skip
def test_what_was_uploaded_never_runs_as_a_page_of_ours(
    server: Server, content_type: str, disposition: str
) -> None:
    upload, file = initiate(server, content_type=content_type)
    server.call("PUT", upload, content=b"<script>alert(1)</script>")
    got = server.get(file)
    assert got.headers["content-type"] == content_type
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"].startswith("sandbox")
    assert got.headers["content-disposition"] == disposition


@pytest.mark.parametrize(
    "name",
    ["", "..", "%2e%2e/%2e%2e/limner.db", "..%2f..%2flimner.db", "A" * 21 + "%00.png", "A" * 30,
     ".unfinished", "%2e%70arts", "a" * 5000],
)  # fmt: skip
def test_hostile_names_find_nothing(server: Server, name: str) -> None:
    with httpx2.Client() as client:
        got = client.get(f"{server.base}{MEDIA}/files/{name}")
    assert got.status_code in (404, 405)
    assert b"SQLite" not in got.content


def test_a_file_is_the_same_on_every_media_host(server: Server, face: str) -> None:
    name = face.rpartition("/")[2]
    for host in ("v3.fal.media", "v3b.fal.media", "fal.media"):
        assert server.get(f"/{host}/files/{name}").content == FACE
        assert server.get(f"/files/{name}", headers={"host": host}).content == FACE
