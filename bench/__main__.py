"""``python -m bench``: measure everything and print it; under a minute, and it writes no file."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench import disk, river
from bench.rounds import table


def main() -> None:
    """Both tables, and on what they were measured."""
    console = Console(width=100)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="limner-bench-") as folder:
        console.print(
            f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, "
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
            f"load {os.getloadavg()[0]:.1f}"
        )
        for title, one in (("The ledger", disk), ("The river", river)):
            measured = one.measure(Path(folder))
            console.print(table(title, measured, one.FLOORS))
    console.print(f"in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
