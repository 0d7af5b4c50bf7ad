"""From JSON to an endpoint's validated input, with fal's ``detail`` entries when it will not do.

Knows pydantic's errors and fal's; knows no particular endpoint.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from limner.endpoints.fields import is_extension
from limner.errors import DOCS_URL, InvalidInput

Model = TypeVar("Model", bound=BaseModel)

#: Longer inputs are not echoed in an error: they are pictures, and the caller has them.
ECHO_LIMIT = 200

#: What pydantic says of the branches of a union that the caller plainly did not mean.
_WRONG_BRANCH = {
    "object": {"literal_error", "string_type"},
    "other": {"model_attributes_type"},
}


#: What pydantic says of a field that it does not know.
_FORBIDDEN = "extra_forbidden", "Extra inputs are not permitted"

#: pydantic's types that have another name on fal's page of errors.
_FALS_TYPES = {
    "literal_error": "one_of",
    "too_short": "sequence_too_short",
    "too_long": "sequence_too_long",
    "string_too_short": "sequence_too_short",
    "string_too_long": "sequence_too_long",
}


def accept(model: type[Model], raw: Any, *, strict: bool = False) -> Model:
    """``raw`` (decoded JSON, or a query's strings) as a ``model``.

    Unknown fields are ignored, as at fal; ``strict`` refuses them, and Limner's own extensions.
    Raises InvalidInput with one entry per wrong field; ``loc`` starts at ``body`` and ends at
    the field, also inside unions, because ``@fal-ai/client`` looks fields up by the last element.
    """
    details = _extensions(model, raw) if strict else []
    try:
        # From attributes, as FastAPI does: it decides what is said of a body that is no object.
        accepted = model.model_validate(
            raw, extra="forbid" if strict else None, from_attributes=True
        )
    except ValidationError as error:
        details += error.errors(include_url=False)
    else:
        if not details:
            return accepted
    raise InvalidInput([_entry(detail, raw) for detail in _meant(details, raw)])


def _extensions(model: type[BaseModel], raw: Any) -> list[ErrorDetails]:
    """One complaint for each of Limner's own fields that ``raw`` has."""
    given = cast("dict[str, Any]", raw if isinstance(raw, dict) else {})
    kind, msg = _FORBIDDEN
    return [
        {"type": kind, "loc": (name,), "msg": msg, "input": given[name]}
        for name, field in model.model_fields.items()
        if name in given and is_extension(field)
    ]


def _meant(details: list[ErrorDetails], raw: Any) -> list[ErrorDetails]:
    """Drop, for every field, the complaints of union branches that the caller did not mean."""
    kept: list[ErrorDetails] = []
    for detail in details:
        field = detail["loc"][0] if detail["loc"] else None
        siblings = [other for other in details if other["loc"][:1] == detail["loc"][:1]]
        value = cast("Mapping[Any, Any]", raw).get(field) if isinstance(raw, Mapping) else None
        wrong = _WRONG_BRANCH["object" if isinstance(value, Mapping) else "other"]
        if detail["type"] in wrong and any(other["type"] not in wrong for other in siblings):
            continue
        kept.append(detail)
    return kept


def _place(detail: ErrorDetails, raw: Any) -> list[str | int]:
    """pydantic's loc without the names of union branches, which are no part of the input."""
    place: list[str | int] = []
    here: Any = raw
    last = len(detail["loc"]) - 1
    for index, key in enumerate(detail["loc"]):
        if isinstance(here, Mapping) and key in here:
            here = cast("Mapping[Any, Any]", here)[key]
            place.append(key)
        elif isinstance(here, list) and isinstance(key, int):
            here = cast("list[Any]", here)[key]
            place.append(key)
        elif detail["type"] == "missing" and index == last:
            place.append(key)
    return place


def _entry(detail: ErrorDetails, raw: Any) -> dict[str, Any]:
    kind = _FALS_TYPES.get(detail["type"], detail["type"])
    entry: dict[str, Any] = {
        "loc": ["body", *_place(detail, raw)],
        "msg": detail["msg"],
        "type": kind,
        "url": DOCS_URL + kind,
    }
    if "ctx" in detail:
        entry["ctx"] = _context(kind, detail["ctx"])
    value = echo(detail.get("input"))
    if value is not None:
        entry["input"] = value
    return entry


def _context(kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """pydantic's context as fal's: values that JSON can say, choices as a list."""
    if kind == "one_of":
        # pydantic says them in one sentence: 'a', 'b' or 'c'.
        return {"expected": re.findall(r"'([^']*)'", str(said.get("expected")))}
    # A context may hold an exception object.
    return {
        key: value if isinstance(value, int | float | str | bool) else str(value)
        for key, value in said.items()
    }


def echo(value: Any) -> Any:
    """What an error's ``input`` says of a field's value; None for what is not repeated.

    Long texts are pictures, and long numbers no client reads. What is not finite is said in
    words, as at fal (wire.md 4.5): JSON has no number for it.
    """
    if isinstance(value, str):
        return value if len(value) <= ECHO_LIMIT else None
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else None
    return None
