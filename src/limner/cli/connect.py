"""``limner connect``: the exact lines that lead a program from fal to this server.

Lines go to standard output, ready to be copied or sourced; remarks are comments in them.
Knows fal's roads (wire.md 1.4); checking them is ``limner.cli.smoke``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

import typer

from limner.cli.house import open_ledger, tls_folder
from limner.settings import Settings

DEFAULT_URL = "http://127.0.0.1:8000"


class Program(StrEnum):
    """What the caller is written in."""

    PYTHON = "python"
    NODE = "node"
    BROWSER = "browser"
    CURL = "curl"


@dataclass(frozen=True, slots=True)
class Place:
    """How this server is reached."""

    #: Scheme, host and port, without a trailing slash.
    url: str
    #: The certificates to trust for it; None when no authority was ever made here.
    trust: Path | None
    #: Ids of keys that are good; none: no key is needed yet.
    keys: tuple[str, ...]

    @property
    def proxy(self) -> str:
        """The server as an HTTPS proxy: the same port, spoken to plainly."""
        return f"http://{urlsplit(self.url).netloc}"

    def key_line(self, line: str, comment: str = "#") -> str:
        """``line`` with a key's place filled in, and where the key comes from."""
        if not self.keys:
            return f"{line.format(key='any:key')}  {comment} no key is needed yet; any text will do"
        key = f"{self.keys[0]}:<secret>"
        return f"{line.format(key=key)}  {comment} shown once by `limner keys create`"


def place(url: str | None) -> Place:
    """This server, from the settings, its home, and ``url`` when it was told."""
    settings = Settings()
    bundle = tls_folder(settings) / "ca-bundle.pem"
    with open_ledger(settings) as ledger:
        keys = tuple(key.id for key in ledger.list_keys().result() if key.revoked_at is None)
    found = (url or settings.public_url or DEFAULT_URL).rstrip("/")
    return Place(found, bundle if bundle.exists() else None, keys)


def python_lines(at: Place) -> list[str]:
    """Two variables over TLS; else the client's module addresses."""
    if at.trust is not None:
        return [
            "# Your program unchanged; the server runs as `limner serve --tls`.",
            f"export HTTPS_PROXY={at.proxy}",
            f"export SSL_CERT_FILE={quote(str(at.trust))}",
            at.key_line("export FAL_KEY={key}"),
        ]
    return [
        "# `limner serve --tls` makes this two variables. Over plain HTTP, once in your program:",
        "import fal_client.client as addresses",
        f'addresses.RUN_URL_FORMAT = "{at.url}/fal.run/"',
        f'addresses.QUEUE_URL_FORMAT = "{at.url}/queue.fal.run/"',
        f'addresses.REALTIME_URL_FORMAT = "{at.url.replace("http", "ws", 1)}/fal.run/"',
        f'addresses.REST_URL = "{at.url}/rest.fal.ai"',
        f'addresses.CDN_URL = "{at.url}/v3.fal.media"',
        at.key_line("# and before it: export FAL_KEY={key}"),
    ]


def node_lines(at: Place) -> list[str]:
    """One line of configuration."""
    lines = [
        'import { fal } from "@fal-ai/client";',
        f'fal.config({{ proxyUrl: {{ url: "{at.url}/api/fal/proxy", when: "always" }} }});',
        at.key_line("// and before it: export FAL_KEY={key}", ""),
    ]
    if at.url.startswith("https") and at.trust is not None:
        authority = quote(str(at.trust.with_name("ca.pem")))
        lines.append(f"// and: export NODE_EXTRA_CA_CERTS={authority}")
    return lines


def browser_lines(at: Place) -> list[str]:
    """One line of configuration; a key does not belong in a page."""
    lines = [
        'import { fal } from "@fal-ai/client";',
        f'fal.config({{ proxyUrl: "{at.url}/api/fal/proxy" }});',
    ]
    if at.keys:
        lines.append("// This server needs a key: keep it in your own backend's fal proxy.")
    else:
        lines.append("// No key is needed yet, so only pages on this machine may call.")
    return lines


def curl_lines(at: Place) -> list[str]:
    """The queue in three calls."""
    trust = f" --cacert {quote(str(at.trust))}" if at.url.startswith("https") and at.trust else ""
    key = f' -H "Authorization: Key {at.keys[0]}:<secret>"' if at.keys else ""
    queue = f"{at.url}/queue.fal.run/fal-ai/face-to-sticker"
    body = '{"prompt": "a person", "image_url": "https://…/me.jpg"}'
    return [
        f"curl{trust}{key} {queue} -H 'content-type: application/json' -d '{body}'",
        f"curl{trust}{key} '{queue}/requests/REQUEST_ID/status?logs=1'",
        f"curl{trust}{key} {queue}/requests/REQUEST_ID",
    ]


LINES: dict[Program, Callable[[Place], list[str]]] = {
    Program.PYTHON: python_lines,
    Program.NODE: node_lines,
    Program.BROWSER: browser_lines,
    Program.CURL: curl_lines,
}


def connect(program: Program, url: str | None, *, check: bool) -> None:
    """Print the lines for ``program``; with ``check`` try them, exiting with 1 if they fail."""
    at = place(url)
    for line in LINES[program](at):
        typer.echo(line)
    if not check:
        return
    from limner.cli.smoke import CHECKS, CheckFailed

    try:
        proven = CHECKS[program](at)
    except CheckFailed as failure:
        typer.echo(f"limner: {failure}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"Checked: {proven}", err=True)
