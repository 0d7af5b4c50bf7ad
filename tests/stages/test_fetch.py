"""The one door for callers' URLs: what it asks, where it may be led, what it sends."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.errors import FileDownloadError
from limner.files.disk import DiskStore
from limner.files.store import Description, reserve
from limner.stages import addresses
from limner.stages.fetch import MOST_REDIRECTS
from limner.worker.pictures import own_file_reader
from tests.stages.hostile import Hostile, response
from tests.stages.small_door import PICTURE, SECRET, door, refusal

# What is asked


def test_a_picture_is_read_as_it_is(host: Hostile) -> None:
    assert door().read(host.says("/face.png?size=1", response(PICTURE))) == PICTURE
    (head,) = host.asked
    words = head.decode().lower()
    assert words.startswith("get /face.png?size=1 http/1.1\r\n")
    assert f"host: 127.0.0.1:{host.port}\r\n" in words
    assert "accept-encoding: identity\r\n" in words
    # Nothing of the caller goes along.
    assert not any(word in words for word in ("authorization", "cookie", "referer"))


def test_proxies_of_the_environment_are_not_used(
    host: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert door().read(host.says("/face.png", response(PICTURE))) == PICTURE


# Where it leads


def test_the_connection_goes_to_the_address_that_was_checked(host: Hostile) -> None:
    """DNS rebinding: the name means something else at every look, so there is one look."""
    host.says("/face.png", response(PICTURE))
    answers = iter([["127.0.0.1"], ["192.0.2.66"]])
    read = door(resolver=lambda *_: next(answers)).read
    assert read(f"http://rebinding.example:{host.port}/face.png") == PICTURE
    assert next(answers) == ["192.0.2.66"]  # nobody looked a second time
    assert f"host: rebinding.example:{host.port}" in host.asked[0].decode().lower()


def test_an_address_that_is_dead_does_not_hide_one_that_lives(host: Hostile) -> None:
    host.says("/face.png", response(PICTURE))
    read = door(resolver=lambda *_: ["127.0.0.99", "127.0.0.1"]).read
    assert read(f"http://two.example:{host.port}/face.png") == PICTURE


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    """A stand-in for the open internet: 127.0.0.2 is taken for public, all else is as it is."""
    real = addresses.is_public
    internet = ipaddress.ip_address("127.0.0.2")
    monkeypatch.setattr(addresses, "is_public", lambda a: a == internet or real(a))
    listening = Hostile("127.0.0.2")
    yield listening
    listening.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_public_host_cannot_redirect_inside(host: Hostile, outside: Hostile, status: int) -> None:
    inside = host.says(SECRET, response(b"what only this machine may see"))
    trap = outside.says("/face.png", response(b"", status, Location=inside))
    assert "not on the public internet" in refusal(trap, allow_private=False)
    assert host.asked == []


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://127.0.0.1:{port}/x",
        "//127.0.0.1:{port}/x",
        "http://[::ffff:127.0.0.1]:{port}/x",
        "http://2130706433:{port}/x",
        "http://me:secret@127.0.0.2/x",
        "http://[::1",
        "http://127.0.0.2:0/",
        "",
    ],
)
def test_a_redirect_is_checked_like_the_first_url(
    host: Hostile, outside: Hostile, location: str
) -> None:
    said = {"Location": location.format(port=host.port)}
    refusal(outside.says("/a", response(b"", 302, **said)), allow_private=False)
    assert host.asked == []


def test_a_redirect_without_an_address_leads_nowhere(host: Hostile) -> None:
    assert "redirects to nowhere" in refusal(host.says("/a", response(b"", 302)))


def test_a_relative_redirect_is_followed(host: Hostile) -> None:
    host.says("/there/face.png", response(PICTURE))
    url = host.says("/here/face.png", response(b"", 302, Location="../there/face.png"))
    assert door().read(url) == PICTURE


def test_redirects_come_to_an_end(host: Hostile) -> None:
    loop = host.says("/loop", response(b"", 302, Location="/loop"))
    assert "redirected more than" in refusal(loop)
    assert len(host.asked) == MOST_REDIRECTS + 1


# Our own files


@pytest.mark.parametrize("road", ["http://limner.test:8000/v3.fal.media", "https://v3.fal.media"])
def test_a_file_of_this_server_is_read_from_the_store_by_whatever_road(
    tmp_path: Path, road: str
) -> None:
    files, name = DiskStore(tmp_path), reserve("face.png")
    files.save(name, [PICTURE], Description("image/png"))
    closed = door(allow_private=False, own_file=own_file_reader(files), resolver=lambda *_: [])
    assert closed.read(f"{road}/files/{name}") == PICTURE
    assert closed.read(f"{road}/files/{name}?download=1") == PICTURE
    # What the store does not have is a URL like any other.
    with pytest.raises(FileDownloadError, match="cannot be found"):
        closed.read(f"{road}/files/{reserve('face.png')}")


def test_what_is_no_url_is_told_by_the_door_and_not_by_a_crash(tmp_path: Path) -> None:
    own = own_file_reader(DiskStore(tmp_path))
    assert "cannot be read" in refusal("http://[::1/files/x", own_file=own)


# Out: webhooks


def test_a_post_answers_the_receivers_status_and_follows_nothing(host: Hostile) -> None:
    host.says("/elsewhere", response(b""))
    url = host.says("/hook", response(b"", 302, Location="/elsewhere"))
    assert door().post(url, b'{"a":1}', {"x-a": "b"}, 5) == 302
    (head,) = host.asked
    assert b"POST /hook HTTP/1.1" in head
    assert b"x-a: b" in head


def test_a_post_goes_nowhere_private(host: Hostile) -> None:
    with pytest.raises(FileDownloadError, match="public internet"):
        door(allow_private=False).post(host.says("/hook", response(b"")), b"", {}, 5)
    assert host.asked == []


def test_a_receiver_that_reads_slowly_meets_the_deadline(host: Hostile) -> None:
    size, taken = 30_000_000, 0

    def slow(line: socket.socket, _: bytes) -> None:
        nonlocal taken
        while not host.stopped and (got := line.recv(200_000)):
            taken += len(got)
            time.sleep(0.02)

    url = host.does("/hook", slow)
    with pytest.raises(FileDownloadError, match="took longer"):
        door().post(url, b"x" * size, {}, 0.5)
    host.close()
    # It was given up in the middle, not when all was sent after all.
    assert taken < size // 2
