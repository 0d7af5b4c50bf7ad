"""What every file store promises (limner/files/store.py), whatever it keeps its bytes in."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator

import pytest

from limner.files.disk import PARTS_LIFE
from limner.files.store import MOST_PARTS, NAME, Description, FileStore, Overdue, read, reserve
from tests.files.conftest import START, Clock

PNG = Description("image/png", START + 60)
FOREVER = Description("image/png")
DAY = 86_400

#: What may never be a name: the short, the climbing, the hidden, the absolute, the cut short.
HOSTILE = [
    "",
    ".",
    "..",
    "short.png",
    "../" * 8 + "etc/passwd",
    "A" * 21 + "/../../../etc/passwd",
    "A" * 21 + "\\..\\x",
    "/" + "A" * 30,
    "." + "A" * 30,
    "A" * 21 + "\x00.png",
    "A" * 21 + ".png\n",
    "A" * 200,
    "Ä" * 30,
    ".unfinished",
    ".parts",
]


def test_what_was_saved_is_found_and_read_as_it_was_said(store: FileStore) -> None:
    name = reserve("face.png")
    stored = store.save(name, [b"12", b"", b"345"], PNG)
    assert stored == store.find(name)
    assert (stored.name, stored.content_type, stored.size) == (name, "image/png", 5)
    assert stored.sha256 == hashlib.sha256(b"12345").hexdigest()
    assert (stored.created_at, stored.expires_at) == (START, START + 60)
    assert read(store, name) == b"12345"


def test_the_listing_has_every_file_that_is_found_with_whose_it_is(
    store: FileStore, clock: Clock
) -> None:
    assert list(store.listing()) == []
    hers = store.save(reserve(), [b"1"], Description("image/png", START + 60, owner="her-key"))
    nobodys = store.save(reserve(), [b"22"], FOREVER)
    gone = store.save(reserve(), [b"333"], FOREVER)
    store.delete(gone.name)
    store.save_part(reserve(), 1, [b"not a file yet"])
    assert (hers.owner, nobodys.owner) == ("her-key", "")
    assert {file.name: file for file in store.listing()} == {
        hers.name: hers,
        nobodys.name: nobodys,
    }
    clock.now = START + 61
    assert list(store.listing()) == [nobodys]


def test_an_empty_file_is_a_file(store: FileStore) -> None:
    name = reserve()
    assert store.save(name, [], FOREVER).size == 0
    assert read(store, name) == b""


@pytest.mark.parametrize(
    ("start", "stop"), [(0, None), (0, 3), (3, 7), (9, 10), (9, None), (4, 99), (10, None), (5, 5)]
)
def test_a_slice_is_that_slice(store: FileStore, start: int, stop: int | None) -> None:
    name = reserve()
    store.save(name, [b"0123456789"], FOREVER)
    assert b"".join(store.stream(name, start, stop)) == b"0123456789"[start:stop]


def test_a_large_file_comes_in_pieces(store: FileStore) -> None:
    name, content = reserve(), bytes(range(256)) * 8192
    store.save(name, [content], FOREVER)
    pieces = list(store.stream(name))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1 << 20


def test_a_reader_sees_nothing_before_the_last_byte(store: FileStore) -> None:
    name = reserve()

    def content() -> Iterator[bytes]:
        yield b"begun"
        assert store.find(name) is None
        assert read(store, name) is None
        yield b" and done"

    store.save(name, content(), FOREVER)
    assert read(store, name) == b"begun and done"


def test_content_that_breaks_off_leaves_nothing(store: FileStore) -> None:
    name = reserve()

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        store.save(name, broken(), FOREVER)
    assert store.find(name) is None
    store.save(name, [b"whole"], FOREVER)
    assert read(store, name) == b"whole"


def test_a_name_keeps_its_first_content(store: FileStore) -> None:
    name = reserve()
    first = store.save(name, [b"first"], PNG)
    assert store.save(name, [b"second"], FOREVER) == first
    assert read(store, name) == b"first"


def test_of_many_who_save_at_once_one_wins_whole(store: FileStore) -> None:
    name, said = reserve(), {}
    ready = threading.Barrier(8)

    def save(number: int) -> None:
        content = bytes([number]) * 100_000
        ready.wait()
        said[number] = store.save(name, [content[:50_000], content[50_000:]], FOREVER)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = read(store, name)
    assert kept is not None
    assert (len(kept), len(set(kept))) == (100_000, 1)
    # Everybody was told of the file that is there.
    assert {each.sha256 for each in said.values()} == {hashlib.sha256(kept).hexdigest()}


def test_deleted_is_gone_and_says_whether_it_was_there(store: FileStore) -> None:
    name = reserve()
    store.save(name, [b"x"], FOREVER)
    assert store.delete(name) is True
    assert (store.find(name), read(store, name), list(store.stream(name))) == (None, None, [])
    assert store.delete(name) is False


def test_what_expired_is_not_found_even_before_it_is_swept(store: FileStore, clock: Clock) -> None:
    brief, lasting = reserve(), reserve()
    store.save(brief, [b"x"], PNG)
    store.save(lasting, [b"y"], FOREVER)
    clock.now = START + 59
    assert store.expire(clock.now) == 0
    assert store.find(brief) is not None
    begun = store.stream(brief)
    clock.now = START + 60
    assert store.find(brief) is None
    assert list(store.stream(brief)) == []
    assert list(begun) == [b"x"]
    assert store.expire(clock.now) == 1
    assert store.expire(clock.now) == 0
    assert read(store, lasting) == b"y"


def test_what_is_overdue_is_what_the_next_sweep_removes(store: FileStore, clock: Clock) -> None:
    due, kept = reserve("due.png"), reserve("kept.png")
    store.save(due, [b"12345"], PNG)
    store.save(kept, [b"1"], FOREVER)
    assert list(store.overdue(clock.now)) == []
    clock.now += 60
    assert list(store.overdue(clock.now)) == [Overdue(due, 5)]
    store.expire(clock.now)
    assert list(store.overdue(clock.now)) == []
    assert read(store, kept) == b"1"


def test_a_name_whose_file_expired_may_be_saved_anew(store: FileStore, clock: Clock) -> None:
    name = reserve()
    store.save(name, [b"old"], PNG)
    clock.now = START + 61
    again = store.save(name, [b"new"], FOREVER)
    assert (again.size, read(store, name)) == (3, b"new")


def test_parts_are_joined_in_the_order_of_their_numbers(store: FileStore) -> None:
    # wire.md 2.1: Python tells the parts in the order in which they were completed.
    name = reserve("big.bin")
    etags = {number: store.save_part(name, number, [b"%d" % number]) for number in (3, 1, 10, 2)}
    assert etags[3] == hashlib.sha256(b"3").hexdigest()
    assert store.find(name) is None
    stored = store.join_parts(name, [3, 10, 1, 2, 1], PNG)
    assert stored is not None
    assert read(store, name) == b"12310"
    assert (stored.size, stored.expires_at) == (5, START + 60)
    assert stored.sha256 == hashlib.sha256(b"12310").hexdigest()


def test_a_large_file_is_joined_of_its_parts(store: FileStore) -> None:
    # Clients send in parts what has 90 MB and more; a store may write that in another way.
    name = reserve("big.bin")
    parts = [bytes([number]) * 3_000_000 for number in (1, 2, 3)]
    for number, content in enumerate(parts, 1):
        store.save_part(name, number, [content])
    stored = store.join_parts(name, [1, 2, 3], FOREVER)
    assert stored is not None
    assert stored.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()
    assert read(store, name) == b"".join(parts)


def test_joining_again_is_the_same_file(store: FileStore) -> None:
    name = reserve()
    store.save_part(name, 1, [b"x"])
    assert store.join_parts(name, [1], FOREVER) == store.join_parts(name, [1], FOREVER)


def test_parts_that_come_after_joining_are_gone_when_it_is_joined_again(store: FileStore) -> None:
    """Else one key could leave any number of them there, of a file that has its size."""
    name = reserve()
    store.save_part(name, 1, [b"x"])
    first = store.join_parts(name, [1], FOREVER)
    store.save_part(name, 2, [b"more"])
    assert store.join_parts(name, [1, 2], FOREVER) == first
    assert read(store, name) == b"x"
    assert list(store.overdue(time.time() + 10 * PARTS_LIFE)) == []


def test_a_part_sent_again_replaces_the_first(store: FileStore) -> None:
    name = reserve()
    store.save_part(name, 1, [b"broken"])
    store.save_part(name, 1, [b"whole"])
    store.join_parts(name, [1], FOREVER)
    assert read(store, name) == b"whole"


def test_of_many_who_join_at_once_everybody_gets_the_file(store: FileStore) -> None:
    # Clients send "complete" again when they did not hear the answer.
    name, said = reserve(), []
    for number in range(1, 9):
        store.save_part(name, number, [b"x" * 500_000])
    ready = threading.Barrier(4)

    def join() -> None:
        ready.wait()
        said.append(store.join_parts(name, range(1, 9), FOREVER))

    threads = [threading.Thread(target=join) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [store.find(name)] * 4


@pytest.mark.parametrize("numbers", [[1, 2], [2], [], [0], [-1]])
def test_with_a_part_missing_there_is_no_file(store: FileStore, numbers: list[int]) -> None:
    name = reserve()
    store.save_part(name, 1, [b"x"])
    assert store.join_parts(name, numbers, FOREVER) is None
    assert store.find(name) is None


@pytest.mark.parametrize("number", [0, -1, MOST_PARTS + 1])
def test_a_part_has_a_number_that_can_be(store: FileStore, number: int) -> None:
    with pytest.raises(ValueError, match="part"):
        store.save_part(reserve(), number, [b"x"])


def test_a_part_that_breaks_off_is_missing(store: FileStore) -> None:
    name = reserve()

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        store.save_part(name, 1, broken())
    assert store.join_parts(name, [1], FOREVER) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_name_finds_nothing_and_keeps_nothing(store: FileStore, name: str) -> None:
    assert (store.find(name), list(store.stream(name)), store.delete(name)) == (None, [], False)
    with pytest.raises(ValueError, match="name"):
        store.save(name, [b"x"], FOREVER)
    with pytest.raises(ValueError, match="name"):
        store.save_part(name, 1, [b"x"])
    assert store.join_parts(name, [1], FOREVER) is None


@pytest.mark.parametrize(
    ("file_name", "ending"),
    [
        # wire.md 7.2: {21 characters}_{name}.{ext}, or {21 characters}.{ext}.
        ("portrait.png", "_portrait.png"),
        (".png", ".png"),
        (None, ""),
        ("", ""),
        ("my holiday (2).jpg", "_my_holiday_2_.jpg"),
        ("/etc/passwd", "_passwd"),
        ("C:\\Users\\me\\face.png", "_face.png"),
        ("../../up.png", "_up.png"),
        ("Zoë.png", "_Zoe.png"),
        ("脸.png", ".png"),
        ("a\r\nSet-Cookie: x.png", "_a_Set-Cookie_x.png"),
        ("..", ".."),
        ("x" * 300 + ".png", "_" + "x" * 96 + ".png"),
    ],
)
def test_a_reserved_name_ends_as_the_file_was_called(
    store: FileStore, file_name: str | None, ending: str
) -> None:
    name = reserve(file_name)
    assert NAME.fullmatch(name)
    assert name[21:] == ending
    store.save(name, [b"x"], FOREVER)
    assert read(store, name) == b"x"


def test_names_cannot_be_guessed() -> None:
    names = [reserve("face.png") for _ in range(20_000)]
    assert len(set(names)) == len(names)
    # Of 21 places of 64 letters every one varies: the first only avoids "-" and "_".
    assert [len({name[place] for name in names}) for place in range(21)] == [62] + [64] * 20
