"""fal's storage: three upload dialects, two multipart dialects, and reading back (wire.md 2, 7)."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt
import pytest

from limner.requests.keyring import Secret
from limner.requests.ledger import Ledger
from tests.rig.process import Server, eventually

REST, MEDIA = "/rest.fal.ai/storage", "/v3.fal.media"
FACE = bytes(range(256)) * 4
LIFECYCLE = json.dumps({"expiration_duration_seconds": 60, "initial_acl": {"default": "forbid"}})


def path_of(server: Server, url: str) -> str:
    assert url.startswith(server.base + MEDIA)
    return url.removeprefix(server.base)


def initiate(
    server: Server, kind: str = "initiate", storage_type: str = "fal-cdn-v3", **said: Any
) -> tuple[str, str]:
    """JavaScript's first call; the paths to put to and to read from."""
    body = {"content_type": "image/png", "file_name": "face.png", **said}
    answer = server.post(f"{REST}/upload/{kind}?storage_type={storage_type}", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"upload_url", "file_url"}
    return path_of(server, answer.json()["upload_url"]), path_of(server, answer.json()["file_url"])


@pytest.fixture(scope="module")
def face(server: Server) -> str:
    """The path of an uploaded face."""
    upload, file = initiate(server)
    assert server.call("PUT", upload, content=FACE).status_code == 200
    return file


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


# Upload dialects


def test_javascript_initiates_and_puts(server: Server) -> None:
    upload, file = initiate(server)
    assert server.get(file).status_code == 404  # told before it is there
    # 2.2: content type only, no key.
    put = server.call("PUT", upload, content=FACE, headers={"content-type": "image/png"})
    assert put.status_code == 200
    got = server.get(file)
    assert (got.content, got.headers["content-type"]) == (FACE, "image/png")
    # 7.2: {21 characters}_{name}.{ext}
    assert re.fullmatch(r"/v3\.fal\.media/files/[A-Za-z0-9_-]{21}_face\.png", file)


def test_python_falls_back_to_initiate_and_leaks_its_key(server: Server) -> None:
    # 2.1: storage_type=gcs, and the client's default Authorization goes along.
    upload, file = initiate(
        server, storage_type="gcs", file_name="hello.txt", content_type="text/plain"
    )
    leaked = {"authorization": "Key kid:ksecret", "content-type": "text/plain"}
    assert server.call("PUT", upload, content=b"hello", headers=leaked).status_code == 200
    assert server.get(file).text == "hello"


def test_python_takes_a_token_and_posts(server: Server) -> None:
    answer = server.post(f"{REST}/auth/token?storage_type=fal-cdn-v3", json={})
    token = answer.json()
    assert set(token) == {"token", "token_type", "base_url", "expires_at"}
    assert (token["token_type"], token["base_url"]) == ("Bearer", server.base + MEDIA)
    # 7.1: a naive time is a TypeError on the client's second upload.
    assert datetime.fromisoformat(token["expires_at"]).utcoffset() is not None
    headers = {
        "authorization": f"Bearer {token['token']}",
        "content-type": "image/jpeg",
        "x-fal-file-name": "me & you.jpg",
        "x-fal-object-lifecycle": LIFECYCLE,
        "x-fal-object-lifecycle-preference": LIFECYCLE,
    }
    posted = server.post(f"{MEDIA}/files/upload", content=FACE, headers=headers)
    assert (posted.status_code, set(posted.json())) == (200, {"access_url"})
    file = path_of(server, posted.json()["access_url"])
    assert file.endswith("_me_you.jpg")
    got = server.get(file)
    assert (got.content, got.headers["content-type"]) == (FACE, "image/jpeg")


def test_python_may_upload_without_a_name(server: Server) -> None:
    posted = server.post(f"{MEDIA}/files/upload", content=FACE)
    got = server.get(path_of(server, posted.json()["access_url"]))
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == "attachment"


def test_javascript_uploads_in_parts(server: Server) -> None:
    upload, file = initiate(server, "initiate-multipart")
    # 2.2: /{n} and /complete go between path and query; parts have no content type.
    for number, part in enumerate((b"one,", b"two,", b"three"), 1):
        answer = server.call("PUT", f"{upload}/{number}?x=1", content=part)
        etag = hashlib.sha256(part).hexdigest()
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"partNumber": number, "etag": etag}
    parts = [{"partNumber": n, "etag": "any"} for n in (1, 2, 3)]
    done = server.post(f"{upload}/complete?x=1", json={"parts": parts})
    assert done.status_code == 200
    assert server.get(file).content == b"one,two,three"
    assert server.get(file).headers["content-type"] == "image/png"
    # A client that did not hear the answer says it again.
    assert server.post(f"{upload}/complete", json={"parts": parts}).status_code == 200


def test_python_uploads_in_parts_in_the_order_of_completion(server: Server) -> None:
    headers = {"content-type": "image/png", "x-fal-file-name": "large.png"}
    begun = server.call("POST", f"{MEDIA}/files/upload/multipart", headers=headers)
    assert (begun.status_code, set(begun.json())) == (200, {"access_url", "uploadId"})
    file = path_of(server, begun.json()["access_url"])
    base = f"{file}/multipart/{begun.json()['uploadId']}"
    etags: dict[int, str] = {}
    for number in (2, 1):
        answer = server.call(
            "PUT",
            f"{base}/{number}",
            content=b"%d," % number,
            headers={"accept-encoding": "identity"},
        )
        assert answer.status_code == 200
        etags[number] = answer.headers["etag"]  # with its quotes
    assert etags[2] == f'"{hashlib.sha256(b"2,").hexdigest()}"'
    parts = [{"partNumber": number, "etag": etags[number]} for number in (2, 1)]
    assert server.post(f"{base}/complete", json={"parts": parts}).status_code == 200
    assert server.get(file).content == b"1,2,"


def test_a_missing_part_is_told(server: Server) -> None:
    upload, file = initiate(server, "initiate-multipart")
    server.call("PUT", f"{upload}/1", content=b"x")
    others = [[], [{"partNumber": 0}], [{"partNumber": -1}], [{"partNumber": 10**300}]]
    for said in (*others, [{"partNumber": 1}, {"partNumber": 2}]):
        assert server.post(f"{upload}/complete", json={"parts": said}).status_code == 400
    assert server.post(f"{upload}/complete", json={}).status_code == 422
    assert server.get(file).status_code == 404


@pytest.mark.parametrize("number", ["0", "10001", "9" * 20, "9" * 5000, "-1", "one", "%D9%A3"])
def test_a_part_number_that_cannot_be_is_a_bad_request(server: Server, number: str) -> None:
    upload, _ = initiate(server, "initiate-multipart")
    refused = server.call("PUT", f"{upload}/{number}", content=b"x")
    assert (refused.status_code, refused.json()["error_type"]) == (400, "bad_request")


# Tickets


def test_a_ticket_is_good_for_its_own_file_only(server: Server) -> None:
    mine = server.call("POST", f"{MEDIA}/files/upload/multipart").json()
    other = server.call("POST", f"{MEDIA}/files/upload/multipart").json()
    path = f"{path_of(server, other['access_url'])}/multipart/{mine['uploadId']}"
    assert server.call("PUT", f"{path}/1", content=b"x").status_code == 401
    assert server.post(f"{path}/complete", json={"parts": []}).status_code == 401


def test_a_ticket_that_is_used_again_changes_nothing(server: Server) -> None:
    upload, file = initiate(server)
    for content in (b"first", b"second"):
        assert server.call("PUT", upload, content=content).status_code == 200
    assert server.get(file).content == b"first"


def test_forged_and_late_tickets_are_refused(server: Server) -> None:
    upload, file = initiate(server)
    base, _, ticket = upload.rpartition("/")
    claims = jwt.decode(ticket, options={"verify_signature": False})
    late = {**claims, "exp": time.time() - 1}
    head, body, signature = ticket.split(".")
    for wrong in (
        jwt.encode(claims, "k" * 32, algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(late, "k" * 32, algorithm="HS256"),
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}.",
        "none",
        "a.b.c",
    ):
        refused = server.call("PUT", f"{base}/{wrong}", content=b"x")
        assert refused.status_code == 401, wrong
    assert server.get(file).status_code == 404
    # The token of a direct upload is no ticket.
    token = server.post(f"{REST}/auth/token", json={}).json()["token"]
    assert server.call("PUT", f"{base}/{token}", content=b"x").status_code == 401


def aged(server: Server, ticket: str, hours: float) -> str:
    """A ticket of this server's as it would be had it been made so many hours ago."""
    with Ledger(f"sqlite:///{server.home / 'limner.db'}") as ledger:
        key = ledger.secret(Secret.UPLOADS).result()
    claims = jwt.decode(ticket, key, algorithms=["HS256"])
    return jwt.encode({**claims, "exp": claims["exp"] - hours * 3600}, key, algorithm="HS256")


def test_an_upload_in_parts_goes_on_after_an_hour_and_ends_with_the_stores_parts(
    server: Server,
) -> None:
    """Both dialects. What is begun is not begun again by each part, nor by joining them."""
    upload, file = initiate(server, "initiate-multipart")
    base, _, ticket = upload.rpartition("/")
    headers = {"content-type": "image/png", "x-fal-file-name": "large.png"}
    begun = server.call("POST", f"{MEDIA}/files/upload/multipart", headers=headers).json()
    other = path_of(server, begun["access_url"])
    for place, told, where in (
        (base, ticket, file),
        (f"{other}/multipart", begun["uploadId"], other),
    ):
        assert server.call("PUT", f"{place}/{told}/1", content=b"one,").status_code == 200
        late, too_late = aged(server, told, 23), aged(server, told, 25)
        assert server.call("PUT", f"{place}/{late}/2", content=b"two").status_code == 200
        assert server.call("PUT", f"{place}/{too_late}/2", content=b"two").status_code == 401
        parts = {"parts": [{"partNumber": 1}, {"partNumber": 2}]}
        assert server.post(f"{place}/{too_late}/complete", json=parts).status_code == 401
        assert server.post(f"{place}/{late}/complete", json=parts).status_code == 200
        assert server.get(where).content == b"one,two"


def test_a_whole_file_begins_within_the_hour(server: Server) -> None:
    upload, _ = initiate(server)
    base, _, ticket = upload.rpartition("/")
    late = aged(server, ticket, 1.1)
    assert server.call("PUT", f"{base}/{late}", content=b"x").status_code == 401


# Limits


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


def test_upload_urls_lead_back_by_the_road_the_caller_came(server: Server) -> None:
    # 1.4 E: in proxy mode the upload URLs may be plain http on our own host.
    target = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"
    by_proxy = server.post("/api/fal/proxy", json={}, headers={"x-fal-target-url": target})
    by_name = server.post("/storage/upload/initiate", json={}, headers={"host": "rest.fal.ai"})
    assert by_proxy.json()["upload_url"].startswith(f"{server.base}{MEDIA}/uploads/")
    assert urlsplit(by_name.json()["upload_url"]).netloc == "v3.fal.media"
    assert urlsplit(by_name.json()["file_url"]).netloc == "v3.fal.media"
