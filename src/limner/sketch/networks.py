"""Where a network's file is: ``locate`` looks, ``ensure`` fetches it if it must.

The table itself is :mod:`limner.sketch.catalogue`; fetching is :mod:`limner.sketch.pull`.
Knows nothing of what the networks compute.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import NetworkMissing
from limner.sketch import shelf
from limner.sketch.catalogue import DEMO, NETWORKS, SKETCH, NetworkSpec

if TYPE_CHECKING:
    from limner.sketch.pull import Progress

__all__ = ["DEMO", "NETWORKS", "SKETCH", "NetworkSpec", "ensure", "locate"]


def locate(name: str, home: Path) -> Path | None:
    """The network's main file if it is present and whole; None otherwise. Never fetches.

    For ncnn networks it is the ``.param``; the ``.bin`` lies beside it. Cheap: compares sizes
    with the receipt, hashes nothing. Raises KeyError for a name that is not in the table.
    """
    return shelf.find(NETWORKS[name], home)


def ensure(
    name: str,
    home: Path,
    progress: Progress | None = None,
    *,
    may_fetch: bool = True,
    index_url: str | None = None,
) -> Path:
    """The network's main file, fetched first when it is absent or damaged.

    ``home`` is ``LIMNER_HOME/networks``. Raises NetworkMissing, also when it would have to be
    fetched and ``may_fetch`` is False.
    """
    path = locate(name, home)
    if path is not None:
        return path
    if not may_fetch:
        raise NetworkMissing(
            f"{name} is not in {home} and may not be fetched now. Run `limner pull sketch`."
        )
    # The index's client takes a tenth of a second to import, and a server only looks.
    from limner.sketch.pull import pull

    return pull([name], home, progress, index_url)[name]
