"""Every setting, route and field is documented, with the values it really has; every link leads
somewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from limner.diffusion.weights import WEIGHTS
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint
from limner.endpoints.fields import is_extension
from limner.server.hosts import PARTS
from limner.settings import Settings
from tests.docs.pages import PAGES, ROOT, links, page, rows, section
from tests.docs.whole import whole_app

SOURCE = ROOT / "src" / "limner"

#: What a page names for the reader to make.
UNMADE = {"deploy/secrets/", "docs/decisions/NNNN-title.md"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Any) -> None:
    for target in links(path):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_names_is_there(path: Any) -> None:
    """Those between backticks, from the repository's root or within ``src/limner``."""
    folders = [
        folder.name for root in (ROOT, SOURCE) for folder in root.iterdir() if folder.is_dir()
    ]
    begins = "|".join(re.escape(name) for name in folders if not name.startswith("."))
    named = re.findall(rf"`((?:{begins})/[\w/.@-]+)`", path.read_text())
    for name in set(named) - UNMADE:
        # A decision is named by its number.
        assert any(any(root.glob(f"{name.rstrip('/')}*")) for root in (ROOT, SOURCE)), name


def test_every_page_is_in_the_index() -> None:
    index = set(links(ROOT / "docs" / "README.md"))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= index


# Settings


#: One more has to take another's place (decision 57).
MOST_SETTINGS = 25


def shown(value: object) -> str:
    """A default as the page writes it."""
    if isinstance(value, bool):
        return f"`{int(value)}`"
    if isinstance(value, int) and value and value % 2**20 == 0:
        return f"{value // 2**20} MiB"
    if isinstance(value, int) and value and value % 10**9 == 0:
        return f"{value // 10**9} GB"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_every_setting_is_on_the_operators_page_with_its_default() -> None:
    said = {row[0].strip("`"): row[1:] for row in rows(section(page("operating.md"), "Settings"))}
    fields = Settings.model_fields
    assert len(fields) <= MOST_SETTINGS
    assert set(said) == {f"LIMNER_{name.upper()}" for name in fields}
    for name, field in fields.items():
        default, meaning = said[f"LIMNER_{name.upper()}"]
        assert meaning
        if field.default_factory is None and field.default not in ("", None):
            assert default == shown(field.default), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_page_names_a_setting_that_is_not_one(path: Any) -> None:
    known = {f"LIMNER_{name.upper()}" for name in Settings.model_fields} | {"LIMNER_CONFIG"}
    assert set(re.findall(r"\bLIMNER_[A-Z_0-9]+\b", path.read_text())) <= known


# Fields


def bounds(schema: dict[str, Any]) -> str:
    """A field's bounds as the page writes them."""
    for choice in [schema, *schema.get("anyOf", [])]:
        if "minimum" in choice and "maximum" in choice:
            return f"{choice['minimum']}…{choice['maximum']}"
    return ""


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.alias)
def test_every_field_is_on_the_endpoints_page_in_fals_order(endpoint: Endpoint) -> None:
    said = rows(section(page("endpoints.md"), endpoint.id))
    fields = endpoint.input.model_fields
    names = [re.sub(r"[` ∗]", "", row[0]) for row in said]
    assert names == list(fields)
    schema = endpoint.input.model_json_schema()["properties"]
    for name, row in zip(names, said, strict=True):
        assert ("∗" in row[0]) == is_extension(fields[name]), name
        assert (row[2] == "required") == fields[name].is_required(), name
        default = fields[name].default
        if row[2].startswith("`"):
            written = {"true": True, "false": False}.get(row[2].strip('`"'), row[2].strip('`"'))
            assert str(written) == str(default), name
        elif row[2] != "fal's":
            assert fields[name].is_required() or default is None, name
        if limits := bounds(schema[name]):
            assert row[3].startswith(limits), name
        assert row[4], name


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.alias)
def test_every_field_of_the_answer_is_on_the_endpoints_page(endpoint: Endpoint) -> None:
    told = section(page("endpoints.md"), endpoint.id).partition("It answers")[2]
    for name, field in endpoint.output.model_fields.items():
        assert f"`{name}`{' ∗' if is_extension(field) else ''}" in told, name


# Routes

DESK = "/limner/v1/"


def told(route: str) -> str:
    """A route of ours as the page writes it: its host's heading, then the path."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", route)


def served(app: FastAPI) -> dict[tuple[str, str], set[str]]:
    """(part or nothing, path) → methods, of everything the app answers."""
    found: dict[tuple[str, str], set[str]] = {}
    for route in iter_route_contexts(app.routes):
        part, path = re.fullmatch(r"(?:/@(\w+))?(/.*)?", told(route.path)).groups()  # type: ignore
        methods = set(route.methods or {"WS"})
        found.setdefault((part or "", path or "/"), set()).update(methods)
    return found


def documented() -> dict[tuple[str, str], str]:
    """The same of the page, but for the desk's: (part or nothing, path) → the method it names."""
    found: dict[tuple[str, str], str] = {}
    text = page("api.md")
    for heading in re.findall(r"^## (`[a-z0-9.]+`|Limner's own)$", text, re.MULTILINE):
        routes = re.findall(r"^\| `(\S+)` `(\S+)` \|", section(text, heading), re.MULTILINE)
        for method, path in routes:
            found[PARTS.get(heading.strip("`"), ""), path] = method
    return found


#: Told apart inside a route: a stream is a run whose path says so.
WITHIN_A_ROUTE = {("run", "/{app}/stream")}
#: The same answer without a host, for programs that know no other address.
TWICE = {("", "/api/openapi/queue/openapi.json")}


def test_every_route_is_on_the_api_page_and_nothing_else() -> None:
    routes = {at: methods for at, methods in served(whole_app()).items() if DESK not in at[1]}
    told = documented()
    assert set(told) - WITHIN_A_ROUTE == set(routes) - TWICE
    for at in set(told) - WITHIN_A_ROUTE:
        assert told[at] == "*" or told[at] in routes[at], at


def test_every_route_of_the_desk_is_on_the_playgrounds_page() -> None:
    said = [re.sub(r"\{\w+\}", "{}", row[0]) for row in rows(page("playground.md"))]
    for (_, path), methods in served(whole_app()).items():
        if not path.startswith(DESK):
            continue
        plain = re.sub(r"\{\w+\}", "{}", path)
        # `…/redeliver` stands for the path of its row with another end.
        ends = (plain, "…" + plain[plain.rindex("/") :])
        ends += ("…" + plain[plain.rindex("/", 0, plain.rindex("/")) :],)
        ways = [
            cell for cell in said if any(f"{end}`" in cell or f"{end}?" in cell for end in ends)
        ]
        for method in methods - {"HEAD"}:
            assert any(method in cell for cell in ways), (method, path)


# Weights


def test_every_weight_is_on_the_engines_page_with_its_terms() -> None:
    text = section(page("engines-and-weights.md"), "diffusion")
    said = {row[0]: row[1:] for row in rows(text)}
    assert said == {
        weight.name: [weight.repo or "yours", weight.licence, "yes" if weight.commercial else "no"]
        for weight in WEIGHTS.values()
    }


@pytest.mark.parametrize("name", ["privacy.md", "security.md"])
def test_every_test_that_a_page_of_promises_names_is_there(name: str) -> None:
    for named in re.findall(r"`(tests/[\w/.]+)`", page(name)):
        assert (ROOT / named).exists(), named
