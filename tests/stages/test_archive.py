"""An archive gives its pictures in order or says what is wrong; its cost is capped."""

from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.errors import (
    ArchiveTooFewFiles,
    ArchiveTooManyFiles,
    FileTooLarge,
    InputProblem,
    InvalidArchive,
    UnsupportedImageFormat,
)
from limner.stages.archive import MOST_ENTRIES, PICTURES, open_archive
from limner.stages.limits import ArchiveLimits

USUAL = ArchiveLimits()
Files = dict[str | zipfile.ZipInfo, bytes]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def patched(encoded: bytes, at: int, form: str, *values: int) -> bytes:
    """``encoded`` with numbers written over it, little-endian."""
    changed = bytearray(encoded)
    struct.pack_into("<" + form, changed, at, *values)
    return bytes(changed)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_pictures_come_out_whole_in_the_archives_order(method: int) -> None:
    files: Files = {
        "z.JPG": b"one" * 50_000,
        "me/a.png": b"two",
        "a.jpeg": b"",
        "photos\\b.webp": b"four",
    }
    out = open_archive(zipped(files, method), USUAL)
    assert [(file.name, file.content) for file in out] == list(files.items())


def test_what_is_no_photo_is_left_out_unopened() -> None:
    files: Files = {
        "me.jpg": b"me",
        "photos/": b"",
        "__MACOSX/._me.jpg": b"\x00\x05\x16\x07",
        "photos/__MACOSX/x.jpg": b"x",
        ".hidden.jpg": b"x",
        "._me.jpg": b"x",
        "Thumbs.db": b"x",
        "notes.txt": b"x" * 10_000,
        "LICENSE": b"x",
    }
    # None of the others counts against the limits: they are not unpacked.
    tight = ArchiveLimits(max_files=1, max_unpacked_bytes=2)
    assert [file.name for file in open_archive(zipped(files), tight)] == ["me.jpg"]


@pytest.mark.parametrize("files", [{}, {"notes.txt": b"x"}, {".a.jpg": b"x"}, {"jpg": b"x"}])
def test_no_picture_at_all(files: Files) -> None:
    with pytest.raises(ArchiveTooFewFiles, match="at least 1 file") as caught:
        open_archive(zipped(files), USUAL)
    # fal's errors page: the extensions that were counted.
    assert caught.value.ctx == {
        "min_count": 1,
        "provided_count": 0,
        "supported_extensions": list(PICTURES),
    }


def test_the_number_of_pictures_is_limited_inclusively() -> None:
    def album(number: int) -> bytes:
        return zipped({"notes.txt": b"", **{f"{each}.jpg": b"x" for each in range(number)}})

    assert len(open_archive(album(50), USUAL)) == 50
    with pytest.raises(ArchiveTooManyFiles) as caught:
        open_archive(album(51), USUAL)
    assert caught.value.ctx == {
        "max_count": 50,
        "provided_count": 51,
        "supported_extensions": list(PICTURES),
    }


def test_the_packed_size_is_limited_inclusively() -> None:
    encoded = zipped({"a.jpg": b"x"})
    assert open_archive(encoded, ArchiveLimits(max_bytes=len(encoded)))
    with pytest.raises(FileTooLarge) as caught:
        open_archive(encoded, ArchiveLimits(max_bytes=len(encoded) - 1))
    assert caught.value.ctx == {"max_size": len(encoded) - 1}


def test_the_unpacked_size_of_all_together_is_limited_inclusively() -> None:
    encoded = zipped({"a.jpg": b"x" * 1000, "b.jpg": b"x" * 1000})
    assert len(open_archive(encoded, ArchiveLimits(max_unpacked_bytes=2000))) == 2
    with pytest.raises(FileTooLarge) as caught:
        open_archive(encoded, ArchiveLimits(max_unpacked_bytes=1999))
    assert caught.value.ctx == {"max_size": 1999}


def bomb(claimed: int) -> bytes:
    """200 MB of zeros in 200 kB, whose directory and header claim ``claimed`` bytes."""
    encoded = zipped({"a.jpg": bytes(200_000_000)})
    encoded = patched(encoded, 22, "I", claimed)
    return patched(encoded, encoded.rindex(b"PK\x01\x02") + 24, "I", claimed)


@pytest.mark.parametrize("claimed", [10, 200_000_000, 2**32 - 2])
def test_a_bomb_is_stopped_at_the_limit_whatever_it_claims(claimed: int) -> None:
    encoded = bomb(claimed)
    tracemalloc.start()
    try:
        with pytest.raises((FileTooLarge, InvalidArchive)):
            open_archive(encoded, ArchiveLimits(max_unpacked_bytes=1_000_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_directory_of_a_million_names_is_refused_before_it_is_listed() -> None:
    one = struct.pack("<4s6H3I5H2I", b"PK\1\2", *[0] * 6, *[0] * 3, 1, *[0] * 4, 0, 0) + b"a"
    number = 300_000
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(one) * number, 0, 0)
    encoded = one * number + end
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArchive, match=f"more than {MOST_ENTRIES} files"):
            open_archive(encoded, USUAL)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def entry(name: str, **changes: Any) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    for key, value in changes.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../a.jpg", "leads out"),
        ("me/../../a.jpg", "leads out"),
        ("..\\a.jpg", "leads out"),
        ("/etc/a.jpg", "leads out"),
        ("C:\\a.jpg", "leads out"),
        ("..", "leads out"),
        (entry("a.jpg", external_attr=(stat.S_IFLNK | 0o777) << 16), "is a link"),
        ("more.zip", "an archive itself"),
        ("more.tar.gz", "an archive itself"),
        ("bell\x07" * 40 + ".zip", "bell[?]bell"),
    ],
)
def test_what_leads_elsewhere_is_refused(name: str | zipfile.ZipInfo, said: str) -> None:
    with pytest.raises(InvalidArchive, match=said) as caught:
        open_archive(zipped({"me.jpg": b"me", name: b"x"}), USUAL)
    assert caught.value.ctx == {"supported_extensions": [".zip"]}
    assert caught.value.msg.isprintable()
    assert len(caught.value.msg) < 300


def test_a_picture_that_is_not_read_is_named_rather_than_lost() -> None:
    with pytest.raises(UnsupportedImageFormat, match=r"IMG_1\.HEIC") as caught:
        open_archive(zipped({"a.jpg": b"x", "IMG_1.HEIC": b"x"}), USUAL)
    assert caught.value.ctx is not None
    assert ".png" in caught.value.ctx["supported_formats"]


def test_an_encrypted_picture_says_to_drop_the_password() -> None:
    encoded = zipped({"a.jpg": b"x"})
    encoded = patched(encoded, 6, "H", 1)
    encoded = patched(encoded, encoded.rindex(b"PK\x01\x02") + 8, "H", 1)
    with pytest.raises(InvalidArchive, match="without a password"):
        open_archive(encoded, USUAL)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_whose_decoders_cannot_be_stopped_are_not_used(method: int) -> None:
    with pytest.raises(InvalidArchive, match="deflate"):
        open_archive(zipped({"a.jpg": b"x" * 100}, method), USUAL)


def test_a_wrong_checksum_is_found() -> None:
    encoded = zipped({"a.jpg": b"abc"}, zipfile.ZIP_STORED)
    with pytest.raises(InvalidArchive, match="damaged"):
        open_archive(encoded.replace(b"abc", b"abd"), USUAL)


def test_a_size_larger_than_what_comes_out_is_found() -> None:
    encoded = zipped({"a.jpg": b"abc" * 100})
    place = encoded.rindex(b"PK\x01\x02") + 24
    with pytest.raises(InvalidArchive):
        open_archive(patched(encoded, place, "I", 301), USUAL)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_an_archive_cut_short(share: float) -> None:
    encoded = zipped({f"{each}.jpg": zlib.compress(bytes([each]) * 999) for each in range(20)})
    with pytest.raises(InvalidArchive, match="cut short"):
        open_archive(encoded[: int(len(encoded) * share)], USUAL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"Rar!\x1a\x07\x00", "RAR"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x1f\x8b\x08", "gzip"),
        (bytes(257) + b"ustar", "tar"),
        (b"\xff\xd8\xff\xe0", "JPEG picture"),
        (b"hello", "no zip"),
        (b"PK\x03\x04", "cut short"),
    ],
)
def test_what_is_no_zip_is_named(content: bytes, said: str) -> None:
    with pytest.raises(InvalidArchive, match=said):
        open_archive(content, USUAL)


def test_zip64_records_that_lie_are_no_fault_of_ours() -> None:
    encoded = zipped({"a.jpg": b"x"})
    end = encoded.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 2**63, 1)
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**60, 2**60, 2**62, 2**62)
    for lie in (locator, record + locator):
        with pytest.raises(InvalidArchive):
            open_archive(
                patched(encoded[:end] + lie + encoded[end:], end + len(lie) + 16, "I", 2**32 - 1),
                USUAL,
            )


WHOLE = zipped({"a.jpg": b"abc" * 99, "me/b.png": b"x", "c.txt": b"y", "__MACOSX/d.jpg": b"z"})


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8),
    st.integers(0, len(WHOLE)),
    st.binary(max_size=40),
)
def test_any_damage_gives_pictures_or_a_typed_problem(
    edits: list[tuple[int, int]], keep: int, tail: bytes
) -> None:
    damaged = bytearray(WHOLE)
    for place, value in edits:
        damaged[place] = value
    try:
        out = open_archive(bytes(damaged[: keep or None]) + tail, USUAL)
    except InputProblem:
        return
    assert all(name_is_a_pictures(file.name) for file in out)


def name_is_a_pictures(name: str) -> bool:
    return name.lower().endswith(PICTURES)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_typed_problem(content: bytes) -> None:
    with pytest.raises(InputProblem):
        open_archive(content, USUAL)
