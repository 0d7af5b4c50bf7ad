"""How much disk the bases may have that Limner fetched, and which of them goes when it is too much.

A file for each base says by its time when it was last drawn on, and by its lock whether it is being
drawn on now, in whatever process. What other programs fetched, or the operator brought, is not ours
to count or to remove.

Knows files and the hub's cache; it does not know what a base is.
"""

# The hub client's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import scan_cache_dir

from limner.diffusion.holdings import Holdings
from limner.diffusion.weight import GB
from limner.errors import NetworkMissing


@contextmanager
def in_use(home: Path, where: Path) -> Generator[None]:
    """Inside, the base at ``where`` is not removed. Many may use one at once."""
    with _mark(home, where).open("a") as mark:
        fcntl.flock(mark, fcntl.LOCK_SH)
        os.utime(mark.name)
        yield


def make_room(here: Holdings, quota: int, size: int, *, keep: str = "") -> list[str]:
    """Remove bases, the one used longest ago first, until ``size`` more bytes are within ``quota``.

    The names of those that went, which are no longer let in. ``keep``: never this one. Raises
    NetworkMissing if too much is in use, with nothing removed that had not to be.
    """
    if size > quota:
        raise NetworkMissing(
            f"{size / GB:.1f} GB are more than all bases together may have"
            f" ({quota / GB:.1f} GB): LIMNER_BASES_QUOTA."
        )
    record = here.record
    ours = {name: kept for name, kept in record.fetched.items() if name in record.bases}
    gone: list[str] = []
    for name in sorted(ours, key=lambda name: _last_used(here.home, Path(record.bases[name]))):
        if sum(ours.values()) + size <= quota:
            break
        if name != keep and _removed(here, name):
            gone.append(name)
            del ours[name]
    if sum(ours.values()) + size > quota:
        raise NetworkMissing(
            f"{size / GB:.1f} GB more are over the quota of {quota / GB:.1f} GB, and the bases here"
            " are in use. Try again, or raise LIMNER_BASES_QUOTA."
        )
    return gone


def _removed(here: Holdings, name: str) -> bool:
    """Forget a base and delete its commit from the hub's cache, unless somebody draws on it."""
    record = here.record
    where = Path(record.bases[name])
    with _mark(here.home, where).open("a") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        here.forget(name)
        commit = record.pins[name]["commit"] if name in record.pins else ""
        if commit and not any(commit in other for other in here.record.bases.values()):
            # The cache shares files between commits, and removes those that no other needs.
            scan_cache_dir().delete_revisions(commit).execute()
        return True


def _last_used(home: Path, where: Path) -> float:
    mark = _mark(home, where)
    return mark.stat().st_mtime if mark.exists() else 0.0


def _mark(home: Path, where: Path) -> Path:
    """The file of a base, by its place: one base may have many names."""
    folder = home / "used"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / hashlib.sha256(str(where.resolve()).encode()).hexdigest()[:32]
