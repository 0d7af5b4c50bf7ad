"""The journal of a batch: which requests have been drawn, beside their pictures.

A line is written when the pictures of a request are, so a run that was interrupted goes on where it
stopped. A request is known by what it asks and by the bytes of its photos, not by its row.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, TypedDict, cast

from limner.cli.asked import Asked

FILE_NAME = "limner-run.jsonl"


class Entry(TypedDict):
    """One line."""

    key: str
    row: int
    #: The answer; its addresses are names of files in this folder.
    answer: dict[str, Any]
    files: list[str]


class Journal:
    """What has been drawn into a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._folder = folder
        self._done: dict[str, Entry] = {}
        self._torn = False
        if self._path.exists():
            # A crash may have cut a line within a character.
            self._read(self._path.read_text(encoding="utf-8", errors="replace"))

    def done(self, key: str) -> Entry | None:
        """What is known of a request whose files are all still there; None: it is to be drawn."""
        entry = self._done.get(key)
        if entry is None or not all((self._folder / name).is_file() for name in entry["files"]):
            return None
        return entry

    def write(self, entry: Entry) -> None:
        """Note durably that a request is drawn; its files are there already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
        with self._path.open("a", encoding="utf-8") as journal:
            # What a crash left of a line is no part of the next.
            journal.write(f"\n{line}\n" if self._torn else f"{line}\n")
            journal.flush()
            os.fsync(journal.fileno())
        self._torn = False
        self._done[entry["key"]] = entry

    def _read(self, text: str) -> None:
        self._torn = bool(text) and not text.endswith("\n")
        for line in text.split("\n"):
            try:
                entry = cast("Entry", json.loads(line))
                self._done[entry["key"]] = entry
            except (ValueError, KeyError, TypeError):
                continue  # a torn line: that request is drawn again


def keys(asked: list[Asked], endpoint_id: str) -> list[str]:
    """What each request is known by; the same asked twice is two requests."""
    seen = Counter[str]()
    found: list[str] = []
    for one in asked:
        digests = {url: _digest(path) for url, path in one.photos.items()}
        said = {
            name: digests.get(value, value) if isinstance(value, str) else value
            for name, value in one.input.items()
        }
        plain = json.dumps([endpoint_id, said], sort_keys=True)
        seen[plain] += 1
        found.append(hashlib.sha256(f"{plain}{seen[plain]}".encode()).hexdigest())
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
