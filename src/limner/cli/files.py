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

#: Files deleted before the ledger is told so.
AT_ONCE = 500

#: Files of forgotten requests that are counted before they go.
MOST_OWED = 1_000_000


def collect(*, dry_run: bool, as_json: bool) -> None:
    """Forget requests past their retention and remove files past theirs; say how much it was."""
    settings = Settings()
    files = open_files(settings)
    with open_ledger(settings) as ledger:
        now = time.time()
        ended = ledger.overdue().result()
        sizes = {each.name: each.size for each in files.overdue(now)}
        owed = [each.name for each in ledger.leaving(limit=MOST_OWED).result()]
        for name in (*owed, *(name for names in ended.values() for name in names)):
            stored = files.find(name)
            if stored is not None:
                sizes[name] = stored.size
        if not dry_run:
            # So many at a time, so that a server beside it never waits for long.
            while ledger.overdue().result():
                ledger.expire().result()
            while going := ledger.leaving(limit=AT_ONCE).result():
                for each in going:
                    delete_own(files, [each.name], each.owner)
                ledger.left(going).result()
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
