"""One key's uploads end at its quota, however they come; another's go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from limner.errors import Refused
from limner.files.disk import PARTS_LIFE, DiskStore
from limner.files.room import DiskRoom
from limner.files.store import Description, StoredFile, reserve
from limner.files.tally import COUNTED_FOR, Tally
from limner.server.quota import UploadQuota
from tests.rig.process import Server
from tests.server.conftest import new_key

REST, MEDIA = "/rest.fal.ai/storage", "/v3.fal.media"
Key = dict[str, str]


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that keeps a thousand bytes for each key."""
    env = {"LIMNER_UPLOAD_QUOTA": "1000", "LIMNER_WORKERS": "0"}
    running = Server(tmp_path_factory.mktemp("tight"), env=env)
    yield running
    running.stop()


def key(server: Server) -> Key:
    return new_key(server.home, "api")


def place(server: Server, key: Key, kind: str = "initiate") -> str:
    made = server.post(f"{REST}/upload/{kind}", json={"file_name": "a.png"}, headers=key)
    return made.json()["upload_url"].removeprefix(server.base)


def put(server: Server, key: Key, size: int) -> httpx2.Response:
    return server.call("PUT", place(server, key), content=bytes(size))


def test_a_key_has_its_quota_to_the_byte_and_others_have_theirs(tight: Server) -> None:
    mine, other = key(tight), key(tight)
    assert put(tight, mine, 600).status_code == 200
    refused = put(tight, mine, 401)
    assert refused.status_code == 413
    assert "Delete some (DELETE /limner/v1/files/{name})" in refused.json()["detail"]
    assert put(tight, other, 1000).status_code == 200
    assert put(tight, other, 0).status_code == 413
    # What was refused does not count.
    assert put(tight, mine, 400).status_code == 200
    assert tight.get("/limner/v1/files", headers=mine).json()["bytes"] == 1000


def test_the_other_dialect_and_parts_end_there_too(tight: Server) -> None:
    mine = key(tight)
    token = tight.post(f"{REST}/auth/token", headers=mine).json()["token"]
    said = {"authorization": f"Bearer {token}"}
    whole = tight.post(f"{MEDIA}/files/upload", content=bytes(300), headers=said)
    assert whole.status_code == 200
    upload = place(tight, mine, "initiate-multipart")
    statuses = [
        tight.call("PUT", f"{upload}/{number}", content=bytes(300)).status_code
        for number in (1, 2, 2, 3)  # a part that is sent again counts once
    ]
    assert statuses == [200, 200, 200, 413]
    assert put(tight, mine, 200).status_code == 413
    assert put(tight, mine, 100).status_code == 200
    parts = {"parts": [{"partNumber": 1}, {"partNumber": 2}]}
    assert tight.post(f"{upload}/complete", json=parts).status_code == 200


def test_no_part_hides_behind_another_of_its_number(tight: Server) -> None:
    """What a body has brought counts also when a second one of the same part comes meanwhile."""
    mine = key(tight)
    upload = place(tight, mine, "initiate-multipart")
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield bytes(700)
        begun.set()
        assert go_on.wait(30)
        yield bytes(100)

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(lambda: tight.call("PUT", f"{upload}/1", content=slowly()))
        assert begun.wait(30)
        assert tight.call("PUT", f"{upload}/1", content=bytes(1)).status_code == 200
        go_on.set()
        assert slow.result().status_code == 200  # and is the part now: 800 bytes
    assert tight.call("PUT", f"{upload}/2", content=bytes(201)).status_code == 413
    assert tight.call("PUT", f"{upload}/2", content=bytes(200)).status_code == 200
    assert (
        tight.call("PUT", f"{upload}/2", content=bytes(200)).status_code == 200
    )  # again, when full


def spent(quota: UploadQuota, owner: str, most: int = 1000) -> int:
    """Bytes that are counted for ``owner``: as many as are missing to the most."""
    for size in range(1, most + 1):
        try:
            quota.add(owner, size)
        except Refused:
            return most - size + 1
        quota.give_back(owner, size)
    return 0


def part(quota: UploadQuota, name: str, number: int, size: int) -> int:
    """A part of mine comes whole; the bytes of its file while it came."""
    arrival = quota.begin_part(name, "me", number)
    whole = quota.grow_part(arrival, size)
    quota.end_part(arrival, kept=True)
    return whole


@dataclass
class House:
    """A quota of a thousand bytes on a disk, and its clock."""

    folder: Path
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.files = DiskStore(self.folder)
        self.tally = Tally(self.files, lambda: self.now)
        self.quota = UploadQuota(self.tally, 1000, lambda: self.now)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_what_was_deleted_or_never_joined_is_free_again(house: House) -> None:
    quota, name = house.quota, reserve("a.png")
    house.files.save(name, [bytes(400)], Description("image/png", owner="me"))
    quota.look("me")
    assert spent(quota, "me") == 400
    assert part(quota, "upload", 1, 100) == 100
    assert spent(quota, "me") == 500
    house.files.delete(name)
    house.now += COUNTED_FOR
    quota.look("me")
    assert spent(quota, "me") == 100  # the part, which no listing shows
    house.now += PARTS_LIFE + 1
    quota.look("me")
    assert spent(quota, "me") == 0


def test_parts_count_until_they_are_dropped_or_joined(house: House) -> None:
    quota = house.quota
    quota.look("me")
    assert part(quota, "upload", 1, 100) == 100
    broken = quota.begin_part("upload", "me", 2)
    assert (quota.grow_part(broken, 250), spent(quota, "me")) == (350, 350)
    quota.end_part(broken, kept=False)
    assert spent(quota, "me") == 100
    assert part(quota, "upload", 1, 40) == 100  # while it came, the first was there too
    assert spent(quota, "me") == 40
    late = quota.begin_part("upload", "me", 3)
    quota.grow_part(late, 10)
    quota.joined("upload", 50)
    assert spent(quota, "me") == 50  # as a file
    assert quota.grow_part(late, 20) == 30  # it came after the joining, and is there
    quota.end_part(late, kept=False)
    assert spent(quota, "me") == 50
    assert not quota.knows_part("upload", 3)
    quota.joined("upload", 50)
    assert spent(quota, "me") == 50  # known no more, and not counted twice
    part(quota, "thrown away", 1, 70)
    quota.joined("thrown away", 0)
    assert spent(quota, "me") == 50
    house.now += COUNTED_FOR
    quota.look("me")
    assert spent(quota, "me") == 0  # no listing shows the file, and no part is left


def test_what_is_on_its_way_counts_however_long_it_takes(house: House) -> None:
    quota = house.quota
    quota.look("me")
    quota.add("me", 800)
    house.now += COUNTED_FOR  # counted anew, when no listing shows it
    quota.look("me")
    assert spent(quota, "me") == 800
    quota.saved("me", 800)
    assert spent(quota, "me") == 800
    quota.add("me", 200)
    house.now += COUNTED_FOR
    quota.look("me")
    quota.give_back("me", 200)  # broken off: nothing of it ever counted as kept
    assert spent(quota, "me") == 0


def test_one_count_serves_the_quota_and_the_metrics(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = 0
    listing = house.files.listing

    def counted() -> Iterator[StoredFile]:
        nonlocal counts
        counts += 1
        return listing()

    monkeypatch.setattr(house.files, "listing", counted)
    room = DiskRoom(house.folder, house.tally)
    house.quota.look("me")
    house.quota.add("me", 7)
    house.quota.saved("me", 7)
    assert (room().files, room().kept) == (1, 7)
    assert counts == 1
    house.now += COUNTED_FOR
    assert (room().files, room().kept) == (0, 0)
    house.quota.look("me")
    assert counts == 2


def test_nobody_waits_while_files_are_counted_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are counted on the event loop, which may wait for no disk."""
    house.quota.look("me")
    house.now += COUNTED_FOR
    began, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[StoredFile]:
        began.set()
        assert go_on.wait(30)
        return iter(())

    monkeypatch.setattr(house.files, "listing", slow)
    with ThreadPoolExecutor(2) as threads:
        looking = threads.submit(house.quota.look, "me")
        try:
            assert began.wait(30)
            threads.submit(house.quota.add, "me", 5).result(10)
            threads.submit(house.quota.look, "me").result(10)
            assert not looking.done()
        finally:
            go_on.set()


def test_without_a_quota_nothing_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskStore(tmp_path)
    monkeypatch.setattr(files, "listing", lambda: pytest.fail("counted"))
    quota = UploadQuota(Tally(files), 0)
    quota.look("me")
    quota.add("me", 10**15)
    quota.give_back("me", 10**14)
    quota.saved("me", 10**14)
    assert not quota._pending  # pyright: ignore[reportPrivateUsage]
