"""``limner.toml``: where it is looked for, and reading it; and which ``LIMNER_*`` mean nothing.

Knows files and names; knows no setting.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import platformdirs

from limner.errors import Misconfigured

PREFIX = "LIMNER_"

#: Names another file than the usual ones; empty: no file at all.
CONFIG_VARIABLE = "LIMNER_CONFIG"

FILE_NAME = "limner.toml"

#: What Kubernetes puts into every container beside a service called limner (or limner-…); none of
#: it is meant for us: LIMNER_SERVICE_HOST, LIMNER_PORT=tcp://…, LIMNER_PORT_8000_TCP_ADDR …
SERVICE_LINK = re.compile(
    r"LIMNER_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
SERVICE_PORT = re.compile(r"(tcp|udp|sctp)://")


def usual_places() -> tuple[Path, ...]:
    """Where the file is looked for, first to last: here, then in the user's own folder."""
    own = Path(platformdirs.user_config_dir("limner", appauthor=False))
    return Path(FILE_NAME).absolute(), own / FILE_NAME


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The file that is in force."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @classmethod
    def find(cls) -> Self | None:
        """The file that counts, or None. Raises Misconfigured when the one named is not there."""
        named = os.environ.get(CONFIG_VARIABLE)
        if named is not None:
            path = Path(named).expanduser().absolute()
            if named and not path.is_file():
                raise Misconfigured(f"{CONFIG_VARIABLE}: {path} is not there")
            return cls(path) if named else None
        return next((cls(path) for path in usual_places() if path.is_file()), None)

    def read(self) -> dict[str, Any]:
        """What it says. Raises Misconfigured when it is not TOML or cannot be read."""
        try:
            return tomllib.loads(self.path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
            raise Misconfigured(f"{self.path} is not TOML: {wrong}") from None
        except RecursionError:
            raise Misconfigured(f"{self.path} is not TOML that anybody wrote: too deep") from None
        except OSError as problem:
            raise Misconfigured(f"{self.path} cannot be read: {problem.strerror}") from None

    def place(self, path: str) -> str:
        """A path that the file says: ``~`` is the user's home, and the rest begins at the file."""
        return str(self.path.parent / Path(path).expanduser())


def unknown_variables(settings: Iterable[str]) -> list[str]:
    """``LIMNER_*`` variables of this process that name none of ``settings``."""
    known = {f"{PREFIX}{name}".upper() for name in settings} | {CONFIG_VARIABLE}
    return sorted(
        name
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX)
        and name.upper() not in known
        and not SERVICE_LINK.fullmatch(name)
        and not (name.endswith("_PORT") and SERVICE_PORT.match(value))
    )
