"""``limner files``: sweeping out now what the server beside it would sweep out in time.

Also where no server runs any more, whose files would stay. Knows the ledger and the store.
"""

from __future__ import annotations

import json
import time

import typer

from limner.cli.house import open_files, open_ledger
from limner.files.store import delete_own
from limner.settings import Settings


def collect(*, dry_run: bool, as_json: bool) -> None:
    """Forget requests past their retention and remove files past theirs; say how much it was."""
    settings = Settings()
    files = open_files(settings)
    with open_ledger(settings) as ledger:
        now = time.time()
        ended = ledger.overdue().result()
        sizes = {each.name: each.size for each in files.overdue(now)}
        for name in (name for names in ended.values() for name in names):
            stored = files.find(name)
            if stored is not None:
                sizes[name] = stored.size
        if not dry_run:
            # So many at a time, so that a server beside it never waits for long.
            while ledger.overdue().result():
                for name, owner in ledger.expire().result():
                    delete_own(files, [name], owner)
            files.expire(now)
            ledger.scrub()
    if as_json:
        told = {"requests": len(ended), "files": len(sizes), "bytes": sum(sizes.values())}
        typer.echo(json.dumps({**told, "dry_run": dry_run}))
        return
    what = f"{len(ended)} request(s) and {len(sizes)} file(s), {readable(sum(sizes.values()))}"
    typer.echo(f"{what}, would go" if dry_run else f"{what}, are gone")


def readable(size: float) -> str:
    """Bytes as people say them."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
