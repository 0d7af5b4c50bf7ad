"""From ``key=value`` words to an endpoint's input, typed as its schema says.

``key=text`` is a text, number, list (``a,b``) or size (``512x768``) as the field wants it;
``key=@file`` is a file, for fields that take an address; ``key:=json`` is JSON as it stands
(HTTPie's grammar). Knows JSON schemas; checks no value, which the endpoint does itself; reads no
file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.endpoints.base import Endpoint
from limner.errors import FileDownloadError, Misconfigured
from limner.suggest import did_you_mean

WORD = re.compile(r"(?P<name>[A-Za-z_][\w.-]*?)(?P<how>:?=)(?P<value>.*)", re.DOTALL)
SIZE = re.compile(r"(\d+)[x×](\d+)")

TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

#: What ``@-`` reads.
STANDARD_INPUT = Path("/dev/stdin")


@dataclass(frozen=True, slots=True)
class Word:
    """One ``key=value`` as it was written."""

    name: str
    value: str
    #: ``:=``: the value is JSON.
    is_json: bool


def parsed(words: Sequence[str], fields: Fields) -> list[Word]:
    """The words. Raises Misconfigured for one that is none or names no field."""
    return [_word(word, fields) for word in words]


def _word(text: str, fields: Fields) -> Word:
    match = WORD.fullmatch(text)
    if match is None:
        where = f"{fields.files[0]}=@{text}" if fields.files else "field=value"
        hint = f"for a file write {where}" if Path(text).is_file() else "write field=value"
        raise Misconfigured(f"{text!r} has no field's name: {hint}")
    fields.check(match["name"])
    return Word(match["name"], match["value"], match["how"] == ":=")


class Fields:
    """What an endpoint's input holds, as its JSON schema says."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.schema = endpoint.input.model_json_schema()
        self.properties: dict[str, dict[str, Any]] = self.schema["properties"]

    @property
    def files(self) -> list[str]:
        """The fields that take a file: those that take its address, by fal's way of naming."""
        return [name for name in self.properties if name.endswith("_url")]

    def check(self, name: str, place: str = "") -> None:
        """Raises Misconfigured when there is no such field; ``place`` goes before the message."""
        if name not in self.properties:
            alias = self.endpoint.alias
            raise Misconfigured(
                f"{place}{name} is no field of {alias}.{did_you_mean(name, self.properties)}"
                f" `limner run {alias} --fields` lists them."
            )

    def value(self, word: Word) -> Any:
        """A word's value. Raises Misconfigured when it should be JSON and is not."""
        if not word.is_json:
            return self.typed(word.name, word.value)
        try:
            return json.loads(word.value)
        except ValueError as wrong:
            raise Misconfigured(f"{word.name}:= must be JSON: {wrong}") from None

    def typed(self, name: str, text: str) -> Any:
        """``text`` as the field wants it; as it is when it is nothing like that."""
        return self._as(self.properties[name], text)

    def branches(self, name: str) -> Iterator[Mapping[str, Any]]:
        """The alternatives of a field, references followed."""
        return self._branches(self.properties[name])

    def _as(self, schema: Mapping[str, Any], text: str) -> Any:
        """``text`` as the first branch that it can be; a text last, which everything can be."""
        branches = list(self._branches(schema))
        for branch in sorted(branches, key=lambda branch: branch.get("type") == "string"):
            found = self._as_one(branch, text)
            if found is not None:
                return found
        return text

    def _as_one(self, branch: Mapping[str, Any], text: str) -> Any:
        kind = branch.get("type")
        if kind == "integer":
            return int(text) if re.fullmatch(r"[+-]?\d{1,30}", text) else None
        if kind == "number":
            return _number(text)
        if kind == "boolean":
            return TRUTH.get(text.casefold())
        if kind == "array":
            listed = _json(text, list)
            items = branch.get("items", {})
            return listed or [self._as(items, part.strip()) for part in text.split(",") if part]
        if kind == "object":
            size = SIZE.fullmatch(text)
            if size and {"width", "height"} <= set(branch.get("properties", ())):
                return {"width": int(size[1]), "height": int(size[2])}
            return _json(text, dict)
        return None

    def _branches(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        if "$ref" in schema:
            schema = self.schema["$defs"][schema["$ref"].rpartition("/")[2]]
        choices = schema.get("anyOf")
        if choices is None:
            yield schema
        for choice in choices or ():
            yield from self._branches(choice)


def found_files(name: str, text: str, base: Path) -> list[Path]:
    """The files of ``@text``, seen from ``base``: one, or all that a pattern matches, by name.

    Raises FileDownloadError at the field when there is none.
    """
    if text == "-":
        return [STANDARD_INPUT]
    path = base / Path(text).expanduser()
    if path.is_file():
        return [path.absolute()]
    if any(sign in text for sign in "*?["):
        root = Path(path.anchor) if path.is_absolute() else Path()
        matches = root.glob(str(path.relative_to(path.anchor) if path.is_absolute() else path))
        files = sorted(match.absolute() for match in matches if match.is_file())
        if files:
            return files
    why = "is a folder; write @folder/*.jpg" if path.is_dir() else "is not there; check the path"
    raise FileDownloadError(f"{text} {why}.", loc=("body", name))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _json(text: str, kind: type) -> Any:
    """``text`` as JSON of that kind, or None."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, kind) else None
