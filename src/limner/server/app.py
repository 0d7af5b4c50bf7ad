"""Puts the server together from parts that it is handed. Reads no settings, opens no database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from limner import __version__
from limner.endpoints.base import Endpoint
from limner.files.room import Room
from limner.files.seals import Seals
from limner.files.store import FileStore
from limner.requests.connections import Unreachable
from limner.requests.keyring import Secret
from limner.requests.ledger import Ledger
from limner.server import problems
from limner.server.desk import DeskParts, desk_router
from limner.server.desk.models import Shelf
from limner.server.guards import Guards
from limner.server.hosts import Hosts
from limner.server.intake import Intake
from limner.server.keys import Gate
from limner.server.metrics import metrics_router
from limner.server.openapi import documents_router
from limner.server.plain import PlainRoutes
from limner.server.platform import Platform, platform_router
from limner.server.playground import mount_playground
from limner.server.queue import Queue, queue_routes
from limner.server.realtime import Realtime, realtime_router
from limner.server.run import Run, run_routes
from limner.server.signing import Signer, jwks_router
from limner.server.storage import Storage, StorageLimits, storage_router
from limner.server.sweep import sweep_forever
from limner.server.tickets import UploadAccess
from limner.server.tokens import tokens_router
from limner.server.visitors import LOCAL_ORIGINS
from limner.server.watch import Watch
from limner.server.webhooks import Post, Webhooks
from limner.tracing import Tracing

#: FastAPI's own spans, logs and figures of calls, whatever the environment says: they hold
#: addresses with what callers put into them, and inputs that were refused.
NO_SPANS_OF_CALLS: Any = dict.fromkeys(
    ("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False
)

#: Seconds the ledger gets to answer whether it is there.
READY_WITHIN = 2.0


@dataclass(frozen=True)
class ServerParts:
    """Everything the server needs, already open."""

    ledger: Ledger
    files: FileStore
    endpoints: Sequence[Endpoint]
    post: Post
    storage: StorageLimits
    max_body_bytes: int
    #: Everybody may call as long as no key exists: only for a server bound to loopback.
    open_without_keys: bool
    public_url: str = ""
    #: Are files read by sealed addresses only?
    sealed: bool = False
    #: Refuse fields that fal does not have, Limner's own extensions among them.
    strict: bool = False
    #: May this server start requests: are workers alive?
    ready: Callable[[], bool] = field(default=lambda: True)
    #: Looks at the disk where files lie, for ``/metrics``; None where they lie on none.
    room: Callable[[], Room] | None = None
    #: The built web page to show at ``/``; None for an API without a page.
    playground: Path | None = None
    #: None where nobody asks for traces.
    tracing: Tracing | None = None
    #: What is told of this server beside the ledger: engines, workers, retention.
    about: Callable[[], Mapping[str, Any]] = field(default=dict)
    #: Starts the workers anew, so that they choose their engines again.
    renew: Callable[[], None] = field(default=lambda: None)
    #: Where networks and weights are kept, for the desk to show, fetch and remove.
    shelves: Sequence[Shelf] = ()


def create_app(parts: ServerParts) -> FastAPI:
    """fal's API over ``parts``."""
    signer = Signer(parts.ledger.secret(Secret.WEBHOOKS).result())
    token_key = parts.ledger.secret(Secret.TOKENS).result()
    upload_key = parts.ledger.secret(Secret.UPLOADS).result()
    seals = Seals(parts.ledger.secret(Secret.SEALS).result())
    gate = Gate(
        parts.ledger,
        token_key,
        open_without_keys=parts.open_without_keys,
        public_host=urlsplit(parts.public_url).hostname or "",
    )
    intake = Intake(
        parts.ledger,
        parts.endpoints,
        gate,
        max_body_bytes=parts.max_body_bytes,
        strict=parts.strict,
        tracing=parts.tracing,
    )

    watch = Watch()
    webhooks = Webhooks(parts.ledger, signer, parts.post, watch, parts.tracing)
    hot = [*queue_routes(Queue(intake, watch)), *run_routes(Run(intake, watch))]
    app = FastAPI(
        title="Limner",
        version=__version__,
        lifespan=_lifespan(parts, watch, webhooks),
        openapi_url=None,
        redirect_slashes=False,
        telemetry=NO_SPANS_OF_CALLS,
        middleware=[
            Middleware(Guards),
            _cors(parts),
            Middleware(Hosts, public_url=parts.public_url, sealed=parts.sealed),
            Middleware(PlainRoutes, routes=hot),
        ],
    )
    problems.install(app)
    if parts.playground is not None:
        mount_playground(app, parts.playground)
    _own_routes(app, parts)
    app.include_router(desk_router(gate, _desk(parts, seals)))
    app.include_router(metrics_router(gate, parts.ledger, parts.endpoints, parts.room))
    app.include_router(tokens_router(gate, parts.max_body_bytes))
    app.include_router(jwks_router(signer))
    app.include_router(platform_router(Platform(parts.ledger, parts.files, gate, parts.endpoints)))
    app.include_router(documents_router(parts.endpoints, strict=parts.strict))
    access = UploadAccess(upload_key)
    storage = Storage(parts.files, access, seals, gate, parts.storage)
    app.include_router(storage_router(storage), dependencies=[Depends(_upload_check(gate))])
    app.include_router(realtime_router(Realtime(intake, watch)))
    # Here too, for what is called by a method that they do not have.
    app.router.routes[:0] = hot
    return app


def _desk(parts: ServerParts, seals: Seals) -> DeskParts:
    return DeskParts(
        ledger=parts.ledger,
        files=parts.files,
        seals=seals,
        endpoints=parts.endpoints,
        about=parts.about,
        shelves=parts.shelves,
        renew=parts.renew,
        upload_retention=parts.storage.retention,
    )


def _lifespan(
    parts: ServerParts, watch: Watch, webhooks: Webhooks
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What goes on beside the calls while the server runs: hearing, delivering, sweeping."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        watch.attach()
        with parts.ledger.hear(watch.heard):
            tasks = [
                asyncio.create_task(webhooks.deliver_forever()),
                asyncio.create_task(sweep_forever(parts.ledger, parts.files)),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    return lifespan


def _upload_check(gate: Gate) -> Callable[[Request], Awaitable[None]]:
    """Files themselves are public by their unguessable names; making them is not."""

    async def keyed(request: Request) -> None:
        if request.scope["path"].startswith("/@rest/"):
            request.state.key_id = (await gate.caller(request)).key_id

    return keyed


def _cors(parts: ServerParts) -> Middleware:
    """Browsers may call from anywhere once a key is needed, and from this machine before."""
    return Middleware(
        CORSMiddleware,
        allow_methods=["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=[
            "x-fal-request-id",
            "x-fal-request-timeout-type",
            "etag",
            "x-limner-engine",
        ],
        allow_origins=() if parts.open_without_keys else ("*",),
        allow_origin_regex=LOCAL_ORIGINS if parts.open_without_keys else None,
    )


def _own_routes(app: FastAPI, parts: ServerParts) -> None:
    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> dict[str, str]:
        """Alive: says nothing of workers or models."""
        return {"status": "ok"}

    @app.api_route("/ready", methods=["GET", "HEAD"])
    async def ready() -> JSONResponse:
        """Able to take requests: the ledger answers, and a worker of ours is alive."""
        up = parts.ready()
        try:
            async with asyncio.timeout(READY_WITHIN):
                await asyncio.wrap_future(parts.ledger.any_keys())
        except (TimeoutError, Unreachable):
            up = False
        return JSONResponse({"status": "ready" if up else "starting"}, 200 if up else 503)

    @app.get("/")
    async def home() -> dict[str, object]:
        """What this is, for a person who opens the address."""
        return {
            "name": "Limner",
            "version": __version__,
            "endpoints": [endpoint.id for endpoint in parts.endpoints],
        }
