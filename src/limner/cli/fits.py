"""What fits into this machine's memory, and into cards of the usual sizes.

Knows the memory plan and, where it is installed, the diffusion engine's view of the device.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from limner.cli.checkup import Finding, Patient
from limner.cli.house import workshop
from limner.diffusion.plan import Memory, Offload, Plan, card, plan, usual
from limner.endpoints import ENDPOINTS
from limner.errors import EngineUnavailable
from limner.worker.engines import choose

#: Memory of the cards people have, GiB.
CARDS = (8, 12, 16, 24)


@dataclass(frozen=True, slots=True)
class Fit:
    """How one endpoint's usual request is fitted into one memory."""

    request: str
    where: str
    made: Plan
    #: Whether its picture is decoded in tiles.
    tiled: bool

    def line(self) -> str:
        """For people."""
        if not self.made.fits:
            return f"does not fit ({self.made.peak / 10**9:.1f} GB)"
        how = [str(self.made.offload)] if self.made.offload is not Offload.NONE else []
        how += ["VAE in tiles"] if self.tiled else []
        how += ["drawn by OpenVINO"] if self.made.converted else []
        return ", ".join([f"{self.made.peak / 10**9:.1f} GB", *how])

    def told(self) -> dict[str, Any]:
        """For programs."""
        return {
            "request": self.request,
            "where": self.where,
            "dtype": self.made.dtype,
            "fits": self.made.fits,
            "bytes": round(self.made.peak),
            "offload": self.made.offload.name.lower(),
            "vae_tiling": self.tiled,
            "converted": self.made.converted,
        }


@dataclass(frozen=True, slots=True)
class Device:
    """Where the diffusion engine would draw."""

    name: str
    dtype: str
    is_host: bool
    at_once: int
    memory: Memory
    #: Whether networks that draw can be converted for it.
    converts: bool


def this_device(*, compile: bool) -> Device | None:
    """This machine as the diffusion engine sees it; None if that is not installed.

    ``compile``: may networks be compiled for it? Raises whatever a broken torch raises when it is
    imported.
    """
    if any(importlib.util.find_spec(name) is None for name in ("torch", "diffusers")):
        return None
    seen = importlib.import_module("limner.diffusion.machine")
    here = seen.this_machine(compile=compile)
    return Device(
        name=seen.name_of(here.device),
        dtype=str(here.dtype).removeprefix("torch."),
        is_host=here.is_host,
        at_once=here.samples_at_once(xl=False),
        memory=seen.memory_of(here.device),
        converts=here.converts,
    )


def fits(device: Device | None) -> list[Fit]:
    """Every usual request in cards of the usual sizes, in bf16, and here."""
    found = [
        _fit(name, f"{gib} GB", pixels, plan(parts, pixels, card(gib), "bfloat16"))
        for name, (parts, pixels) in usual(at_once=4).items()
        for gib in CARDS
    ]
    if device is not None:
        for name, (parts, pixels) in usual(at_once=device.at_once).items():
            made = plan(
                parts,
                pixels,
                device.memory,
                device.dtype,
                host=device.is_host,
                converts=device.converts,
            )
            found.append(_fit(name, "here", pixels, made))
    return found


def _fit(name: str, where: str, pixels: int, made: Plan) -> Fit:
    return Fit(name, where, made, pixels > made.whole)


def device_finding(patient: Patient, device: Device | None) -> Iterator[Finding]:
    """The device, and whether what is drawn by diffusion fits into it."""
    if device is None:
        yield Finding("device", "green", "CPU; the diffusion engine is not installed")
        return
    free, total = device.memory.free / 2**30, device.memory.total / 2**30
    numbers = f"{device.dtype} (float32 by OpenVINO)" if device.converts else device.dtype
    said = f"{device.name}, {numbers}, {free:.1f} of {total:.1f} GiB free"
    here = {each.request: each for each in fits(device) if each.where == "here"}
    for endpoint in ENDPOINTS:
        fit = here[endpoint.id]
        if not fit.made.fits and _is_drawn_by_diffusion(patient, endpoint.id):
            needs = f"{said}; {endpoint.alias} needs {fit.made.peak / 10**9:.1f} GB"
            step = "Free memory, or set LIMNER_ENGINE=sketch."
            yield Finding("device", "red", needs, step)
            return
    yield Finding("device", "green", said)


def _is_drawn_by_diffusion(patient: Patient, endpoint_id: str) -> bool:
    endpoint = next(each for each in ENDPOINTS if each.id == endpoint_id)
    try:
        choice = choose(endpoint, patient.settings.engine, workshop(patient.settings))
    except EngineUnavailable:
        return False
    return choice.name == "diffusion"
