"""``limner doctor``: everything that can be wrong here, in green, yellow and red, each with one
next step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from limner.cli import checkup
from limner.cli.checkup import Finding, Patient, State
from limner.cli.fits import CARDS, Device, Fit, device_finding, fits, this_device
from limner.errors import Misconfigured, whereabouts
from limner.settings import Settings

STATES: tuple[State, ...] = ("green", "yellow", "red")

CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    checkup.packages,
    checkup.home,
    checkup.engines,
    checkup.networks,
    checkup.weights,
    checkup.port,
    checkup.keys,
    checkup.index,
    checkup.clock,
    checkup.page,
)


def doctor(host: str, port: int, *, online: bool, as_json: bool) -> None:
    """Look at everything and tell it; exits with 1 if anything is red."""
    try:
        patient = Patient(Settings(), host, port, online)
    except Misconfigured as problem:
        said = str(problem).replace("\n", "; ")
        wrong = Finding("settings", "red", said, "Correct it; `limner config path` names the file.")
        _tell([wrong], [], as_json=as_json)
        raise typer.Exit(1) from None
    findings = [finding for check in CHECKS for finding in _looked(check, patient)]
    device: list[Device | None] = []

    def device_check(patient: Patient) -> Iterator[Finding]:
        device.append(this_device(compile=patient.settings.compile))
        yield from device_finding(patient, device[0])

    findings += _looked(device_check, patient)
    _tell(findings, fits(device[0] if device else None), as_json=as_json)
    if _worst(findings) == "red":
        raise typer.Exit(1)


def _looked(check: Callable[[Patient], Iterator[Finding]], patient: Patient) -> list[Finding]:
    """What a check found; one that breaks is a finding itself."""
    try:
        return list(check(patient))
    except Exception as fault:  # noqa: BLE001 - it is reported, and the other checks are made
        name = check.__name__.partition("_")[0]
        said = f"could not be looked at: {whereabouts(fault)}"
        return [Finding(name, "red", said, "Reinstall Limner; if it stays, report this line.")]


def _worst(findings: Iterable[Finding]) -> State:
    states = {finding.state for finding in findings}
    return next(state for state in reversed(STATES) if state in states)


def _tell(findings: Sequence[Finding], found: Sequence[Fit], *, as_json: bool) -> None:
    if as_json:
        checks = [
            {"name": each.name, "state": each.state, "said": each.said, "step": each.step}
            for each in findings
        ]
        memory = [fit.told() for fit in found]
        typer.echo(json.dumps({"state": _worst(findings), "checks": checks, "memory": memory}))
    elif sys.stdout.isatty():
        _shown(findings, found)
    else:
        for each in findings:
            typer.echo(f"{each.state:7} {each.name}: {each.said}")
            if each.step:
                typer.echo(f"{'':7} next: {each.step}")
        for fit in found:
            typer.echo(f"memory  {fit.request}, {fit.where}: {fit.line()}")


def _shown(findings: Sequence[Finding], found: Sequence[Fit]) -> None:
    """For people at a terminal."""
    console = Console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for each in findings:
        step = f"\n[bold]→ {escape(each.step)}[/]" if each.step else ""
        table.add_row(f"[{each.state}]●[/]", each.name, escape(each.said) + step)
    console.print(table)
    if found:
        places = [f"{gib} GB" for gib in CARDS]
        here = any(fit.where == "here" for fit in found)
        memory = Table(
            Column("memory for", no_wrap=True),
            *places,
            *(["here"] if here else []),
            box=None,
            title="",
        )
        for request in dict.fromkeys(fit.request for fit in found):
            name = request.removeprefix("fal-ai/")
            memory.add_row(name, *(fit.line() for fit in found if fit.request == request))
        console.print(memory)
    worst = _worst(findings)
    said = {"green": "All is well.", "yellow": "It works; some things could be better."}
    console.print(f"[{worst}]{said.get(worst, 'Something is in the way.')}[/]")
