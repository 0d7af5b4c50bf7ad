"""``limner serve``: the server, and worker processes beside it."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
import uvicorn

from limner.cli.house import open_files, open_ledger, set_up_logging, workshop
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint
from limner.server.app import ServerParts, create_app
from limner.server.storage import StorageLimits
from limner.settings import Settings
from limner.stages.fetch import Door
from limner.worker.engines import choose
from limner.worker.supervisor import Supervisor

#: What the supervisor runs; it holds the other end of its standard input.
WORKER_COMMAND = (sys.executable, "-m", "limner", "work", "--until-eof")


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen, and with which certificate."""

    host: str
    port: int
    tls_cert: Path | None = None
    tls_key: Path | None = None


def is_loopback(host: str) -> bool:
    """Can only this machine reach ``host``?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(listen: Listen) -> socket.socket:
    """A listening socket, so that the port is known before anything is announced."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((listen.host, listen.port))
    except OSError as error:
        raise typer.BadParameter(
            f"Cannot listen on {listen.host}:{listen.port}: {error.strerror}. Try --port 0."
        ) from None
    sock.listen(2048)
    return sock


def serve(
    listen: Listen,
    *,
    with_workers: bool,
    endpoints: Sequence[Endpoint] = ENDPOINTS,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> None:
    """Build the server from the settings and run it until SIGTERM or SIGINT."""
    settings = Settings()
    set_up_logging(settings)
    workers = settings.workers if with_workers else 0
    supervisor = Supervisor(worker_command, workers)
    with open_ledger(settings) as ledger:
        local = is_loopback(listen.host)
        if not local and not ledger.any_keys().result():
            raise typer.BadParameter(
                f"{listen.host} can be reached from elsewhere, and there is no key. "
                "Make one first: limner keys create"
            )
        app = create_app(
            ServerParts(
                ledger=ledger,
                files=open_files(settings),
                endpoints=endpoints,
                post=Door(
                    allow_private=settings.allow_private_urls,
                    max_bytes=settings.max_download_bytes,
                    timeout=settings.download_timeout,
                    own_file=lambda _: None,
                ).post,
                storage=StorageLimits(
                    max_bytes=settings.max_upload_bytes, retention=settings.upload_retention
                ),
                max_body_bytes=settings.max_body_bytes,
                open_without_keys=local,
                public_url=settings.public_url,
                strict=settings.strict,
                ready=lambda: workers == 0 or supervisor.alive() > 0,
            )
        )
        sock = bind(listen)
        announce(listen, sock, settings, endpoints)
        supervisor.start()
        try:
            uvicorn.Server(
                uvicorn.Config(
                    app,
                    access_log=False,  # a query may hold a token or a webhook's address
                    log_level="warning",
                    ssl_certfile=listen.tls_cert,
                    ssl_keyfile=listen.tls_key,
                    timeout_graceful_shutdown=5,
                )
            ).run(sockets=[sock])
        finally:
            supervisor.stop()
            sock.close()


def announce(
    listen: Listen, sock: socket.socket, settings: Settings, endpoints: Sequence[Endpoint]
) -> None:
    """Say where we are and what draws."""
    scheme = "https" if listen.tls_cert else "http"
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    typer.echo(f"Limner listens on {scheme}://{host}:{sock.getsockname()[1]}", err=True)
    for endpoint in endpoints:
        choice = choose(endpoint, settings.engine, workshop(settings))
        typer.echo(f"  {endpoint.id}: {choice.name} engine ({choice.why})", err=True)
