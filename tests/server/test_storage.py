"""fal's storage: three upload dialects, two multipart dialects, and tickets (wire.md 2, 7)."""

from __future__ import annotations

import hashlib
import json
import re
import time
from datetime import datetime
from urllib.parse import urlsplit

import jwt
import pytest

from tests.rig.process import Server
from tests.server.storage_calls import FACE, MEDIA, REST, initiate, path_of

LIFECYCLE = json.dumps({"expiration_duration_seconds": 60, "initial_acl": {"default": "forbid"}})


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


def test_upload_urls_lead_back_by_the_road_the_caller_came(server: Server) -> None:
    # 1.4 E: in proxy mode the upload URLs may be plain http on our own host.
    target = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"
    by_proxy = server.post("/api/fal/proxy", json={}, headers={"x-fal-target-url": target})
    by_name = server.post("/storage/upload/initiate", json={}, headers={"host": "rest.fal.ai"})
    assert by_proxy.json()["upload_url"].startswith(f"{server.base}{MEDIA}/uploads/")
    assert urlsplit(by_name.json()["upload_url"]).netloc == "v3.fal.media"
    assert urlsplit(by_name.json()["file_url"]).netloc == "v3.fal.media"
