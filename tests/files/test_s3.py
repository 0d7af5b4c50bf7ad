"""What only a bucket can show: what lies in it, and that nothing of it stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, cast

import pytest

from limner.files.bucket import BadFilesUrl, open_bucket
from limner.files.s3 import PIECE, S3Store
from limner.files.store import Description, read, reserve
from tests.faults.line import Line, Trouble
from tests.files.conftest import START, Clock
from tests.rig.s3 import S3

if TYPE_CHECKING:
    from obstore.store import ObjectStore

FACE = b"the bytes of a face"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
SAID = Description("image/png", START + 60)


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.new_bucket()


@pytest.fixture
def store(bucket: str, clock: Clock) -> S3Store:
    return S3Store(open_bucket(f"s3://{bucket}/some/where"), clock)


def test_deleting_takes_every_byte_out_of_the_bucket(store: S3Store, s3: S3, bucket: str) -> None:
    name = reserve("face.png")
    store.save(name, [FACE], SAID)
    kept = s3.objects(bucket)
    assert FACE in kept.values()
    assert all(key.startswith("some/where/") for key in kept)
    store.delete(name)
    assert s3.objects(bucket) == {}


def test_expiry_takes_every_byte_out_of_the_bucket_and_leaves_the_rest(
    store: S3Store, s3: S3, bucket: str, clock: Clock
) -> None:
    lasting = reserve()
    store.save(lasting, [b"stays"], Description("image/png"))
    for _ in range(3):
        store.save(reserve(), [FACE], SAID)
    assert store.expire(START + 60) == 3
    assert FACE not in s3.objects(bucket).values()
    clock.now = START + 60
    assert read(store, lasting) == b"stays"


def test_a_name_saved_anew_survives_the_sweep_of_what_it_held_before(
    store: S3Store, s3: S3, bucket: str, clock: Clock
) -> None:
    name = reserve()
    store.save(name, [FACE], SAID)
    clock.now = START + 61
    store.save(name, [b"new"], Description("image/png", START + 600))
    store.expire(clock.now)
    assert read(store, name) == b"new"
    assert FACE not in s3.objects(bucket).values()


def test_joined_parts_lie_in_the_bucket_once(store: S3Store, s3: S3, bucket: str) -> None:
    name = reserve()
    for number in (1, 2):
        store.save_part(name, number, [FACE])
    store.join_parts(name, [2], SAID)
    assert list(s3.objects(bucket).values()).count(FACE) == 1


def test_a_file_larger_than_a_piece_is_the_same_file(store: S3Store) -> None:
    name, content = reserve(), bytes(range(256)) * (PIECE // 128)
    stored = store.save(
        name, (content[at : at + 70_000] for at in range(0, len(content), 70_000)), SAID
    )
    assert stored.size == len(content)
    assert read(store, name) == content
    assert b"".join(store.stream(name, PIECE - 3, PIECE + 3)) == content[PIECE - 3 : PIECE + 3]


def test_a_file_that_was_kept_while_s3_said_that_it_failed_is_kept(
    s3: S3, bucket: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client asks again, and is told that the name is taken: by the very same file."""
    line = Line(s3.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
    with closing(line), ExitStack() as cut:

        def now() -> float:
            # Asked between the content and what makes it appear.
            cut.enter_context(line.troubled(Trouble(instead=FAILED, once=True)))
            line.drop()
            return clock.now

        name = reserve("face.png")
        S3Store(open_bucket(f"s3://{bucket}/some/where"), now).save(name, [FACE], SAID)
        store = S3Store(open_bucket(f"s3://{bucket}/some/where"), clock)
        assert read(store, name) == FACE


def test_a_deletion_that_s3_failed_in_the_middle_of_is_done_by_deleting_again(
    s3: S3, bucket: str, store: S3Store, clock: Clock
) -> None:
    """What is left in between is found by its name; a picture that nobody can name would stay."""
    name = reserve("face.png")
    store.save(name, [FACE], SAID)
    through = open_bucket(f"s3://{bucket}/some/where")
    deletes = 0

    class Failing:
        """The bucket, whose second deletion S3 refuses."""

        def __getattr__(self, verb: str) -> object:
            return getattr(through, verb)

        def delete(self, key: str) -> None:
            nonlocal deletes
            deletes += 1
            if deletes == 2:
                raise OSError("S3 is away")
            through.delete(key)

    with pytest.raises(OSError, match="away"):
        S3Store(cast("ObjectStore", Failing()), clock).delete(name)
    assert FACE not in s3.objects(bucket).values()
    assert store.find(name) is not None
    assert store.delete(name)
    assert s3.objects(bucket) == {}


def test_a_large_file_that_breaks_off_leaves_no_object(store: S3Store, s3: S3, bucket: str) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(PIECE + 1)
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        store.save(reserve(), broken(), SAID)
    assert s3.objects(bucket) == {}


def test_another_machine_finds_what_the_first_saved(
    store: S3Store, bucket: str, clock: Clock
) -> None:
    name = reserve()
    stored = store.save(name, [FACE], SAID)
    assert S3Store(open_bucket(f"s3://{bucket}/some/where/"), clock).find(name) == stored
    assert S3Store(open_bucket(f"s3://{bucket}/else"), clock).find(name) is None


@pytest.mark.parametrize("url", ["s3://", "https://bucket/x", "/srv/files", "s3:///x"])
def test_an_address_that_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(BadFilesUrl):
        open_bucket(url)
