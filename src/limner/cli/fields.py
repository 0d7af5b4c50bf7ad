"""``limner run … --fields``: an endpoint's fields as people write them."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import Any

import typer

from limner.cli.words import Fields
from limner.endpoints.base import Endpoint

#: What a field that takes an address is told to be, whatever fal calls it.
FILE_HELP = "@file here, or a URL."


def show(endpoint: Endpoint) -> None:
    """Print every field: name, default, bounds, meaning."""
    fields = Fields(endpoint)
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    typer.echo(f"{endpoint.id}: {endpoint.description}\n")
    required = fields.schema.get("required", ())
    for name, schema in fields.properties.items():
        default = "required" if name in required else f"default {_plain(schema.get('default'))}"
        typer.echo(f"  {name}  ({', '.join([default, *_bounds(fields, name)])})")
        text = " ".join(str(schema.get("description", "")).split())
        if name in fields.files:
            text = f"{FILE_HELP} {text}"
        typer.echo(textwrap.fill(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6))


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return textwrap.shorten(text, 60, placeholder="…")


def _bounds(fields: Fields, name: str) -> list[str]:
    """What the schema allows, in a few words."""
    told: list[str] = []
    for branch in fields.branches(name):
        if "minimum" in branch and "maximum" in branch:
            told.append(f"{branch['minimum']}…{branch['maximum']}")
        if "enum" in branch:
            told.append(" | ".join(map(str, branch["enum"])))
        if {"width", "height"} <= set(branch.get("properties", ())):
            told.append("WIDTHxHEIGHT")
    return told
