"""``limner pull``: networks, fetched once, with a bar for each download."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from limner.cli.house import networks_folder
from limner.errors import NetworkMissing
from limner.settings import Settings
from limner.sketch.networks import DEMO, NETWORKS, SKETCH, locate
from limner.sketch.pull import pull as fetch

GROUPS = {"sketch": SKETCH, "demo": DEMO}


def pull(names: list[str]) -> None:
    """Fetch ``names`` (networks or groups); exits with 1 when one cannot be had."""
    settings = Settings()
    home = networks_folder(settings)
    wanted = list(dict.fromkeys(_members(names)))
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def show(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done)

        try:
            fetch(wanted, home, show, settings.index_url or None)
        except NetworkMissing as missing:
            typer.echo(f"limner: {missing}", err=True)
            raise typer.Exit(1) from None
    for name in wanted:
        network = NETWORKS[name]
        typer.echo(f"{name:24} {network.licence:12} {locate(name, home)}")


def _members(names: list[str]) -> Iterator[str]:
    for name in names:
        if name not in GROUPS and name not in NETWORKS:
            known = ", ".join([*GROUPS, *NETWORKS])
            raise typer.BadParameter(f"There is no network or group {name}; there are {known}")
        yield from GROUPS.get(name, (name,))
