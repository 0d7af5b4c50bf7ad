"""Whatever a caller puts into a header, a query, a path or a body, it is no fault of ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import Request
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limner.errors import Refused
from limner.files.disk import DiskStore
from limner.files.store import Description, StoredFile, reserve
from limner.server.downloads import file_response
from tests.endpoints.test_any_json import JSON
from tests.rig.process import Server

METRONOME = "/queue.fal.run/limner/metronome"
FEW = settings(max_examples=25, deadline=None, derandomize=True)
MANY = settings(max_examples=300, deadline=None, derandomize=True)

#: What HTTP lets through: Latin-1 without control characters.
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")).map(
    str.strip
)
NUMBERISH = st.sampled_from(
    ["1e400", "-0", "nan", "inf", "0x10", "1_000", "٣", "9" * 5000, "1e-400"]
)


@pytest.fixture(scope="module")
def line(server: Server) -> Any:
    """One connection for all calls of this file."""
    with httpx2.Client(base_url=server.base, timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    "header",
    [
        "x-fal-request-timeout",
        "x-fal-queue-priority",
        "x-fal-object-lifecycle-preference",
        "x-fal-object-lifecycle",
        "x-fal-store-io",
        "x-fal-no-retry",
        "x-fal-runner-hint",
        "idempotency-key",
        "authorization",
        "content-type",
        "x-forwarded-host",
        "x-forwarded-proto",
    ],
)
@FEW
@given(value=HEADER | NUMBERISH.filter(str.isascii))
def test_any_header(line: httpx2.Client, header: str, value: str) -> None:
    answer = line.post(
        METRONOME, content='{"steps": 0}', headers=[(header.encode(), value.encode("latin-1"))]
    )
    assert answer.status_code in (200, 400, 401), (answer.status_code, answer.text)
    if answer.status_code == 400:
        assert answer.json()["error_type"] == "bad_request"


@pytest.mark.parametrize("key", ["fal_webhook", "fal_max_queue_length", "logs", "fal_jwt_token"])
@FEW
@given(value=st.text(max_size=60) | NUMBERISH)
@example(value="http://[")
@example(value="\udc80")
def test_any_query(line: httpx2.Client, key: str, value: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    answer = line.post(METRONOME, params={key: value}, json={"steps": 0})
    assert answer.status_code in (200, 400, 401, 429), (answer.status_code, answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/rest.fal.ai/tokens/",
        "/rest.fal.ai/tokens/realtime",
        "/rest.fal.ai/storage/upload/initiate",
        "/rest.fal.ai/storage/auth/token",
        "/fal.run/fal-ai/face-to-sticker",
    ],
)
@FEW
@given(body=JSON)
def test_any_json_anywhere(line: httpx2.Client, path: str, body: Any) -> None:
    answer = line.post(path, json=body) if finite(body) else line.post(path, content="1e999")
    assert answer.status_code < 500, answer.text


def finite(body: Any) -> bool:
    """Can Python's JSON say it?"""
    return "inf" not in repr(body)


@FEW
@given(segments=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4))
@example(segments=["fal-ai", "face-to-sticker", "requests", "\x00", "status"])
@example(segments=["@queue", "fal-ai", "face-to-sticker"])
def test_any_path(line: httpx2.Client, segments: list[str]) -> None:
    path = "/".join(quote(segment, safe="", errors="replace") for segment in segments)
    assert line.get(f"/{path}").status_code < 500


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[DiskStore, StoredFile]:
    store = DiskStore(tmp_path_factory.mktemp("files"))
    return store, store.save(reserve("a.txt"), [bytes(range(100))], Description("text/plain"))


RANGES = st.builds(
    "bytes={}-{}".format, st.integers(0, 200) | st.just(""), st.integers(0, 200) | st.just("")
)


@MANY
@given(wanted=RANGES | HEADER | HEADER.map("bytes={}".format) | NUMBERISH.map("bytes={}-".format))
@example(wanted="bytes=-0")
@example(wanted="bytes=99-")
@example(wanted="bytes=100-")
def test_any_range(kept: tuple[DiskStore, StoredFile], wanted: str) -> None:
    store, stored = kept
    headers = [(b"range", wanted.encode("utf-8"))]
    call = Request({"type": "http", "method": "GET", "headers": headers})
    try:
        answer = file_response(call, store, stored)
    except Refused as refused:
        assert refused.status == 416
        assert refused.headers["content-range"] == "bytes */100"
        return
    length = int(answer.headers["content-length"])
    if answer.status_code == 200:
        assert length == 100
        return
    assert answer.status_code == 206
    first, _, rest = answer.headers["content-range"].removeprefix("bytes ").partition("-")
    last, _, whole = rest.partition("/")
    assert 0 <= int(first) <= int(last) < int(whole) == 100
    assert length == int(last) - int(first) + 1
