"""``limner config``: what the settings are, where each comes from, and where the file lies.

Prints no secret: not the password in an address, and nothing of a setting whose name says that it
is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr

from limner.cli.shell import complain
from limner.settings import Settings
from limner.settings import origin as origin_of
from limner.settings_file import SettingsFile, usual_places

HIDDEN = "****"

#: Settings whose whole value is a secret, by their names.
SECRET_NAME = re.compile(r"(^|_)(secret|password|passphrase|token|credentials?)(_|$)|_key$")

#: The user and password of an address.
USERINFO = re.compile(r"(?<=//)[^/@]*@")


def show(*, origin: bool, as_json: bool, flags: Sequence[str]) -> None:
    """Print every setting; ``flags``: names of those that the command line gave."""
    settings = Settings()
    given = {flag.strip().lower() for flag in flags}
    file = SettingsFile.find()
    values = {name: plain(name, getattr(settings, name)) for name in Settings.model_fields}
    from_where = {name: "--set" if name in given else origin_of(name, file) for name in values}
    if as_json:
        told: dict[str, Any] = values
        if origin:
            told = {
                name: {"value": value, "origin": from_where[name]} for name, value in values.items()
            }
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for name, value in values.items():
        # JSON is TOML as far as texts and numbers go; TOML has no word for nothing.
        line = (
            f"{name} = {json.dumps(value, ensure_ascii=False)}"
            if value is not None
            else (f"# {name} =")
        )
        typer.echo(f"{line:<48}  # {from_where[name]}" if origin else line)


def plain(name: str, value: Any) -> Any:
    """A setting's value as it may be shown."""
    if isinstance(value, SecretStr) or (SECRET_NAME.search(name) and value):
        return HIDDEN
    if isinstance(value, Path):
        return str(value)
    return USERINFO.sub(f"{HIDDEN}@", value) if isinstance(value, str) else value


def path() -> None:
    """Print the path of the file that counts, or of the user's own that is not there yet."""
    file = SettingsFile.find()
    if file is None:
        complain("there is no limner.toml; this is where your own would be")
    typer.echo(str(file or usual_places()[-1]))
