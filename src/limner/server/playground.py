"""The page that a person sees at ``/``: built files out of one folder, under a strict policy.

The page is a client like any other: it speaks fal's routes and our ``/limner/v1``, and has no
power that a program has not. Its source is ``frontend/``; what lies in the folder was built from
it. A program that asks for ``/`` (no ``text/html`` in Accept) still gets our JSON.
Knows files and headers; knows nothing of what the page does.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from limner.server.hosts import CANONICAL

#: Where the page's own files are, in the folder and on the wire; named in ``hosts.OWN``.
FILES = "assets"

#: File endings of a build → content types; nothing else is served.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".txt": "text/plain; charset=utf-8",
}

#: No inline script or style, nothing from elsewhere, nobody may frame the page.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # blob and data: a chosen photo is shown before it is uploaded.
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One built file, held in memory: a build is small."""

    content: bytes
    zipped: bytes
    content_type: str
    etag: str
    #: Its name holds a hash of its content, so it never changes.
    fixed: bool


class ForBrowsers(Route):
    """A route that only whoever wants HTML matches; everybody else goes on to the next."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Starlette's question."""
        accept = dict(scope.get("headers", ())).get(b"accept", b"")
        return super().matches(scope) if b"text/html" in accept else (Match.NONE, {})


def load(folder: Path) -> dict[str, Asset]:
    """Every servable file of a build by its path below the folder."""
    assets: dict[str, Asset] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in TYPES:
            continue
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        assets[name] = Asset(
            content=content,
            zipped=gzip.compress(content, 9, mtime=0),
            content_type=TYPES[path.suffix],
            etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            fixed=name.startswith(f"{FILES}/"),
        )
    return assets


def respond(request: Request, asset: Asset) -> Response:
    """An asset as an answer to GET or HEAD."""
    headers = {
        **HEADERS,
        "content-type": asset.content_type,
        "etag": asset.etag,
        "vary": "accept, accept-encoding",
        "cache-control": "public, max-age=31536000, immutable" if asset.fixed else "no-cache",
    }
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = asset.content
    if "gzip" in request.headers.get("accept-encoding", "") and len(asset.zipped) < len(body):
        body = asset.zipped
        headers["content-encoding"] = "gzip"
    return Response(body, headers=headers)


def mount_playground(app: FastAPI, folder: Path) -> None:
    """Serve the build in ``folder`` at ``/``. Raises FileNotFoundError when there is none."""
    assets = load(folder)
    if "index.html" not in assets:
        raise FileNotFoundError(f"no index.html in {folder}: run `npm run build` in frontend/")

    async def page(request: Request) -> Response:
        return respond(request, assets["index.html"])

    async def file(request: Request) -> Response:
        asset = assets.get(f"{FILES}/{request.path_params['name']}")
        return Response(status_code=404) if asset is None else respond(request, asset)

    async def model(request: Request) -> Response:
        # fal's page of a model, by the prefix road: the documents link it as ``playgroundUrl``.
        site: str = request.state.address.site
        home = site.removesuffix(f"/{CANONICAL['site']}") if urlsplit(site).path else ""
        return RedirectResponse(
            f"{home}/#/{request.path_params['owner']}/{request.path_params['alias']}"
        )

    app.router.routes.append(ForBrowsers("/", page))
    app.router.routes.append(ForBrowsers("/@site/models/{owner}/{alias}", model))
    app.router.routes.append(Route(f"/{FILES}/{{name}}", file))
