"""The commands that look after what is kept: keys, models, requests, files, settings.

Declared here and done elsewhere, so that ``limner --help`` imports nothing but this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import completion as complete
from limner.cli.shell import Commands

RequestId = Annotated[str, typer.Argument(autocompletion=complete.request_id)]
RequestIds = Annotated[list[str], typer.Argument(autocompletion=complete.request_id)]


def _group(name: str, help: str, *, bare: bool = False) -> typer.Typer:
    """A group of commands; ``bare``: it does something without a command too."""
    return typer.Typer(
        name=name, cls=Commands, help=help, no_args_is_help=not bare, rich_markup_mode=None
    )


keys = _group("keys", "Make, list and revoke the keys that callers use.")
models = _group(
    "models", "The diffusion engine's weights: which there are, and which are here.", bare=True
)
requests = _group("requests", "The requests the ledger knows.")

config = _group("config", "The settings: what they are, and where each comes from.")

files = _group("files", "Pictures and uploads that are kept.")

GROUPS = (keys, models, requests, files, config)


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


@keys.command("renew")
def keys_renew(
    webhooks: Annotated[
        bool, typer.Option("--webhooks", help="Also the key that signs webhooks.")
    ] = False,
) -> None:
    """Make the server's own secrets anew: addresses of files, tokens and places for uploads that
    were handed out open nothing after the next start."""
    from limner.cli.keys import renew

    renew(webhooks=webhooks)


@requests.command("list")
def requests_list(
    state: Annotated[
        str | None,
        typer.Option(
            help="queued, running, done, failed or cancelled.", autocompletion=complete.state
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, one a line.")] = False,
) -> None:
    """Show the newest requests."""
    from limner.cli.requests import show

    show(state, limit, as_json=as_json)


@requests.command("show")
def requests_show(request_id: RequestId) -> None:
    """Show how a request stands, its log, and the deliveries of its webhook."""
    from limner.cli.requests import show_one

    show_one(request_id)


@requests.command("cancel")
def requests_cancel(request_ids: RequestIds) -> None:
    """End waiting requests now, and running ones at their next step."""
    from limner.cli.requests import cancel

    cancel(request_ids)


@requests.command("retry")
def requests_retry(request_ids: RequestIds) -> None:
    """Submit ended requests again, with the same input and settings; prints their new ids."""
    from limner.cli.requests import retry

    retry(request_ids)


@requests.command("rm")
def requests_rm(request_ids: RequestIds) -> None:
    """Forget ended requests: input, log, answer, pictures, and photos that only they were given."""
    from limner.cli.requests import remove

    remove(request_ids)


@requests.command("redeliver")
def requests_redeliver(request_id: RequestId) -> None:
    """Send a request's webhooks again."""
    from limner.cli.requests import redeliver

    redeliver(request_id)


@files.command("gc")
def files_gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and leave it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Remove now what is past its time: ended requests, their files, uploads, half uploads."""
    from limner.cli.files import collect

    collect(dry_run=dry_run, as_json=as_json)


@config.command("show")
def config_show(
    context: typer.Context,
    origin: Annotated[
        bool, typer.Option("--origin", help="Tell where each value comes from.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show every setting as lines of a limner.toml; no secret is shown."""
    from limner.cli.config import show

    flags = [text.partition("=")[0] for text in context.find_root().params["settings"] or ()]
    show(origin=origin, as_json=as_json, flags=flags)


@config.command("path")
def config_path() -> None:
    """Print the limner.toml that is in force, or where your own would be."""
    from limner.cli.config import path

    path()
