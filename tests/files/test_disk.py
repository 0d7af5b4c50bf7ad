"""What only a disk can show: what lies on it, for whom, and for how long."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.files.disk import PARTS_LIFE, DiskStore
from limner.files.room import DiskRoom
from limner.files.store import Description, reserve
from limner.files.tally import COUNTED_FOR, Tally
from tests.files.conftest import START, Clock

FACE = b"the bytes of a face"
SAID = Description("image/png", START + 60)


def lies_in(root: Path) -> list[Path]:
    """Every file below ``root`` that holds the face."""
    return [path for path in root.rglob("*") if path.is_file() and FACE in path.read_bytes()]


@pytest.fixture
def disk(tmp_path: Path, clock: Clock) -> DiskStore:
    return DiskStore(tmp_path / "files", clock)


def test_deleting_takes_the_bytes_off_the_disk(disk: DiskStore, tmp_path: Path) -> None:
    name = reserve("face.png")
    disk.save(name, [FACE], SAID)
    assert len(lies_in(tmp_path)) == 1
    disk.delete(name)
    assert lies_in(tmp_path) == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_expiry_takes_the_bytes_off_the_disk(disk: DiskStore, tmp_path: Path, clock: Clock) -> None:
    disk.save(reserve(), [FACE], SAID)
    disk.expire(START + 60)
    assert lies_in(tmp_path) == []


def test_joined_parts_lie_on_the_disk_once(disk: DiskStore, tmp_path: Path) -> None:
    name = reserve()
    disk.save_part(name, 1, [FACE])
    disk.join_parts(name, [1], SAID)
    assert len(lies_in(tmp_path)) == 1


def test_an_upload_that_breaks_off_leaves_no_bytes(disk: DiskStore, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield FACE
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        disk.save(reserve(), broken(), SAID)
    with pytest.raises(ConnectionError):
        disk.save_part(reserve(), 1, broken())
    assert lies_in(tmp_path) == []


def test_what_a_crash_left_half_done_goes_after_a_day(disk: DiskStore, tmp_path: Path) -> None:
    name = reserve()
    disk.save_part(name, 1, [FACE])
    scratch = tmp_path / "files" / ".unfinished" / "left-by-a-crash"
    scratch.mkdir()
    (scratch / "content").write_bytes(FACE)
    old = START - PARTS_LIFE - 1
    for folder in (scratch, tmp_path / "files" / ".parts" / name):
        os.utime(folder, (START, START))
    disk.expire(START)
    assert len(lies_in(tmp_path)) == 2
    for folder in (scratch, tmp_path / "files" / ".parts" / name):
        os.utime(folder, (old, old))
    disk.expire(START)
    assert lies_in(tmp_path) == []


def test_only_this_user_may_look_inside(disk: DiskStore, tmp_path: Path) -> None:
    name = reserve()
    disk.save(name, [FACE], SAID)
    disk.save_part(reserve(), 1, [FACE])
    folders = [path for path in (tmp_path / "files").rglob("*") if path.is_dir()]
    assert [path for path in [tmp_path / "files", *folders] if path.stat().st_mode & 0o077] == []


def test_a_second_process_finds_what_the_first_saved(disk: DiskStore, tmp_path: Path) -> None:
    name = reserve()
    stored = disk.save(name, [FACE], SAID)
    assert DiskStore(tmp_path / "files", Clock()).find(name) == stored


def test_a_file_that_is_deleted_while_it_is_read_is_read_to_its_end(disk: DiskStore) -> None:
    name = reserve()
    disk.save(name, [FACE * 50_000], SAID)
    reading = disk.stream(name)
    first = next(reading)
    disk.delete(name)
    assert first + b"".join(reading) == FACE * 50_000


def test_a_full_disk_leaves_nothing_behind(
    disk: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for a full disk: nobody fills the one the tests run on.
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    name = reserve()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        disk.save(name, [FACE], SAID)
    monkeypatch.undo()
    assert disk.find(name) is None
    assert lies_in(tmp_path) == []


@pytest.mark.parametrize("about", ["", "{", "[]", '{"name": 1}', "\xff\xfe"])
def test_a_description_that_cannot_be_read_hides_its_file_and_stops_no_sweep(
    disk: DiskStore, tmp_path: Path, about: str
) -> None:
    broken, name = reserve("a.png"), reserve("b.png")
    for each in (broken, name):
        disk.save(each, [FACE], SAID)
    (place,) = tmp_path.rglob(broken)
    (place / "about.json").write_bytes(about.encode("latin-1"))
    os.utime(place, (START, START))
    assert disk.find(broken) is None
    assert [file.name for file in disk.listing()] == [name]
    assert disk.expire(START + 60) == 1
    assert len(lies_in(tmp_path)) == 1
    # Nobody knows when its time comes, and nobody can ask for it.
    now = START + PARTS_LIFE + 1
    assert [due.name for due in disk.overdue(now)] == [broken]
    assert disk.expire(now) == 1
    assert lies_in(tmp_path) == []


def test_what_is_kept_is_counted_once_a_minute_and_room_is_looked_at_each_time(
    tmp_path: Path,
) -> None:
    now = 0.0
    store = DiskStore(tmp_path / "files")
    room = DiskRoom(tmp_path, Tally(store, lambda: now))
    store.save(reserve("a.png"), [b"12345"], Description("image/png"))
    assert (room().files, room().kept) == (1, 5)
    store.save(reserve("b.png"), [b"123"], Description("image/png"))
    now = COUNTED_FOR - 1
    assert (room().files, room().kept) == (1, 5)
    now = COUNTED_FOR
    assert (room().files, room().kept) == (2, 8)
    assert room().total == shutil.disk_usage(tmp_path).total
