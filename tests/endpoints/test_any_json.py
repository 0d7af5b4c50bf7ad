"""Any JSON in any field of any endpoint is accepted, or refused in fal's words at that field.

Taken from ``ENDPOINTS``: a new endpoint, or a new field, is tested without a new line here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limner.endpoints import ENDPOINTS
from limner.endpoints.accept import ECHO_LIMIT, accept
from limner.endpoints.base import Endpoint
from limner.endpoints.fields import is_extension
from limner.errors import DOCS_URL, InvalidInput

FIELDS = [
    pytest.param(endpoint, name, id=f"{endpoint.alias}-{name}")
    for endpoint in ENDPOINTS
    for name in endpoint.input.model_fields
]
EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.alias)

# What a JSON parser hands over: whole numbers of any length, and 1e999, which is infinite.
NUMBERS = st.integers() | st.floats(allow_nan=False) | st.sampled_from([10**400, -(10**30), 1e308])
TEXTS = st.text(max_size=30) | st.sampled_from(
    ["true", "1", "1e3", "square_hd", "x" * 5000, "\x00"]
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["width", "height", "x"]) | TEXTS, inner, max_size=4)
    ),
    max_leaves=8,
)
MANY = settings(max_examples=60, deadline=None, derandomize=True)


def refusal(endpoint: Endpoint, raw: Any, *, strict: bool = False) -> list[dict[str, Any]]:
    """fal's entries for ``raw``, checked for their form; none when it is accepted."""
    try:
        accept(endpoint.input, raw, strict=strict)
    except InvalidInput as refused:
        answer = refused.answer()
        assert answer.status == 422
        # It goes out as JSON, which knows no infinity.
        json.dumps(answer.body, allow_nan=False)
        entries = answer.body["detail"]
        assert entries
        for entry in entries:
            assert entry["loc"][0] == "body"
            assert entry["msg"]
            assert entry["url"] == DOCS_URL + entry["type"]
            assert len(str(entry.get("input", ""))) <= ECHO_LIMIT
        return entries
    return []


@pytest.mark.parametrize(("endpoint", "name"), FIELDS)
@MANY
@given(value=JSON)
def test_any_value_in_a_field_is_accepted_or_refused_there(
    endpoint: Endpoint, name: str, value: Any
) -> None:
    raw = {**endpoint.example, name: value}
    entries = refusal(endpoint, raw)
    if not entries:
        # The ledger keeps the JSON as it came; the worker reads it anew and must see the same.
        kept = json.loads(json.dumps(raw, allow_nan=False))
        assert accept(endpoint.input, kept) == accept(endpoint.input, raw)
    for entry in entries:
        # fal's page: the first item after `body` is the field.
        assert entry["loc"][1] == name
        # The path leads through what was really sent.
        here: Any = raw
        for key in entry["loc"][1:-1] if entry["type"] == "missing" else entry["loc"][1:]:
            here = here[key]


@EACH
@MANY
@given(raw=JSON)
@example(raw=[])
@example(raw={})
def test_any_json_at_all_is_accepted_or_refused(endpoint: Endpoint, raw: Any) -> None:
    entries = refusal(endpoint, raw)
    if not isinstance(raw, dict):
        assert [entry["loc"] for entry in entries] == [["body"]]


@EACH
@MANY
@given(value=st.text(max_size=50))
def test_any_text_in_any_field_of_a_query_is_accepted_or_refused(
    endpoint: Endpoint, value: str
) -> None:
    for name in endpoint.input.model_fields:
        for entry in refusal(endpoint, {**endpoint.example, name: value}):
            assert entry["loc"][1] == name


@EACH
@MANY
@given(wrong=st.data())
def test_every_wrong_field_has_an_entry_whatever_else_is_wrong(
    endpoint: Endpoint, wrong: st.DataObject
) -> None:
    names = wrong.draw(st.sets(st.sampled_from(sorted(endpoint.input.model_fields)), min_size=2))
    values = {name: wrong.draw(JSON, label=name) for name in sorted(names)}

    def blamed(some: dict[str, Any]) -> set[str]:
        return {entry["loc"][1] for entry in refusal(endpoint, {**endpoint.example, **some})}

    alone = {name for name in names if blamed({name: values[name]})}
    assert blamed(values) == alone


@EACH
@MANY
@given(more=st.dictionaries(st.text(max_size=20), JSON, max_size=5))
def test_unknown_fields_change_nothing_unless_the_server_is_strict(
    endpoint: Endpoint, more: dict[str, Any]
) -> None:
    known = endpoint.input.model_fields
    unknown = {name: value for name, value in more.items() if name not in known}
    raw = {**unknown, **endpoint.example}
    assert accept(endpoint.input, raw) == accept(endpoint.input, endpoint.example)
    entries = refusal(endpoint, raw, strict=True)
    assert sorted(entry["loc"][1] for entry in entries) == sorted(unknown)
    assert all(entry["type"] == "extra_forbidden" for entry in entries)


@EACH
def test_an_extension_left_out_is_none_and_fals_answer_has_no_trace_of_it(
    endpoint: Endpoint,
) -> None:
    ours = [name for name, field in endpoint.input.model_fields.items() if is_extension(field)]
    assert ours
    for name in ours:
        assert not endpoint.input.model_fields[name].is_required()
        assert name not in endpoint.example
    assert not refusal(endpoint, endpoint.example, strict=True)
