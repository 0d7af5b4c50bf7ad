"""How a picture's file is put together, counted before any decoder sees it.

A decoder walks through a file's parts one by one, and a hostile file of some megabytes has millions
of them: empty PNG chunks, colour profiles that are each unpacked and thrown away, comments, strips
of no rows. Each costs next to nothing, all together minutes or gigabytes. No honest file comes near
the limits here. Knows the outlines of PNG, JPEG, GIF, WebP and TIFF; decodes nothing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from limner.errors import ImageLoadError

#: Chunks of a PNG or WebP. libpng writes 8 KiB of pixels into each: 400 MB.
MOST_CHUNKS = 50_000

#: A progressive JPEG has some ten scans. Each costs a pass over all pixels, and a hostile file
#: of some kilobytes holds thousands.
MOST_SCANS = 64

#: JPEG segments, up to the end of the first picture.
MOST_SEGMENTS = 10_000

#: GIF blocks and sub-blocks before the first frame; a comment of 255 kB has a thousand.
MOST_BLOCKS = 10_000

#: Bytes that belong to nothing, between the parts of a JPEG or a GIF.
MOST_STRAY = 65_536

#: Bytes of EXIF: a JPEG's segment holds 64 KiB at most.
MOST_EXIF = 1024 * 1024

#: Tags in one directory of a TIFF.
MOST_TAGS = 1000

#: Numbers in one tag of a TIFF: 64 megapixels in tiles of 16 by 16 have as many.
MOST_NUMBERS = 250_000

#: A JPEG marker; not the stuffed zeros and restart marks inside a scan.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_SCAN, _START, _END, _EXIF = b"\xda", b"\xd8", b"\xd9", b"\xe1"

#: TIFF's tags that lead to another directory: EXIF's, GPS's and interoperability's.
_DIRECTORIES = frozenset({34665, 34853, 40965})

#: The types in which they do, and how many they are when each has all of them, two deep.
_POINTERS = frozenset({4, 13, 16, 18})
_MOST_DIRECTORIES = 1 + 3 + 9

#: Where strips and tiles lie and how long they are: a number each, of whatever type.
_PLACES = frozenset({273, 279, 324, 325})

#: TIFF's types that are read as one value however long: bytes, text, anything.
_BYTES = frozenset({1, 2, 7})


def check_skeleton(encoded: bytes) -> None:
    """Raises ImageLoadError for a file made to be read for minutes or to fill the memory.

    What is no such format, or is cut short, is left for the decoder to tell.
    """
    for magic, check in _CHECKS:
        if encoded.startswith(magic):
            try:
                check(encoded)
            except (struct.error, IndexError, OverflowError):
                return  # cut short, or it points outside itself


def _refused(what: str) -> ImageLoadError:
    return ImageLoadError(f"The picture's file has {what}. Save it anew and send it again.")


def _check_png(encoded: bytes) -> None:
    at, profiles = 8, 0
    for _ in range(MOST_CHUNKS):
        length, name = struct.unpack_from(">I4s", encoded, at)
        profiles += name == b"iCCP"
        if profiles > 1:
            raise _refused("more than one colour profile")
        if name == b"eXIf" and length > MOST_EXIF:
            raise _refused(f"more than {MOST_EXIF} bytes of EXIF")
        at += 12 + length
    raise _refused(f"more than {MOST_CHUNKS} chunks")


def _check_jpeg(encoded: bytes) -> None:
    """Segments up to the end of the first picture: phones append others, and films."""
    at = scans = stray = exif = 0
    for _ in range(MOST_SEGMENTS):
        marker = _MARKER.search(encoded, at)
        if marker is None or marker[1] == _END:
            return
        # Before the first scan nothing lies between segments, within scans the picture.
        stray += 0 if scans else marker.start() - at
        scans += marker[1] == _SCAN
        at = marker.end()
        if marker[1] != _START:
            length = int.from_bytes(encoded[at : at + 2])
            exif += length if marker[1] == _EXIF and encoded[at + 2 : at + 6] == b"Exif" else 0
            at += length
        if scans > MOST_SCANS:
            raise _refused(f"more than {MOST_SCANS} scans")
        if stray > MOST_STRAY or exif > MOST_EXIF:
            raise _refused(f"more than {MOST_EXIF} bytes of EXIF, or of nothing at all")
    raise _refused(f"more than {MOST_SEGMENTS} segments")


def _check_gif(encoded: bytes) -> None:
    """What comes before the first frame, the only one that is read."""
    at = 13 + (3 << ((encoded[10] & 7) + 1) if encoded[10] & 0x80 else 0)
    stray = blocks = 0
    while encoded[at] not in b",;":
        if encoded[at] != 0x21:
            at, stray = at + 1, stray + 1
        else:
            at += 2
            while length := encoded[at]:
                at, blocks = at + 1 + length, blocks + 1
                if blocks > MOST_BLOCKS:
                    break
            at, blocks = at + 1, blocks + 1
        if stray > MOST_STRAY or blocks > MOST_BLOCKS:
            raise _refused(f"more than {MOST_BLOCKS} blocks before its first frame")


def _check_webp(encoded: bytes) -> None:
    at = 12
    for _ in range(MOST_CHUNKS):
        name, length = struct.unpack_from("<4sI", encoded, at)
        if name == b"EXIF" and length > MOST_EXIF:
            raise _refused(f"more than {MOST_EXIF} bytes of EXIF")
        at += 8 + length + length % 2
    raise _refused(f"more than {MOST_CHUNKS} chunks")


def _check_tiff(encoded: bytes) -> None:
    big = encoded[2] == ord("+")  # BigTIFF, where Pillow sees one
    order = "<" if encoded[:1] == b"I" else ">"
    (first,) = struct.unpack_from(order + ("Q" if big else "I"), encoded, 8 if big else 4)
    waiting = [int(first)]
    # A directory may lead to itself: no more of them than there can be.
    for _ in range(_MOST_DIRECTORIES):
        if not waiting:
            return
        inner: dict[int, int] = {}
        for tag, kind, count, value in _tags(encoded, order, big, waiting.pop(0)):
            if count > MOST_NUMBERS and (tag in _PLACES or kind not in _BYTES):
                raise _refused(f"more than {MOST_NUMBERS} numbers in one tag")
            if tag in _DIRECTORIES:
                if kind not in _POINTERS or count != 1:
                    raise _refused("a directory in an odd place")
                inner.setdefault(tag, value)  # of two, readers take the first
        waiting += inner.values()


def _tags(encoded: bytes, order: str, big: bool, at: int) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, count, and value or place, of each entry of the directory at ``at``."""
    (number,) = struct.unpack_from(order + ("Q" if big else "H"), encoded, at)
    if number > MOST_TAGS:
        raise _refused(f"more than {MOST_TAGS} tags")
    entry = struct.Struct(order + ("HHQQ" if big else "HHII"))
    for index in range(number):
        yield entry.unpack_from(encoded, at + (8 if big else 2) + index * entry.size)


#: How a file begins → who counts its parts.
_CHECKS: tuple[tuple[bytes, Callable[[bytes], None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _check_png),
    (b"\xff\xd8\xff", _check_jpeg),
    (b"GIF8", _check_gif),
    (b"RIFF", _check_webp),
    (b"II", _check_tiff),
    (b"MM", _check_tiff),
)
