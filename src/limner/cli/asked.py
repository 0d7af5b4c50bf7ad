"""What ``limner run`` is asked for: one request, one for each of several photos, or a file of them.

A batch is CSV with the fields' names at the top, or one JSON object a line; ``@file`` in it is seen
from the folder in which it lies. Knows words and files; draws nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from limner.cli.words import Fields, Word, found_files, parsed
from limner.errors import FileDownloadError, InputProblem, Misconfigured


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. What is wrong with its files is known already; the rest the endpoint finds."""

    #: From 1; a batch's as its rows are counted, without the head.
    number: int
    input: Mapping[str, Any]
    #: The files that it names, by the address that stands for them in the input.
    photos: Mapping[str, Path] = field(default_factory=dict[str, Path])
    fault: InputProblem | None = None

    @property
    def name(self) -> str:
        """The first photo's name, for people; empty where there is none."""
        return next((path.name for path in self.photos.values()), "")


def asked_for(words: Sequence[str], batch: Path | None, fields: Fields) -> list[Asked]:
    """Everything that is asked for. Raises Misconfigured, and FileDownloadError of a word."""
    given = parsed(words, fields)
    if batch is None:
        return list(_photo_by_photo(given, fields))
    (common,) = _photo_by_photo(given, fields, several=False)
    rows = _csv_rows(batch, fields) if batch.suffix.lower() == ".csv" else _json_rows(batch, fields)
    asked = [_with_common(row, common) for row in rows]
    if not asked:
        raise Misconfigured(f"{batch} holds no request")
    return asked


def _with_common(row: Asked, common: Asked) -> Asked:
    """A row with what the words say for all of them; the row goes first."""
    return Asked(
        row.number, {**common.input, **row.input}, {**common.photos, **row.photos}, row.fault
    )


def _photo_by_photo(
    words: Sequence[Word], fields: Fields, *, several: bool = True
) -> Iterator[Asked]:
    """A request for each file of the one field that has several."""
    input: dict[str, Any] = {}
    files: dict[str, list[Path]] = {}
    for word in words:
        if not word.is_json and word.value.startswith("@") and word.name in fields.files:
            found = found_files(word.name, word.value[1:], Path())
            files.setdefault(word.name, []).extend(found)
        elif word.name in input:
            raise Misconfigured(f"{word.name} is given twice; only files may be several")
        else:
            input[word.name] = fields.value(word)
            _refuse_path(word.name, input[word.name], fields, Path())
    if twice := files.keys() & input.keys():
        raise Misconfigured(f"{min(twice)} is given as a file and otherwise; give it once")
    many = [name for name, paths in files.items() if len(paths) > 1]
    if len(many) > 1 or (many and not several):
        raise Misconfigured(f"Only one of {' and '.join(many)} may be several files, and no batch")
    for number in range(len(files[many[0]]) if many else 1):
        chosen = {name: paths[number if name in many else 0] for name, paths in files.items()}
        addresses = {name: path.as_uri() for name, path in chosen.items()}
        photos = {addresses[name]: path for name, path in chosen.items()}
        yield Asked(number + 1, {**input, **addresses}, photos)


def _csv_rows(batch: Path, fields: Fields) -> Iterator[Asked]:
    rows = csv.reader(io.StringIO(_text(batch), newline=""))
    names = [name.strip() for name in next(rows, list[str]())]
    for name in names:
        fields.check(name, f"{batch}, line 1: ")
    number = 0
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(names):
            raise Misconfigured(
                f"{batch}, line {rows.line_num}: {len(cells)} cells, but line 1 names"
                f' {len(names)}; put a text with commas into "quotes"'
            )
        number += 1
        # An empty cell leaves the field out.
        said = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
        yield _row(number, said, fields, batch.parent, typed=True)


def _json_rows(batch: Path, fields: Fields) -> Iterator[Asked]:
    lines = enumerate(_text(batch).split("\n"), start=1)
    said = [(place, line) for place, line in lines if line.strip()]
    for number, (place, line) in enumerate(said, start=1):
        try:
            row = json.loads(line)
        except ValueError as wrong:
            raise Misconfigured(f"{batch}, line {place}: not JSON: {wrong}") from None
        if not isinstance(row, dict):
            raise Misconfigured(f"{batch}, line {place}: not a JSON object")
        for name in cast("dict[str, Any]", row):
            fields.check(name, f"{batch}, line {place}: ")
        yield _row(number, cast("dict[str, Any]", row), fields, batch.parent, typed=False)


def _row(number: int, said: Mapping[str, Any], fields: Fields, base: Path, *, typed: bool) -> Asked:
    """One request of a batch; a file that is not there is its own fault, and no other's."""
    input: dict[str, Any] = {}
    photos: dict[str, Path] = {}
    fault: InputProblem | None = None
    for name, value in said.items():
        try:
            if name in fields.files and isinstance(value, str) and value.startswith("@"):
                (path,) = _one_file(name, value[1:], base)
                input[name] = path.as_uri()
                photos[input[name]] = path
                continue
            input[name] = fields.typed(name, value) if typed else value
            _refuse_path(name, input[name], fields, base)
        except InputProblem as problem:
            fault = fault or problem
    return Asked(number, input, photos, fault)


def _one_file(name: str, text: str, base: Path) -> list[Path]:
    found = found_files(name, text, base)
    if len(found) > 1:
        raise FileDownloadError(
            f"{text} matches {len(found)} files; a row takes one.", loc=("body", name)
        )
    return found


def _refuse_path(name: str, value: Any, fields: Fields, base: Path) -> None:
    """Say it when a file is given without its ``@``. Raises FileDownloadError."""
    if name not in fields.files or not isinstance(value, str) or not 0 < len(value) < 1000:
        return  # a data URI is longer than any path
    if "\0" not in value and (base / value).is_file():
        raise FileDownloadError(f"{value} is a file: write {name}=@{value}", loc=("body", name))


def _text(batch: Path) -> str:
    try:
        return batch.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Misconfigured(f"{batch} is not UTF-8 text") from None
    except OSError as problem:
        raise Misconfigured(f"{batch}: {problem.strerror}") from None
