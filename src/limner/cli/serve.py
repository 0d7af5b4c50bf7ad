"""``limner serve``: the server, and worker processes beside it."""

from __future__ import annotations

import errno
import ipaddress
import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import typer
import uvicorn
from fastapi import FastAPI

import limner
from limner.cli.about import about
from limner.cli.house import (
    largest_body,
    open_files,
    open_ledger,
    picture_signer,
    room,
    set_up_logging,
    settle,
    tls_folder,
    traced,
    warn_of_others,
    workshop,
)
from limner.cli.shelves import shelves
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint
from limner.errors import Misconfigured
from limner.files.tally import Tally
from limner.requests.ledger import Ledger
from limner.server.app import ServerParts, create_app
from limner.server.certificates import Credentials, credentials, server_context
from limner.server.front import FrontServer
from limner.server.http11 import Http11, name_client_closed_request
from limner.server.quota import UploadQuota
from limner.server.storage import StorageLimits
from limner.settings import Settings
from limner.stages.fetch import Door
from limner.worker.engines import choose
from limner.worker.supervisor import Supervisor

#: What the supervisor runs; it holds the other end of its standard input.
WORKER_COMMAND = (sys.executable, "-m", "limner", "work", "--until-eof")

#: The web page, built from frontend/.
PLAYGROUND = Path(limner.__file__).parent / "playground"

#: Hosts that mean "on every address of this machine"; no certificate can name them.
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen, and with which certificate."""

    host: str
    port: int
    tls_cert: Path | None = None
    tls_key: Path | None = None
    #: Make a certificate for fal's names and take TLS, CONNECT and plain HTTP on the one port.
    tls: bool = False
    #: Make a key if there is none, and tell it this once.
    make_key: bool = False
    #: Show the page in a browser once it is there.
    open_page: bool = False


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
    # TCP by name: asyncio turns Nagle's algorithm off only where it stands, and with it an answer's
    # body waits 40 ms for the acknowledgement of its head.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((listen.host, listen.port))
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        hint = "--port 0 takes a free one" if taken else "Check --host"
        raise Misconfigured(
            f"Cannot listen on {listen.host}:{listen.port}: {error.strerror}. {hint}."
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
    warn_of_others(settings)
    workers = settings.workers if with_workers else 0
    if workers:
        picture_signer(settings)  # told here rather than by every worker, again and again
    supervisor = Supervisor(worker_command, workers)
    with traced() as tracing, open_ledger(settings) as ledger:
        local = is_loopback(listen.host)
        key = key_line(ledger, listen)
        files = open_files(settings)
        tally = Tally(files)
        app = create_app(
            ServerParts(
                ledger=ledger,
                files=files,
                endpoints=endpoints,
                post=Door(
                    allow_private=settings.allow_private_urls,
                    max_bytes=settings.max_download_bytes,
                    timeout=settings.download_timeout,
                    own_file=lambda _: None,
                ).post,
                storage=StorageLimits(
                    max_bytes=settings.max_upload_bytes,
                    retention=settings.upload_retention,
                    quota=UploadQuota(tally, settings.upload_quota),
                ),
                max_body_bytes=largest_body(settings),
                open_without_keys=local,
                public_url=settings.public_url,
                # Whoever is only near has the disk too; whoever comes from elsewhere has not.
                sealed=not local or bool(settings.public_url),
                strict=settings.strict,
                ready=lambda: workers == 0 or supervisor.alive() > 0,
                room=room(settings, tally),
                tracing=tracing,
                playground=PLAYGROUND,
                about=lambda: about(settings, endpoints, supervisor),
                shelves=shelves(settings),
                renew=supervisor.renew,
            )
        )
        name_client_closed_request()
        sock = bind(listen)
        server = web_server(app, listen, settings)
        outlive_signals(server)
        address = announce(listen, sock, settings, endpoints if workers else ())
        typer.echo(f"  {key}", err=True)
        if listen.open_page:
            open_when_started(server, address)
        supervisor.start()
        try:
            settle()
            if not server.should_exit:  # told to stop before it began
                server.run(sockets=[sock])
        finally:
            supervisor.stop()
            sock.close()


def key_line(ledger: Ledger, listen: Listen) -> str:
    """What callers are told of keys; a key that is made here is told this once.

    Raises Misconfigured when everybody could call and no key is there.
    """
    if ledger.any_keys().result():
        return "a key is needed (FAL_KEY); `limner keys create` makes another"
    if listen.make_key:
        key_id, secret = ledger.create_key("admin").result()
        return f"key {key_id}:{secret} (shown this once; use it as FAL_KEY)"
    if is_loopback(listen.host):
        return "no key is needed from this machine; `limner keys create` makes one"
    raise Misconfigured(
        f"{listen.host} can be reached from elsewhere, and there is no key. "
        "Make one first: `limner keys create`, or add --make-key"
    )


def open_when_started(server: uvicorn.Server, address: str) -> None:
    """Show the page in this machine's browser as soon as the server answers."""
    if not has_display():
        typer.echo("  there is no display here: open the address from your own machine", err=True)
        return

    def show() -> None:
        while not server.started:
            if server.should_exit:
                return
            time.sleep(0.02)
        if not webbrowser.open(address):
            typer.echo(f"  no browser was found: open {address} yourself", err=True)

    threading.Thread(target=show, name="open", daemon=True).start()


def has_display() -> bool:
    """Could a browser show itself? A text browser would take the terminal away."""
    if sys.platform in ("darwin", "win32") or "BROWSER" in os.environ:
        return True
    return any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"))


def outlive_signals(server: uvicorn.Server) -> None:
    """Let SIGTERM and SIGINT end the web server only, so that the workers are waited for.

    uvicorn raises the signal once more when it has stopped; by its default that would end this
    process there, with requests still held by workers that nobody waits for. And one that comes
    before uvicorn listens for signals is not lost.
    """

    def stop(_number: int, _frame: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def web_server(app: FastAPI, listen: Listen, settings: Settings) -> uvicorn.Server:
    """The web server for ``app``: uvicorn, behind a Front when TLS is ours to make."""
    config = uvicorn.Config(
        app,
        access_log=False,  # a query may hold a token or a webhook's address
        log_config=None,  # its lines are told as all others' are
        log_level="warning",
        http=Http11,
        ssl_certfile=listen.tls_cert,
        ssl_keyfile=listen.tls_key,
        timeout_graceful_shutdown=5,
        ws_max_size=largest_body(settings),
    )
    if not listen.tls:
        return uvicorn.Server(config)
    made = own_credentials(listen.host, settings)
    return FrontServer(config, server_context(made.chain, made.key))


def own_credentials(host: str, settings: Settings) -> Credentials:
    """Our own authority's files, for fal's names, ``host`` and the public address."""
    names = [host, urlsplit(settings.public_url).hostname or ""]
    if host in EVERY_ADDRESS:
        names[0] = socket.gethostname()
    return credentials(tls_folder(settings), [name for name in names if name])


def announce(
    listen: Listen, sock: socket.socket, settings: Settings, endpoints: Sequence[Endpoint]
) -> str:
    """Say where we are and what draws; the address for a browser here.

    ``endpoints``: those that workers beside us draw.
    """
    scheme = "https" if listen.tls_cert or listen.tls else "http"
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    port = sock.getsockname()[1]
    typer.echo(f"Limner listens on {scheme}://{host}:{port}", err=True)
    if listen.tls:
        folder = tls_folder(settings)
        typer.echo("  plain HTTP and HTTPS_PROXY come in by the same port", err=True)
        typer.echo(f"  trust {folder / 'ca.pem'}", err=True)
        typer.echo(f"  (with the system's own: {folder / 'ca-bundle.pem'})", err=True)
    for endpoint in endpoints:
        choice = choose(endpoint, settings.engine, workshop(settings))
        typer.echo(f"  {endpoint.id}: {choice.name} engine ({_briefly(choice.why)})", err=True)
    if not endpoints:
        typer.echo("  no worker runs beside it: `limner work` does, here or elsewhere", err=True)
    # Plain HTTP comes in by the same port, and no browser asks about our authority then.
    return f"{'http' if listen.tls else scheme}://{_from_here(listen.host)}:{port}"


def _briefly(why: str) -> str:
    """The first of several reasons, and where the others are."""
    first, *others = why.split("; ")
    return f"{first}, and {len(others)} more: see `limner models`" if others else first


def _from_here(host: str) -> str:
    """A host that a browser on this machine can go to."""
    if host in EVERY_ADDRESS:
        return "127.0.0.1" if host == "0.0.0.0" else "[::1]"
    return f"[{host}]" if ":" in host else host
