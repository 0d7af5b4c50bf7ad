"""Taking a weight off the disk: its files alone, wherever they lie.

Knows how the hub's cache keeps a file (a link in ``snapshots`` to a blob that other revisions may
share); knows no decision about the weight.
"""

from __future__ import annotations

from pathlib import Path

from limner.diffusion.weight import Weight


def discard(weight: Weight, folder: Path) -> int:
    """Remove the files of ``weight`` from ``folder``; the bytes that this freed.

    A blob stays while another revision in the cache has a link to it.
    """
    freed = 0
    for file in weight.files:
        path = folder / file.path
        if not path.is_file():
            continue
        kept, size = path.resolve(), path.stat().st_size
        path.unlink()
        if kept.exists() and not _is_linked(kept):
            kept.unlink()
        freed += 0 if kept.exists() else size
    return freed


def _is_linked(blob: Path) -> bool:
    snapshots = blob.parent.parent / "snapshots"
    return any(link.is_symlink() and link.resolve() == blob for link in snapshots.rglob("*"))
