"""The ``limner`` command: reads the settings, builds the objects, hands them down.

The only package that knows ``limner.settings``. Commands import what they need when they run, so
that ``limner --help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="limner",
    help="fal.ai's face endpoints on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="Make, list and revoke the keys that callers use.", no_args_is_help=True)
app.add_typer(keys, name="keys")
models = typer.Typer(help="The diffusion engine's weights: which there are, and which are here.")
app.add_typer(models, name="models")
requests = typer.Typer(help="The requests the ledger knows.", no_args_is_help=True)
app.add_typer(requests, name="requests")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    worker: Annotated[bool, typer.Option(help="Keep worker processes beside the server.")] = True,
    tls: Annotated[
        bool,
        typer.Option(
            help="Make a certificate for fal's names; TLS, HTTPS_PROXY and plain HTTP on one port."
        ),
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key (PEM).")] = None,
) -> None:
    """Serve fal's API."""
    from limner.cli.serve import Listen
    from limner.cli.serve import serve as run

    if tls and (tls_cert or tls_key):
        raise typer.BadParameter("--tls makes its own certificate; leave out --tls-cert, --tls-key")
    if bool(tls_cert) != bool(tls_key):
        raise typer.BadParameter("--tls-cert and --tls-key belong together")
    run(Listen(host, port, tls_cert, tls_key, tls), with_workers=worker)


@app.command()
def work(
    endpoints: Annotated[
        str | None, typer.Option(help="Draw only these, comma-separated; left out: all.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Draw on this: cpu, cuda:0, cuda:1 …; left out: the best there is."),
    ] = None,
    until_eof: Annotated[
        bool, typer.Option(hidden=True, help="Stop when standard input closes.")
    ] = False,
) -> None:
    """Draw requests from the ledger until stopped."""
    from limner.cli.work import chosen, on_device
    from limner.cli.work import work as run

    on_device(device)
    run(until_eof=until_eof, endpoints=chosen(endpoints), device=device)


@app.command()
def pull(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Networks or groups (sketch, demo); for the diffusion engine an endpoint,"
            " endpoint:model_type, a weight, or owner/name of a base model."
        ),
    ],
    accept_license: Annotated[
        bool, typer.Option(help="Accept the licences of weights that ask for it.")
    ] = False,
) -> None:
    """Fetch networks once, verified by sha256, with progress."""
    from limner.cli.pull import pull as run

    run(names, accept=accept_license)


@models.callback(invoke_without_command=True)
def models_show(context: typer.Context) -> None:
    """Show every weight: its terms, its size, and what it lacks here."""
    if context.invoked_subcommand is None:
        from limner.cli.weights import show

        show()


@models.command("add")
def models_add(name: str, file: Path) -> None:
    """Take your own file for a weight, or a folder or .safetensors file as a base model."""
    from limner.cli.weights import add

    add(name, file)


@models.command("rm")
def models_rm(name: str) -> None:
    """Forget what was accepted, added or let in under a name."""
    from limner.cli.weights import remove

    remove(name)


@models.command("verify")
def models_verify() -> None:
    """Compare every weight that is here with its published hash."""
    from limner.cli.weights import verify

    verify()


@app.command()
def connect(
    program: Annotated[str, typer.Argument(help="python, node, browser or curl.")],
    url: Annotated[
        str | None, typer.Option(help="The server's address, when it is not the usual one.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Try the lines through the real client.")] = False,
) -> None:
    """Print the lines that lead a program from fal to this server."""
    from limner.cli.connect import Program
    from limner.cli.connect import connect as run

    if program not in list(Program):
        raise typer.BadParameter(f"There are {', '.join(Program)}, but no {program}")
    run(Program(program), url, check=check)


@keys.command("create")
def keys_create(
    scope: Annotated[str, typer.Option(help="api or admin.")] = "api",
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="How many of its requests may run at once.")
    ] = None,
) -> None:
    """Make a key and print it, this once."""
    from limner.cli.keys import create

    create(scope, concurrency)


@keys.command("list")
def keys_list() -> None:
    """Show the keys there are, without their secrets."""
    from limner.cli.keys import show

    show()


@keys.command("revoke")
def keys_revoke(key_id: str) -> None:
    """Make a key useless from now on."""
    from limner.cli.keys import revoke

    revoke(key_id)


@requests.command("list")
def requests_list(
    state: Annotated[
        str | None, typer.Option(help="queued, running, done, failed or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
) -> None:
    """Show the newest requests."""
    from limner.cli.requests import show

    show(state, limit)


@requests.command("show")
def requests_show(request_id: str) -> None:
    """Show how a request stands, its log, and the deliveries of its webhook."""
    from limner.cli.requests import show_one

    show_one(request_id)


@requests.command("redeliver")
def requests_redeliver(request_id: str) -> None:
    """Send a request's webhooks again."""
    from limner.cli.requests import redeliver

    redeliver(request_id)
