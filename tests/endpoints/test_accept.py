"""What is said of each wrong input: the field, fal's name for the fault, its context and its value.

wire.md 4.5 and 9: an entry's ``loc`` is a path in what was sent, never a branch of ours.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from limner.endpoints.accept import ECHO_LIMIT, accept
from limner.endpoints.fields import extension
from limner.errors import DOCS_URL, InvalidInput


def even(number: int) -> int:
    if number % 2:
        raise ValueError("odd")
    return number


class Inner(BaseModel):
    number: int = Field(gt=0)


class Asked(BaseModel):
    must: str
    size: Inner | Literal["small", "large"] = "small"
    inner: Inner | None = None
    named: Inner | str = ""
    words: list[Annotated[str, Field(min_length=1, max_length=3)]] = []
    many: list[Inner] = Field([], min_length=2, max_length=3)
    share: float = Field(0.5, le=1, allow_inf_nan=False)
    pair: Annotated[int, AfterValidator(even)] = 0
    ours: int | None = extension(description="Not part of fal's API.")


def entries(raw: Any, *, strict: bool = False) -> list[dict[str, Any]]:
    with pytest.raises(InvalidInput) as refused:
        accept(Asked, raw, strict=strict)
    found = refused.value.answer().body["detail"]
    for entry in found:
        assert entry.pop("url") == DOCS_URL + entry["type"]
        assert entry["loc"].pop(0) == "body"
        assert entry.pop("msg")
    return found


@pytest.mark.parametrize(
    ("said", "kind", "loc", "more"),
    [
        ({"must": 5}, "string_type", ["must"], {"input": 5}),
        ({"must": True}, "string_type", ["must"], {"input": True}),
        ({"must": []}, "string_type", ["must"], {}),
        # Of a union only what the caller meant: an object's fields, or the names.
        ({"size": "huge"}, "one_of", ["size"],
         {"ctx": {"expected": ["small", "large"]}, "input": "huge"}),
        ({"size": 5}, "one_of", ["size"], {"ctx": {"expected": ["small", "large"]}, "input": 5}),
        ({"size": None}, "one_of", ["size"], {"ctx": {"expected": ["small", "large"]}}),
        ({"size": {}}, "missing", ["size", "number"], {}),
        ({"size": {"number": 0}}, "greater_than", ["size", "number"],
         {"ctx": {"gt": 0}, "input": 0}),
        ({"size": {"number": "x"}}, "int_parsing", ["size", "number"], {"input": "x"}),
        ({"named": {"number": 0}}, "greater_than", ["named", "number"],
         {"ctx": {"gt": 0}, "input": 0}),
        ({"named": 5}, "string_type", ["named"], {"input": 5}),
        # Where an object alone can stand, that is what is said.
        ({"inner": 5}, "model_attributes_type", ["inner"], {"input": 5}),
        ({"words": ["a", ""]}, "sequence_too_short", ["words", 1],
         {"ctx": {"min_length": 1}, "input": ""}),
        ({"words": ["abcd"]}, "sequence_too_long", ["words", 0],
         {"ctx": {"max_length": 3}, "input": "abcd"}),
        ({"many": [{"number": 1}]}, "sequence_too_short", ["many"],
         {"ctx": {"field_type": "List", "min_length": 2, "actual_length": 1}}),
        ({"many": [{"number": 1}, {}]}, "missing", ["many", 1, "number"], {}),
        ({"many": [{"number": 1}] * 4}, "sequence_too_long", ["many"],
         {"ctx": {"field_type": "List", "max_length": 3, "actual_length": 4}}),
        # JSON has no number for these.
        ({"share": math.inf}, "finite_number", ["share"], {"input": "inf"}),
        ({"share": -math.inf}, "finite_number", ["share"], {"input": "-inf"}),
        ({"share": 1e308}, "less_than_equal", ["share"], {"ctx": {"le": 1}, "input": 1e308}),
        # What is long is a picture, or a number that no client reads.
        ({"share": "x" * ECHO_LIMIT}, "float_parsing", ["share"], {"input": "x" * 200}),
        ({"share": "x" * (ECHO_LIMIT + 1)}, "float_parsing", ["share"], {}),
        ({"share": 2**64 - 1}, "less_than_equal", ["share"],
         {"ctx": {"le": 1}, "input": 2**64 - 1}),
        ({"share": 2**64}, "less_than_equal", ["share"], {"ctx": {"le": 1}}),
        ({"pair": 3}, "value_error", ["pair"], {"ctx": {"error": "odd"}, "input": 3}),
    ],
)  # fmt: skip
def test_a_wrong_field_has_one_entry_whatever_else_is_wrong(
    said: dict[str, Any], kind: str, loc: list[str | int], more: dict[str, Any]
) -> None:
    expected = {"type": kind, "loc": loc, **more}
    assert entries({"must": "x", **said}) == [expected]
    # The complaints of one field say nothing of another's.
    other = {"type": "one_of", "loc": ["size"], "ctx": {"expected": ["small", "large"]}}
    if "size" not in said:
        both = entries({"must": "x", "size": "huge", **said})
        assert len(both) == 2
        assert expected in both
        assert {**other, "input": "huge"} in both
    if "must" not in said:
        assert entries(said) == [{"type": "missing", "loc": ["must"]}, expected]


def test_a_number_that_is_none_is_said_in_words() -> None:
    (entry,) = entries({"must": "x", "share": math.nan})
    assert (entry["type"], entry["input"]) == ("finite_number", "nan")


@pytest.mark.parametrize("raw", [[], [5], "x", 5, None, True])
def test_what_is_no_object_is_said_of_the_body(raw: Any) -> None:
    (entry,) = entries(raw)
    assert (entry["type"], entry["loc"]) == ("model_attributes_type", [])


def test_a_strict_server_refuses_what_fal_does_not_know_and_all_else_takes_it() -> None:
    raw = {"must": "x", "ours": 3, "theirs": "y"}
    taken = accept(Asked, raw)
    assert (taken.ours, hasattr(taken, "theirs")) == (3, False)
    kind = {"type": "extra_forbidden"}
    ours, theirs = {**kind, "loc": ["ours"], "input": 3}, {**kind, "loc": ["theirs"], "input": "y"}
    assert entries(raw, strict=True) == [ours, theirs]
    assert entries({"must": "x", "ours": 3}, strict=True) == [ours]
    assert entries({"ours": 3}, strict=True) == [ours, {"type": "missing", "loc": ["must"]}]
    assert accept(Asked, {"must": "x"}, strict=True).ours is None
    with pytest.raises(InvalidInput, match="Extra inputs are not permitted"):
        accept(Asked, {"must": "x", "ours": 3}, strict=True)
    assert entries([], strict=True)[0]["loc"] == []
