"""Opening a caller's archive: any bytes in, the pictures' files out, in the archive's order.

Nothing an archive says of itself is believed: what counts is what really comes out of it, and
nothing is ever written to disk. Knows zip and names; does not know what a picture is inside, or
which field of a request the archive belongs to.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from limner.errors import (
    ArchiveTooFewFiles,
    ArchiveTooManyFiles,
    FileTooLarge,
    InputProblem,
    InvalidArchive,
    UnsupportedImageFormat,
)
from limner.stages.limits import ArchiveLimits
from limner.stages.picture import SUPPORTED_FORMATS

#: In the words of fal's ``supported_extensions`` for an archive.
ARCHIVES = (".zip",)

#: The files that are counted and opened.
PICTURES = SUPPORTED_FORMATS

#: Pictures that cannot be read. Leaving them out in silence would lose photos of a person.
UNREAD = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".dng", ".cr2", ".nef", ".arw", ".svg")

#: Archives in an archive.
NESTED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")

#: Entries of any kind that are listed at all; a photo album with its folders has far fewer.
MOST_ENTRIES = 2000

_DIRECTORY_ENTRY = b"PK\x01\x02"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40
_DRIVE = re.compile(r"[A-Za-z]:")
_CHUNK = 64 * 1024

# Recognised by their first bytes alone, to say what was sent instead of a zip.
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "an xz archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
)


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One picture's file: its name with its folders, and its bytes, not yet looked at."""

    name: str
    content: bytes

    @property
    def shown(self) -> str:
        """The name as it may stand in a message."""
        return _shown(self.name)


def open_archive(encoded: bytes, limits: ArchiveLimits) -> list[ArchiveFile]:
    """The pictures' files in a zip archive, in its order; at least one.

    A name decides what a file is, never its bytes. Left out: folders, ``__MACOSX``, names that
    begin with a dot, and whatever has no picture's extension (``notes.txt``, ``Thumbs.db``); it
    is not unpacked. Refused rather than left out: pictures that we do not read (``.heic`` …)
    and archives in the archive. That a ``.jpg`` truly is a picture is found when it is opened.

    Raises InvalidArchive (no zip, damaged, encrypted, nested, with links or names that lead out
    of it), ArchiveTooFewFiles, ArchiveTooManyFiles, FileTooLarge (packed or unpacked),
    UnsupportedImageFormat; nothing else, whatever the bytes. Takes at most the packed size, the
    unpacked limit and ``MOST_ENTRIES`` short records of memory.
    """
    if len(encoded) > limits.max_bytes:
        raise FileTooLarge(
            f"The archive has {len(encoded)} bytes; at most {limits.max_bytes} are taken. "
            "Send fewer or smaller pictures.",
            ctx={"max_size": limits.max_bytes},
        )
    # Counted before zipfile makes an object for each; more matches than entries do no harm.
    if encoded.count(_DIRECTORY_ENTRY) > MOST_ENTRIES:
        raise _invalid(f"It lists more than {MOST_ENTRIES} files.")
    try:
        with zipfile.ZipFile(io.BytesIO(encoded)) as archive:
            return list(_unpacked(archive, _pictures(archive, limits), limits))
    except InputProblem:
        raise
    except Exception as fault:
        # zipfile fails in countless ways on hostile bytes; to the caller they are all one.
        raise _invalid(_what_it_is(encoded)) from fault


def _pictures(archive: zipfile.ZipFile, limits: ArchiveLimits) -> list[zipfile.ZipInfo]:
    """The entries that are pictures. Raises what :func:`open_archive` does, sizes excepted."""
    listed = [entry for entry in archive.infolist() if not _is_left_out(entry)]
    pictures = [entry for entry in listed if _extension(entry) in PICTURES]
    for entry in listed:
        _check(entry)
    context = {"provided_count": len(pictures), "supported_extensions": list(PICTURES)}
    if not pictures:
        raise ArchiveTooFewFiles(
            "Too few files in the archive. Expected at least 1 file with one of the extensions "
            f"{', '.join(PICTURES)}, found none. Add pictures to the archive.",
            ctx={"min_count": 1, **context},
        )
    if len(pictures) > limits.max_files:
        raise ArchiveTooManyFiles(
            f"Too many files in the archive. Expected at most {limits.max_files} pictures, "
            f"found {len(pictures)}. Keep the sharpest ones.",
            ctx={"max_count": limits.max_files, **context},
        )
    return pictures


def _parts(entry: zipfile.ZipInfo) -> list[str]:
    """Folders and name; some Windows programs part them by backslashes."""
    return entry.filename.replace("\\", "/").split("/")


def _extension(entry: zipfile.ZipInfo) -> str:
    return PurePosixPath(_parts(entry)[-1]).suffix.lower()


def _is_left_out(entry: zipfile.ZipInfo) -> bool:
    folders, name = _parts(entry)[:-1], _parts(entry)[-1]
    # "." and ".." are no hidden files: where they lead is checked.
    return not name or "__MACOSX" in folders or (name.startswith(".") and name not in (".", ".."))


def _check(entry: zipfile.ZipInfo) -> None:
    """Raises InvalidArchive or UnsupportedImageFormat for an entry that must not be here."""
    name, extension = entry.filename, _extension(entry)
    parts = _parts(entry)
    if ".." in parts or parts[0] == "" or _DRIVE.match(name):
        raise _invalid(f"The name {_shown(name)} leads out of it.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _invalid(f"{_shown(name)} is a link. Add the file itself.")
    if extension in NESTED:
        raise _invalid(f"{_shown(name)} is an archive itself. Put its pictures beside the others.")
    if extension in UNREAD:
        raise UnsupportedImageFormat(
            f"{_shown(name)} in the archive is of a format that is not read. "
            f"Convert it to one of: {', '.join(PICTURES)}.",
            ctx={"supported_formats": list(PICTURES)},
        )
    if extension not in PICTURES:
        return
    if entry.flag_bits & _ENCRYPTED:
        raise _invalid("It is encrypted. Make it without a password.")
    if entry.compress_type not in _METHODS:
        # Their decoders give all they have at once, and cannot be stopped at a limit.
        raise _invalid("It is packed by an unusual method. Make it with deflate, zip's usual one.")


def _unpacked(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], limits: ArchiveLimits
) -> Iterator[ArchiveFile]:
    """The entries' contents; stops at the first byte over the limit."""
    left = limits.max_unpacked_bytes
    for entry in entries:
        content = bytearray()
        with archive.open(entry) as packed:
            while chunk := packed.read(_CHUNK):
                content += chunk
                if len(content) > left:
                    raise FileTooLarge(
                        f"The archive's pictures have more than {limits.max_unpacked_bytes} bytes "
                        "unpacked. Send fewer or smaller pictures.",
                        ctx={"max_size": limits.max_unpacked_bytes},
                    )
        if len(content) != entry.file_size:
            raise _invalid(f"{_shown(entry.filename)} is cut short.")
        left -= len(content)
        yield ArchiveFile(entry.filename, bytes(content))


def _what_it_is(encoded: bytes) -> str:
    if not encoded:
        return "The file is empty."
    for offset, magic, name in _OTHERS:
        if encoded.startswith(magic, offset):
            return f"The file is {name}, not a zip."
    return "It is damaged, cut short, or no zip at all."


def _invalid(why: str) -> InvalidArchive:
    return InvalidArchive(
        f"Could not read the archive. {why} Give a plain .zip of pictures.",
        ctx={"supported_extensions": list(ARCHIVES)},
    )


def _shown(name: str) -> str:
    """A name as it may stand in a message: short and printable."""
    short = name if len(name) <= 80 else f"{name[:77]}…"
    return "".join(letter if letter.isprintable() else "?" for letter in short)
