"""``limner models`` and the half of ``limner pull`` that fetches the diffusion engine's weights."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Column, Table

from limner.cli.house import weights_folder
from limner.diffusion import pull as hub
from limner.diffusion.base_models import base_kind, parse_base
from limner.diffusion.holdings import Holdings
from limner.diffusion.weight import GB, Weight
from limner.diffusion.weights import ENDPOINT_NEEDS, MODEL_TYPES, SAFETY, WEIGHTS
from limner.errors import LimnerError, NetworkMissing
from limner.settings import Settings

#: The endpoint whose model types can be pulled one by one.
FACE_ID = "fal-ai/ip-adapter-face-id"


def holdings(settings: Settings) -> Holdings:
    """The weights of this home."""
    return Holdings(weights_folder(settings), commercial=settings.commercial)


def members(name: str) -> tuple[str, ...] | None:
    """The weights that a name means: its own, an endpoint's, a model type's. None: no such name."""
    if name in WEIGHTS:
        return (name,)
    if name in ENDPOINT_NEEDS and name != FACE_ID:
        return (*ENDPOINT_NEEDS[name], SAFETY)
    endpoint, _, kind = name.partition(":")
    if endpoint != FACE_ID or (kind and kind not in MODEL_TYPES):
        return None
    kinds = [MODEL_TYPES[kind]] if kind else MODEL_TYPES.values()
    names = dict.fromkeys(need for each in kinds for need in each.needs)
    # Of all types those that can be pulled: what nobody publishes is the operator's to bring.
    return (*(need for need in names if kind or WEIGHTS[need].repo), SAFETY)


def pull(names: Sequence[str], *, accept: bool) -> None:
    """Fetch weights and bases; exits with 1 when one cannot be had."""
    settings = Settings()
    here = holdings(settings)
    try:
        weights = [WEIGHTS[n] for n in dict.fromkeys(_weights_of(names))]
        refused = [each.name for each in weights if settings.commercial and not each.commercial]
        if refused:
            raise NetworkMissing(f"Not for commercial use, and not pulled: {', '.join(refused)}.")
        _agree([each for each in weights if not here.allowed(each)], here, accept=accept)
        if weights:
            _fetch(weights, here)
        for name in names:
            if members(name) is None:
                before = set(here.record.bases)
                hub.pull_base(parse_base(name), here, settings.bases_quota)
                for gone in sorted(before - set(here.record.bases)):
                    typer.echo(f"{gone} went to make room: it was used longest ago")
    except LimnerError as fault:
        typer.echo(f"limner: {fault}", err=True)
        raise typer.Exit(1) from None


def _weights_of(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield from members(name) or ()


def _agree(weights: Sequence[Weight], here: Holdings, *, accept: bool) -> None:
    """Have each licence accepted that asks for it, or stop. Raises NetworkMissing."""
    for weight in weights:
        typer.echo(f"{weight.name}: {weight.licence}. See https://huggingface.co/{weight.repo}")
    if weights and not accept:
        asked = sys.stdin.isatty() and typer.confirm("Do you accept these licences?")
        if not asked:
            raise NetworkMissing("Nothing was pulled. --accept-license accepts these licences.")
    for weight in weights:
        here.accept(weight.name)


def _fetch(weights: Sequence[Weight], here: Holdings) -> None:
    """Fetch what is missing, all of it or nothing if there is no room. Raises NetworkMissing.

    What the table knows by a branch only is pinned to what came.
    """
    lacking = {weight.name: hub.wanted_of(weight, here) for weight in weights}
    wanted = [each for name in lacking for each in lacking[name]]
    typer.echo(f"{len(wanted)} files, {hub.room_for(wanted) / GB:.2f} GB to fetch")
    for each in wanted:
        hub.fetch(each)
    for weight in weights:
        hub.pin(weight, here, lacking[weight.name])


def show() -> None:
    """Every weight: its terms, its size, and what it lacks here.

    The size is what it takes on this disk, or what is published of it, where that is known.
    """
    here = holdings(Settings())
    table = Table(
        Column("weight", no_wrap=True),
        "GB",
        "licence",
        "for sale",
        Column("revision", no_wrap=True),
        "here",
        box=None,
    )
    for weight in WEIGHTS.values():
        state = here.lacking(weight.name)
        kept = here.size(weight.name)
        size = weight.size if kept is None else kept
        sold = "yes" if weight.commercial else "no"
        known = revision(weight, here)
        state = (state or "yes").replace(f"{weight.name} is not on this server", "no")
        said = "unknown" if size is None else f"{size / GB:.2f}"
        table.add_row(weight.name, said, weight.licence, sold, known, state)
    for name, where in here.record.bases.items():
        pin = here.record.pins.get(name)
        known = f"{pin['commit'][:8]}, pulled" if pin else "own"
        table.add_row(name, "", "its owner's", "?", known, where)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def revision(weight: Weight, here: Holdings) -> str:
    """How far it is known what a weight is: its commit, its hashes, what was pulled, or nothing."""
    if weight.is_pinned:
        return weight.revision[:8]
    pin = here.record.pins.get(weight.name)
    if pin:
        return f"{pin['commit'][:8]}, pulled"
    if not weight.repo:
        return "own"
    return "by sha256" if all(file.sha256 for file in weight.files) else "unpinned"


def add(name: str, file: Path) -> None:
    """Take the operator's own file for a weight, or a folder or file as a base."""
    here = holdings(Settings())
    try:
        if not file.exists():
            raise NetworkMissing(f"{file} is not there.")
        if name in WEIGHTS:
            here.bring(name, file)
        else:
            typer.echo(f"{name} is {base_kind(file)}")
            here.let_in(parse_base(name), file)
    except LimnerError as fault:
        typer.echo(f"limner: {fault}", err=True)
        raise typer.Exit(1) from None


def remove(name: str) -> None:
    """Forget what was decided about a weight or a base. The hub's cache is left alone."""
    here = holdings(Settings())
    if not here.forget(name if name in WEIGHTS else parse_base(name).name):
        typer.echo(f"limner: nothing was decided about {name}", err=True)
        raise typer.Exit(1)


def verify() -> None:
    """Compare every weight that is here with its published hash; exits with 1 on a difference."""
    here, broken = holdings(Settings()), False
    for weight in WEIGHTS.values():
        folder = here.folder(weight.name)
        for file in weight.files if folder else ():
            assert folder is not None
            same = hub.is_same(folder / file.path, here.sha256(weight.name, file))
            broken |= same is False
            verdict = {True: "same", False: "DIFFERENT", None: "no hash known"}[same]
            typer.echo(f"{verdict:13} {weight.repo}/{file.path}")
    if broken:
        raise typer.Exit(1)
