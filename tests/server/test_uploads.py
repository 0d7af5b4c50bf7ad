"""Uploads that take their time, and parts that several servers took."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from limner.errors import Refused
from limner.files.disk import DiskStore
from limner.files.store import reserve
from limner.files.tally import COUNTED_FOR, Tally
from limner.server.quota import UploadQuota
from limner.server.tickets import Ticket
from limner.server.uploads import Uploads
from tests.rig.process import Server, eventually
from tests.server.conftest import new_key
from tests.server.storage_calls import FACE, initiate

#: More than the threads on which everybody else's files are read (anyio has 40).
SLOW = 45


def test_slow_uploads_hold_up_neither_readers_nor_other_uploads(server: Server) -> None:
    upload, file = initiate(server)
    server.call("PUT", upload, content=FACE).raise_for_status()
    with ExitStack() as lines:
        for _ in range(SLOW):
            path = initiate(server)[0]
            line = lines.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            line.sendall(
                f"PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nabc".encode()
            )
        assert server.get(file, timeout=30).content == FACE
        other, there = initiate(server)
        assert server.call("PUT", other, content=FACE, timeout=30).status_code == 200
        assert server.get(there).content == FACE


def test_a_server_stops_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    running = Server(tmp_path, env={"LIMNER_WORKERS": "0"})
    path = initiate(running)[0]
    with socket.create_connection(("127.0.0.1", running.port)) as line:
        line.sendall(
            f"PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nabc".encode()
        )
        unfinished = tmp_path / "files" / ".unfinished"
        eventually(lambda: list(unfinished.iterdir()))
        running.stop()
    assert "call_failed" not in running.log.read_text()


def test_what_a_revoked_key_got_takes_no_file(guarded: Server, admin: dict[str, str]) -> None:
    key = new_key(guarded.home, "api")

    def place(kind: str) -> str:
        asked = f"/rest.fal.ai/storage/upload/{kind}?storage_type=fal-cdn-v3"
        return guarded.post(asked, json={}, headers=key).json()["upload_url"][len(guarded.base) :]

    told = guarded.post("/rest.fal.ai/storage/auth/token", json={}, headers=key).json()
    bearer = {"authorization": f"Bearer {told['token']}"}
    media = told["base_url"][len(guarded.base) :]
    begun = guarded.post(f"{media}/files/upload/multipart", headers=bearer).json()
    part = f"{begun['access_url'][len(guarded.base) :]}/multipart/{begun['uploadId']}"
    javascripts, parts = place("initiate"), {"parts": [{"partNumber": 1}]}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", javascripts, {"content": FACE}),
        ("PUT", f"{place('initiate-multipart')}/1", {"content": FACE}),
        ("PUT", f"{part}/1", {"content": FACE}),
        ("POST", f"{part}/complete", {"json": parts}),
        ("POST", f"{media}/files/upload", {"content": FACE, "headers": bearer}),
        ("POST", f"{media}/files/upload/multipart", {"headers": bearer}),
    ]
    for revoked in (False, True):
        if revoked:
            mine = key["authorization"].removeprefix("Key ").partition(":")[0]
            path = f"/limner/v1/keys/{mine}"
            guarded.call("DELETE", path, headers=admin).raise_for_status()
        for method, path, said in calls:
            status = guarded.call(method, path, **said).status_code
            assert status == (401 if revoked else 200), (method, path)


def body(*chunks: bytes, ends: bool = True, declared: str | None = None) -> Request:
    """A call with a body; one that does not end says nothing more. ``declared``: its length."""
    events: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]

    async def receive() -> dict[str, Any]:
        if events:
            return events.pop(0)
        if not ends:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [] if declared is None else [(b"content-length", declared.encode("latin-1"))]
    return Request({"type": "http", "method": "PUT", "headers": headers}, receive)


def uploads(folder: Path, tally: Tally | None = None, **options: Any) -> Uploads:
    files = DiskStore(folder)
    return Uploads(files, UploadQuota(tally or Tally(files), 1000), 1000, **options)


def ticket() -> Ticket:
    return Ticket(reserve(), "image/png", 2**40, "me")


def test_an_upload_of_which_nothing_more_comes_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        impatient = uploads(tmp_path, patience=0.05)
        for _ in range(3):  # what came of it does not count
            with pytest.raises(Refused, match="Nothing came") as whole:
                await impatient.save(body(bytes(600), ends=False), ticket())
            with pytest.raises(Refused, match="Nothing came") as part:
                await impatient.save_part(body(bytes(600), ends=False), ticket(), "1")
            assert (whole.value.status, part.value.status) == (408, 408)
        await impatient.save(body(bytes(600)), ticket())

    asyncio.run(scenario())
    assert not list((tmp_path / ".unfinished").iterdir())


def test_a_ticket_that_is_used_again_makes_no_room(tmp_path: Path) -> None:
    now = 0.0
    tally = Tally(DiskStore(tmp_path), lambda: now)

    async def scenario() -> None:
        nonlocal now
        mine, again = uploads(tmp_path, tally), ticket()
        for size in (600, 1, 1):  # only the first is kept
            await mine.save(body(bytes(size)), again)
        now += COUNTED_FOR
        with pytest.raises(Refused, match="may have 1000"):
            await mine.save(body(bytes(401)), ticket())
        await mine.save(body(bytes(400)), ticket())

    asyncio.run(scenario())


def test_parts_that_several_servers_took_are_one_file_within_the_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, other = uploads(tmp_path), uploads(tmp_path)
        large = ticket()
        await one.save_part(body(bytes(600)), large, "1")
        await other.save_part(body(bytes(600)), large, "2")
        with pytest.raises(Refused, match="larger than 1000") as refused:
            await one.join(large, [1, 2])
        assert refused.value.status == 413
        # Nothing of it is kept.
        assert DiskStore(tmp_path).find(large.name) is None
        await one.save(body(bytes(1000)), ticket())

    asyncio.run(scenario())


def test_what_is_said_to_be_too_large_is_not_waited_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        mine = uploads(tmp_path)
        with pytest.raises(Refused, match="larger than 1000") as refused:
            await mine.save(body(ends=False, declared="1001"), ticket())
        assert refused.value.status == 413
        # What is no length says nothing.
        for declared in ("1000", "\xb2", "", "-1", "9" * 5000):
            name = ticket()
            stored = await mine.save(body(b"0123456789", declared=declared), name)
            assert (stored.name, stored.size) == (name.name, 10)

    asyncio.run(scenario())


def test_where_there_is_no_room_at_all_nothing_is_begun(tmp_path: Path) -> None:
    async def scenario() -> None:
        mine, first = uploads(tmp_path), ticket()
        await mine.save(body(bytes(1000)), first)
        for began in (
            mine.save(body(ends=False), ticket()), mine.save_part(body(ends=False), ticket(), "1")
        ):  # fmt: skip
            with pytest.raises(Refused, match="may have 1000") as refused:
                await began
            assert refused.value.status == 413

    asyncio.run(scenario())


def test_parts_are_numbered_from_1_to_10000_and_are_joined_by_no_other_number(
    tmp_path: Path,
) -> None:
    now = 0.0
    tally = Tally(DiskStore(tmp_path), lambda: now)

    async def scenario() -> None:
        nonlocal now
        mine, whole = uploads(tmp_path, tally), ticket()
        for number in ("0", "10001", "-1", "1.0", "\u0661", "", "9" * 400):
            with pytest.raises(Refused) as refused:
                await mine.save_part(body(bytes(600)), whole, number)
            assert refused.value.status == 400
        etags = [await mine.save_part(body(b"x" * 9), whole, n) for n in ("1", "10000")]
        assert etags == [sha256(b"x" * 9).hexdigest()] * 2
        for numbers in ([1, 0], [1, 10_001], [1, 10**400], [1, -1], [1, 2]):
            with pytest.raises(Refused, match="A part is missing") as refused:
                await mine.join(whole, numbers)
            assert refused.value.status == 400
        assert (await mine.join(whole, [1, 10_000])).size == 18
        # The refused ones' bytes were given back; parts that were joined are the file's.
        await mine.save(body(bytes(982)), ticket())
        for file in list(DiskStore(tmp_path).listing()):
            DiskStore(tmp_path).delete(file.name)
        now += COUNTED_FOR
        await mine.save(body(bytes(1000)), ticket())

    asyncio.run(scenario())
