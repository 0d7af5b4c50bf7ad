"""Files made to be opened for minutes or to fill the memory, each with what it is to be told.

``python -m tests.stages.bombs`` opens what comes on standard input, in a process that may die of it
and whose memory can be read. Each bomb is small and would be large: 16 MB of parts that cost next
to nothing each, or some kilobytes that unpack to gigabytes.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from limner.errors import InputProblem, InvalidInput
from limner.server.frames import read
from limner.stages.archive import open_archive
from limner.stages.limits import ArchiveLimits
from limner.stages.picture import open_picture

MB = 1 << 20
SIZE = 16 * MB
PIXELS = 1_000_000
GONE = "image_load_error"
LARGE = "image_too_large"
OTHER = "unsupported_image_format"
ZIP = "invalid_archive"

#: Parser, name, what is told (empty: it opens), bytes.
Bomb = tuple[str, str, str, bytes]


def _encoded(form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, form, **options)  # pyright: ignore
    return buffer.getvalue()


def _chunk(name: bytes, body: bytes) -> bytes:
    checked = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checked)


def _png(between: bytes, after: bytes = b"", side: int = 40, pixels: bytes | None = None) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(bytes(40 * 121)) if pixels is None else pixels)
    return b"\x89PNG\r\n\x1a\n" + head + between + data + after + _chunk(b"IEND", b"")


def _zeros(size: int) -> bytes:
    """So many zeros, deflated, without having them."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(MB)) for _ in range(size // MB)) + packer.flush()


def _pngs() -> Iterator[tuple[str, str, bytes]]:
    profile = _chunk(b"iCCP", b"a\0\0" + _zeros(MB))
    text = _chunk(b"zTXt", b"a\0\0" + _zeros(MB))
    yield "colour profiles", GONE, _png(profile * 15_000)
    yield "one profile of 150 MB", GONE, _png(_chunk(b"iCCP", b"a\0\0" + _zeros(150 * MB)))
    yield "texts of 1 MB", GONE, _png(text * 10_000)
    yield "empty chunks", GONE, _png(_chunk(b"abCd", b"") * (SIZE // 12))
    yield "empty pixels", GONE, _png(_chunk(b"IDAT", b"") * (SIZE // 12))
    yield "chunks behind", GONE, _png(b"", _chunk(b"tEXt", b"a\0b") * (SIZE // 15))
    yield "EXIF", GONE, _png(_chunk(b"eXIf", _directory(60_000, 12 * MB)))
    yield "pixels it does not say", "", _png(b"", pixels=_zeros(150 * MB))
    yield "pixels it says", LARGE, _png(b"", side=30_000, pixels=_zeros(20 * MB))
    frames = _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield "two thousand million frames", "", _png(frames)


def _directory(tags: int, size: int) -> bytes:
    """A TIFF of nothing but tags that are all the same ``size`` bytes."""
    entries = [struct.pack("<HHII", 1000 + tag, 7, size, 8) for tag in range(tags)]
    head = b"II*\0" + struct.pack("<I", 8 + size)
    return head + bytes(size) + struct.pack("<H", tags) + b"".join(entries) + bytes(4)


def _tiff(strips: int, kind: int = 4, exif: tuple[int, int, int] | None = None) -> bytes:
    """40 by 40 gray pixels in so many strips; ``exif``: tag, type and count of one value in it."""
    width = 4 if kind == 4 else 1
    size = max(strips * width, 1600, 0 if exif is None else exif[2] * 8)
    said = {
        256: (3, 1, 40), 257: (3, 1, 40), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (kind, strips, 8), 277: (3, 1, 1), 278: (3, 1, 1), 279: (kind, strips, 8),
    }  # fmt: skip
    inner = b""
    if exif is not None:
        inner = struct.pack("<HHHII", 1, *exif, 8) + bytes(4)
        said[34665] = (4, 1, 8 + size)
    entries = [struct.pack("<HHII", tag, *value) for tag, value in said.items()]
    head = b"II*\0" + struct.pack("<I", 8 + size + len(inner))
    return head + bytes(size) + inner + struct.pack("<H", len(entries)) + b"".join(entries)


def _tiffs() -> Iterator[tuple[str, str, bytes]]:
    yield "tags", GONE, _directory(60_000, 12 * MB)
    yield "strips", GONE, _tiff(SIZE // 4)
    yield "strips of one byte each", GONE, _tiff(SIZE, kind=1)
    yield "fractions in EXIF", GONE, _tiff(40, exif=(33434, 5, SIZE // 8))


def _jpegs() -> Iterator[tuple[str, str, bytes]]:
    whole = _encoded("JPEG")

    def with_segments(marker: bytes, body: bytes, number: int) -> bytes:
        segment = marker + struct.pack(">H", len(body) + 2) + body
        return whole[:2] + segment * number + whole[2:]

    yield "comments", GONE, with_segments(b"\xff\xfe", b"", SIZE // 4)
    yield "EXIF", GONE, with_segments(b"\xff\xe1", b"Exif\0\0" + bytes(65_000), SIZE // 65_000)
    yield "profiles", GONE, with_segments(b"\xff\xe2", b"ICC_PROFILE\0\1\1", SIZE // 18)
    yield "fill bytes", GONE, whole[:2] + b"\xff" * SIZE + whole[2:]
    yield "junk", GONE, whole[:-2][:20] + bytes(SIZE) + whole[20:]


def _gifs() -> Iterator[tuple[str, str, bytes]]:
    whole = _encoded("GIF")
    first = 13 + (3 << ((whole[10] & 7) + 1) if whole[10] & 0x80 else 0)
    first = whole.index(b",", first)
    yield "comments", GONE, whole[:first] + b"!\xfe\x01A\0" * (SIZE // 5) + whole[first:]
    parts = b"!\xfe" + b"\x01A" * (SIZE // 2) + b"\0"
    yield "a comment in parts", GONE, whole[:first] + parts + whole[first:]
    yield "junk", GONE, whole[:first] + bytes(SIZE) + whole[first:]
    yield "frames", "", whole[:-1] + whole[first:-1] * (SIZE // (len(whole) - first)) + b";"
    yield "a screen of 4 gigapixels", LARGE, whole[:6] + b"\xff\xff\xff\xff" + whole[10:]


def _others() -> Iterator[tuple[str, str, bytes]]:
    webp = _encoded("WEBP", lossless=True)[12:]
    head = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (struct.pack("<I", 39)[:3] * 2)
    chunks = b"WEBP" + head + (b"ABCD" + bytes(4)) * (SIZE // 8) + webp
    yield "WebP, chunks", GONE, b"RIFF" + struct.pack("<I", len(chunks)) + chunks
    side = struct.pack("<I", 16_383)[:3] * 2
    frame = bytes(6) + struct.pack("<I", 39)[:3] * 2 + bytes(4) + webp
    canvas = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + side
    canvas += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    canvas += b"ANMF" + struct.pack("<I", len(frame)) + frame
    yield "WebP, a canvas", LARGE, b"RIFF" + struct.pack("<I", len(canvas)) + canvas
    bmp = b"BM" + struct.pack("<IHHI", 1082, 0, 0, 1078)
    rows = struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 8, 1, 4, 0, 0, 256, 0)
    yield "BMP, run lengths", LARGE, bmp + rows + bytes(1024) + b"\0\1\0\1"
    for brand in (b"avif", b"avis", b"heic", b"heix", b"mif1"):
        box = struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand
        # Its size is in a box behind, which nobody reads: its decoder is never run.
        ispe = struct.pack(">I4sIII", 20, b"ispe", 0, 65_535, 65_535)
        yield f"{brand.decode()} of 4 gigapixels", OTHER, box + ispe + bytes(1000)
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    svg = f'<?xml version="1.0"?><!DOCTYPE svg [{laughs}]><svg>&l9;</svg>'
    yield "SVG, a thousand million laughs", OTHER, svg.replace("<svg>", "<svg >").encode()
    include = "<svg><image href='file:///etc/passwd'/><script>1</script></svg>"
    yield "SVG that includes a file", OTHER, include.encode()


def _zips() -> Iterator[tuple[str, str, bytes]]:
    def zipped(names: list[str], content: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in names:
                archive.writestr(name, content)
        return buffer.getvalue()

    large = zipped(["a.jpg"], bytes(100 * MB))
    yield "100 MB of zeros", "file_too_large", large
    for claimed in (10, 2**32 - 2):
        lying = bytearray(large)
        for at in (22, large.rindex(b"PK\x01\x02") + 24):
            struct.pack_into("<I", lying, at, claimed)
        # It is believed in neither direction: what comes out is counted.
        yield f"which say {claimed}", f"{ZIP}|file_too_large", bytes(lying)
    yield "itself in itself", ZIP, zipped(["a.jpg", "b.zip"], large)
    yield "10,000 entries", ZIP, zipped([f"{number}.jpg" for number in range(10_000)], b"x")
    one = large[large.rindex(b"PK\x01\x02") : large.rindex(b"PK\x05\x06")]
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 40, 40, len(one) * 40, len(large), 0)
    # Forty names for the same bytes (Fifield's overlapping bomb): 4 GB out of 100 kB.
    yield "forty times the same bytes", "file_too_large", large + one * 40 + end


def _messages() -> Iterator[Bomb]:
    deep = 4 * MB
    for name, content in {
        "nested lists": b"[" * deep,
        "nested objects": b'{"a":' * (deep // 5),
        "a number of 4 MB": b'{"a":' + b"9" * deep + b"}",
    }.items():
        yield "text_frame", name, "json_invalid", content
    for name, content in {
        "nested maps": b"\x81\xa1a" * (deep // 3),
        "nested lists": b"\x91" * deep,
        "a list of 4 thousand million": b"\x81\xa1a\xdd\xff\xff\xff\xff",
        "a text of 4 GB": b"\x81\xa1a\xdb\xff\xff\xff\xff",
        "4 thousand million keys": b"\xdf\xff\xff\xff\xff",
    }.items():
        yield "packed_frame", name, "json_invalid", content


def bombs() -> Iterator[Bomb]:
    """Each in turn; made when it is asked for, since together they are large."""
    for form, made in {"PNG": _pngs, "TIFF": _tiffs, "JPEG": _jpegs, "GIF": _gifs}.items():
        yield from (("picture", f"{form}, {name}", told, what) for name, told, what in made())
    yield from (("picture", name, told, content) for name, told, content in _others())
    yield from (("archive", f"zip, {name}", told, content) for name, told, content in _zips())
    yield from _messages()


def _opened(parser: str, content: bytes) -> str:
    """The type of the problem that is told; empty when it opens."""
    limits = ArchiveLimits(max_unpacked_bytes=20 * MB)
    try:
        if parser == "picture":
            open_picture(content, max_pixels=PIXELS)
        elif parser == "archive":
            open_archive(content, limits)
        else:
            read(content if parser == "packed_frame" else content.decode())
    except InputProblem as problem:
        return problem.type
    except InvalidInput as problem:
        return str(problem.entries[0]["type"])
    return ""


def _peak() -> int:
    """Most memory this process has had since it was last forgotten, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """Open one after the other; a line of JSON for each: what was told, and bytes it took."""
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    _opened("picture", _encoded("JPEG"))  # so that what is loaded once is loaded
    while line := sys.stdin.buffer.readline():
        parser, size = json.loads(line)
        content = sys.stdin.buffer.read(size)
        Path("/proc/self/clear_refs").write_text("5")
        before = _peak()
        told = _opened(parser, content)
        sys.stdout.write(json.dumps([told, _peak() - before]) + "\n")
        sys.stdout.flush()
        del content


if __name__ == "__main__":
    main()
