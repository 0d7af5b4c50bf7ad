"""``limner keys``: the keys that callers use, stored hashed, shown once; and the server's own."""

from __future__ import annotations

import typer

from limner.cli.house import open_ledger
from limner.cli.shell import complain
from limner.errors import Misconfigured
from limner.requests.keyring import Secret
from limner.settings import Settings
from limner.suggest import refusal

SCOPES = ("api", "admin")


def create(scope: str, concurrency: int | None) -> None:
    """Make a key and print ``id:secret`` on standard output.

    ``concurrency``: how many of its requests may run at once; None for any number.
    """
    if scope not in SCOPES:
        raise Misconfigured(refusal("scope", scope, SCOPES))
    with open_ledger(Settings()) as ledger:
        key_id, secret = ledger.create_key(scope, concurrency).result()
    typer.echo(f"{key_id}:{secret}")
    typer.echo("Keep it: only its hash is stored. Use it as FAL_KEY.", err=True)


def show() -> None:
    """Print id, scope and state of every key."""
    with open_ledger(Settings()) as ledger:
        for key in ledger.list_keys().result():
            state = "revoked" if key.revoked_at else "active"
            limit = f"  at most {key.concurrency} at once" if key.concurrency else ""
            typer.echo(f"{key.id}  {key.scope}  {state}{limit}")


def revoke(key_id: str) -> None:
    """Revoke a key; exits with 1 when there is no such key."""
    with open_ledger(Settings()) as ledger:
        if not ledger.revoke_key(key_id).result():
            complain(f"There is no key {key_id}, or it has ended; `limner keys list` shows them")
            raise typer.Exit(1)


def renew(*, webhooks: bool) -> None:
    """Have the server's own secrets made anew when a server or worker next starts.

    ``webhooks``: also the key that signs them, which receivers keep for up to a day.
    """
    with open_ledger(Settings()) as ledger:
        renewed = [which for which in Secret if webhooks or which is not Secret.WEBHOOKS]
        ledger.forget_secrets(renewed).result()
    typer.echo("Restart every server and worker now: those that run go on with the old secrets.")
