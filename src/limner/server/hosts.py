"""One table of fal's names, and the three roads by which a call reaches the same handlers.

1. By host: the client resolves ``queue.fal.run`` to us.
2. By path prefix: ``http://here/queue.fal.run/fal-ai/…``.
3. By proxy: ``/api/fal/proxy`` with the real address in ``x-fal-target-url``.

Every road ends at an internal path ``/@{part}/…`` (the parts are the values of ``PARTS``); a plain
``/{owner}/{alias}`` on our own name is a run. Nothing is ever forwarded to the real fal.
The :class:`Address` of the caller's road goes along, so that URLs in answers lead back by it.

Knows URLs; knows no endpoint, request or key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from limner.files.seals import SEALED

#: fal's host names (wire.md 1.1 and 13) → the part of the API that answers there.
PARTS = {
    "fal.run": "run",
    "falrun.com": "run",
    "queue.fal.run": "queue",
    "queue.falrun.com": "queue",
    "rest.fal.ai": "rest",
    "rest.alpha.fal.ai": "rest",
    "ws.fal.run": "ws",
    "v3.fal.media": "media",
    "v3b.fal.media": "media",
    "fal.media": "media",
    "fal.ai": "site",
    "api.fal.ai": "platform",
}

#: The name under which each part is told to callers.
CANONICAL = {
    "run": "fal.run",
    "queue": "queue.fal.run",
    "rest": "rest.fal.ai",
    "media": "v3.fal.media",
    "site": "fal.ai",
}

PROXY_PATH = "/api/fal/proxy"

#: What a Host header may look like (RFC 9110, 7.2): it goes into every URL that is answered.
HOST = re.compile(r"([A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")

#: First path segments that are our own and no endpoint's owner.
OWN = frozenset({"", "health", "ready", "metrics", "api", "assets"})

#: Our own API; other paths below ``/limner`` may be an endpoint of that owner.
OWN_API = "/limner/v1/"


@dataclass(frozen=True, slots=True)
class Address:
    """Base URLs, without trailing slash, by which this caller reaches each part."""

    run: str
    queue: str
    rest: str
    media: str
    site: str
    #: Where files are read: the media part, or below it where an address needs a seal.
    files: str


def address_of(scheme: str, host: str, *, by_name: bool, sealed: bool = False) -> Address:
    """The bases for a caller who came to ``host`` (with port), by fal's names or by prefixes.

    ``sealed``: do the addresses of files need a seal?
    """
    if by_name:
        port = host.partition(":")[2]
        suffix = f":{port}" if port else ""
        bases = {part: f"{scheme}://{name}{suffix}" for part, name in CANONICAL.items()}
    else:
        bases = {part: f"{scheme}://{host}/{name}" for part, name in CANONICAL.items()}
    return Address(**bases, files=bases["media"] + (SEALED if sealed else ""))


def part_of(host: str) -> str | None:
    """The part of fal's API that answers at this host name; None for any other host."""
    return PARTS.get(host.partition(":")[0].lower().rstrip("."))


class Hosts:
    """ASGI middleware that brings every road to the internal paths."""

    def __init__(self, app: ASGIApp, public_url: str = "", *, sealed: bool = False) -> None:
        """``public_url`` replaces scheme and host of our own name in answers, e.g. behind TLS.

        ``sealed``: do the addresses of files need a seal?
        """
        self.app = app
        self.sealed = sealed
        self.public = urlsplit(public_url) if public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"]
        hosts = headers.getlist("host")
        # One, as RFC 9112 3.2 has it: of two, a proxy before us may have looked at the other.
        few = 0 if scope.get("http_version") == "1.0" else 1
        if not few <= len(hosts) <= 1 or not _is_host("".join(hosts)):
            refusal = JSONResponse({"detail": "The Host header cannot be read"}, 400)
            await refusal(scope, receive, send)
            return
        if path.rstrip("/") == PROXY_PATH and scope.get("method", "OPTIONS") != "OPTIONS":
            refusal = self._by_proxy(scope, headers)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        else:
            self._by_name_or_prefix(scope, headers.get("host", ""), path)
        scope["raw_path"] = scope["path"].encode()
        await self.app(scope, receive, send)

    def _own_address(self, scope: Scope, host: str) -> Address:
        if self.public is not None:
            where = self.public.netloc + self.public.path.rstrip("/")
            return address_of(self.public.scheme, where, by_name=False, sealed=self.sealed)
        return address_of(_http_scheme(scope), host, by_name=False, sealed=self.sealed)

    def _by_name_or_prefix(self, scope: Scope, host: str, path: str) -> None:
        named = part_of(host)
        if named is not None:
            address = address_of(_http_scheme(scope), host, by_name=True, sealed=self.sealed)
            inner = f"/@{named}{path}"
        else:
            address = self._own_address(scope, host)
            first, _, rest = path.lstrip("/").partition("/")
            part = part_of(first) if first not in OWN else None
            if part is not None:
                inner = f"/@{part}/{rest}"
            elif first in OWN or path.startswith(OWN_API):
                inner = path
            else:
                inner = f"/@run{path}"
        _arrive(scope, inner, address)

    def _by_proxy(self, scope: Scope, headers: Headers) -> Response | None:
        """Rewrite a proxied call in place; a Response when fal's proxy contract refuses it."""
        target = headers.get("x-fal-target-url")
        if scope["method"] not in ("GET", "POST", "PUT"):
            return JSONResponse("Method not allowed", 405)
        if not target:
            return JSONResponse("Missing the x-fal-target-url header", 400)
        try:
            url = urlsplit(target)
        except ValueError:
            url = urlsplit("")
        part = part_of(url.netloc)
        if url.scheme not in ("http", "https") or part is None:
            return JSONResponse("The x-fal-target-url header is not one of fal's addresses", 412)
        content_type = headers.get("content-type", "application/json")
        if scope["method"] == "POST" and not content_type.startswith("application/json"):
            return JSONResponse("Only JSON may be posted through the proxy", 415)
        scope["query_string"] = url.query.encode()
        _arrive(
            scope,
            f"/@{part}{unquote(url.path)}",
            self._own_address(scope, headers.get("host", "")),
        )
        return None


def _is_host(host: str) -> bool:
    """May this stand in the URLs that are answered?"""
    if not HOST.fullmatch(host):
        return False
    if host.startswith("["):
        try:
            IPv6Address(host[1:].partition("]")[0])
        except ValueError:
            return False
    return True


def _http_scheme(scope: Scope) -> str:
    scheme: str = scope["scheme"]
    return {"ws": "http", "wss": "https"}.get(scheme, scheme)


def _arrive(scope: Scope, path: str, address: Address) -> None:
    """Set the internal path; clients disagree about trailing slashes, so none is kept."""
    scope["path"] = path.rstrip("/") or "/"
    scope.setdefault("state", {})["address"] = address
