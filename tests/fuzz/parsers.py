"""Every parser of what comes from outside, as a function of bytes that must not raise.

Each gives its bytes to the real thing and takes for granted only what that promises: a value, or a
fault of the tree in ``errors.py`` that is the caller's or the operator's. Anything else escapes
and is a finding.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
from fastapi import Request
from starlette.types import Message, Receive, Scope, Send

from limner.diffusion.base_models import check_folder, parse_base
from limner.diffusion.sniff import safetensors_shapes, sniff_unet_config
from limner.endpoints import ENDPOINTS
from limner.endpoints.accept import accept
from limner.errors import CallersFault, Misconfigured, NetworkUnfit
from limner.files.store import NAME, StoredFile, named_by, reserve
from limner.server.body import read_json
from limner.server.downloads import file_response
from limner.server.frames import read
from limner.server.hosts import Hosts, part_of
from limner.server.keys import Gate
from limner.server.lifetimes import LIFECYCLE_HEADERS, wanted_life
from limner.server.tickets import UploadAccess
from limner.server.visitors import is_near
from limner.settings_file import SettingsFile
from limner.stages.addresses import resolve
from limner.stages.archive import open_archive
from limner.stages.fetch import Door
from limner.stages.limits import ArchiveLimits
from limner.stages.picture import open_picture

Parser = Callable[[bytes], None]

#: So small that what is only large is soon refused.
ARCHIVE = ArchiveLimits(max_files=5, max_bytes=100_000, max_unpacked_bytes=100_000)
PIXELS = 250_000


def done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")


def call(body: bytes = b"", **headers: bytes) -> Request:
    """A POST as the server hands it on."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    named = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": named, "query_string": b""}
    return Request(scope, receive)


def header(given: bytes) -> bytes:
    """``given`` as h11 lets it through: one line, no control characters."""
    return bytes(byte for byte in given if byte >= 32 and byte != 127).strip()


def picture(given: bytes) -> None:
    """A picture of any format."""
    with suppress(CallersFault):
        assert open_picture(given, max_pixels=PIXELS).rgb.size <= 3 * PIXELS


def archive(given: bytes) -> None:
    """A zip of pictures."""
    with suppress(CallersFault):
        out = open_archive(given, ARCHIVE)
        assert sum(len(file.content) for file in out) <= ARCHIVE.max_unpacked_bytes


def data_uri(given: bytes) -> None:
    """What follows ``data:``."""
    door = Door(allow_private=False, max_bytes=1000, timeout=1, resolver=_inside)
    with suppress(CallersFault):
        assert len(door.read("data:" + given.decode("utf-8", "replace"))) <= 1000


def _inside(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def url(given: bytes) -> None:
    """An address of a picture, and where it redirects to (split at a space)."""
    address, _, location = given.decode("utf-8", "replace").partition(" ")
    named_by(address)
    with suppress(CallersFault):
        target = resolve(address, allow_private=True, resolver=_inside)
        with suppress(httpx2.InvalidURL, ValueError):
            resolve(str(target.url.join(location)), allow_private=True, resolver=_inside)
    with suppress(CallersFault):
        resolve(address, allow_private=False, resolver=_inside)
        raise AssertionError("it leads inside")


def json(given: bytes) -> None:
    """A JSON body, as input of each endpoint."""
    with suppress(CallersFault):
        body = done(read_json(call(given), 10_000))
        for endpoint in ENDPOINTS:
            with suppress(CallersFault):
                accept(endpoint.input, body)


def packed_frame(given: bytes) -> None:
    """A binary message of a websocket: msgpack."""
    with suppress(CallersFault):
        read(given)


def text_frame(given: bytes) -> None:
    """A text message of a websocket: JSON."""
    with suppress(CallersFault):
        read(given.decode("utf-8", "ignore"))


class _Files:
    """A store with one file of a hundred bytes."""

    def stream(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        assert name == "a" * 21
        assert stop is not None
        assert 0 <= start < stop <= 100
        return iter((bytes(stop - start),))


def range_header(given: bytes) -> None:
    """A Range."""
    stored = StoredFile("a" * 21, "text/plain", 100, "0" * 64, 0.0, None)
    with suppress(CallersFault):
        file_response(call(range=header(given)), _Files(), stored)  # pyright: ignore[reportArgumentType]


def lifecycle_header(given: bytes) -> None:
    """How long a file shall live, as JSON in a header."""
    with suppress(CallersFault):
        wanted_life(call(x_fal_object_lifecycle=header(given)).headers, LIFECYCLE_HEADERS)


def token(given: bytes) -> None:
    """A token: of an upload, of its URL, of a browser. None of them is ours."""
    text = given.decode("latin-1")
    access, gate = UploadAccess(bytes(32)), Gate(None, bytes(32), open_without_keys=False)  # pyright: ignore
    by_token: Callable[[str], Coroutine[Any, Any, Any]] = getattr(gate, "_by_token")  # noqa: B009
    for check in (access.ticket, access.check_token, lambda said: done(by_token(said))):
        with suppress(CallersFault):
            check(f"Bearer {text}" if check == access.check_token else text)
            raise AssertionError("forged")


def road(given: bytes) -> None:
    """Host, path, origin and the proxy's target, one a line."""
    host, path, origin, target = [*given.split(b"\n"), b"", b"", b""][:4]
    text = path.decode("utf-8", "replace")
    for way in ("/" + text, "/api/fal/proxy"):
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": way,
            "query_string": b"",
            "headers": [
                (b"host", header(host)),
                (b"origin", header(origin)),
                (b"x-fal-target-url", header(target)),
            ],
        }
        done(Hosts(_arrived)(scope, _nothing, _taken))
        is_near(Request(scope).headers, "limner.example.com")
    part_of(given.decode("latin-1"))  # as CONNECT names it


async def _arrived(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["path"].startswith("/")


async def _nothing() -> Message:
    raise AssertionError("nobody reads the body")


def _taken(message: Message) -> Awaitable[None]:
    return asyncio.sleep(0) if message is None else _ready()


async def _ready() -> None:
    return None


def file_name(given: bytes) -> None:
    """How a caller's file is called."""
    assert NAME.fullmatch(reserve(given.decode("utf-8", "replace")))


def base_name(given: bytes) -> None:
    """The model that a caller wants under the adapter."""
    with suppress(CallersFault):
        ref = parse_base(given.decode("utf-8", "replace"))
        assert ".." not in ref.repo.split("/") + ref.file.split("/")


def _kept(given: bytes, name: str, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / name
        place.write_bytes(given)
        with suppress(NetworkUnfit, Misconfigured):
            read(place)


def safetensors(given: bytes) -> None:
    """The header of a file of weights; its length is written before it."""
    _kept(len(given).to_bytes(8, "little") + given, "a.safetensors", safetensors_shapes)


def model_index(given: bytes) -> None:
    """What a model repository says it is made of."""
    _kept(given, "model_index.json", lambda place: check_folder(place.parent))


def unet_config(given: bytes) -> None:
    """What it says of its UNet."""
    _kept(given, "config.json", sniff_unet_config)


def settings_file(given: bytes) -> None:
    """``limner.toml``."""
    _kept(given, "limner.toml", lambda place: SettingsFile(place).read())


PARSERS: dict[str, Parser] = {
    parser.__name__: parser
    for parser in (
        picture, archive, data_uri, url, json, packed_frame, text_frame, range_header,
        lifecycle_header, token, road, file_name, base_name, safetensors, model_index, unet_config,
        settings_file,
    )
}  # fmt: skip
