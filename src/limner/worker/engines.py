"""Which engine draws for an endpoint on this machine, and opening it once.

Engines are named as ``module:function`` so that nothing heavy is imported before it is needed.
Knows the endpoints' engine tables; knows no engine.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import structlog

from limner.endpoints.base import Commons, Endpoint, Engine, Workshop
from limner.errors import EngineUnavailable, whereabouts

log = structlog.get_logger(__name__)

#: From the best to the one that runs everywhere.
PREFERENCE = ("diffusion", "sketch")

#: What an engine needs installed besides Limner itself.
NEEDS = {"diffusion": ("torch", "diffusers"), "sketch": ()}


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine taken for an endpoint, and why."""

    name: str
    target: str
    why: str


def choose(endpoint: Endpoint, wanted: str, workshop: Workshop) -> Choice:
    """The engine for ``endpoint``; ``wanted`` is an engine's name or ``auto``.

    ``auto`` takes diffusion only where its weights are here already: nobody who asks for a
    picture waits for gigabytes. Raises EngineUnavailable when the wanted one is not there, or
    none is.
    """
    names: Sequence[str] = PREFERENCE if wanted == "auto" else (wanted,)
    missing: list[str] = []
    for name in names:
        if name not in endpoint.engines:
            missing.append(f"{name}: not built for {endpoint.id}")
            continue
        absent = [package for package in NEEDS[name] if importlib.util.find_spec(package) is None]
        if absent:
            missing.append(f"{name}: {', '.join(absent)} not installed")
            continue
        if wanted == "auto" and name == "diffusion":
            lacking = _lacking(endpoint, workshop)
            if lacking is not None:
                missing.append(f"diffusion: {lacking}")
                continue
        why = "; ".join(missing) or ("asked for" if wanted != "auto" else "the best there is")
        return Choice(name, endpoint.engines[name], why)
    raise EngineUnavailable(f"No engine for {endpoint.id}: {'; '.join(missing)}")


def _lacking(endpoint: Endpoint, workshop: Workshop) -> str | None:
    """Why the diffusion engine's weights for an endpoint cannot be used, or None if they can."""
    from limner.diffusion.holdings import Holdings
    from limner.diffusion.weights import ENDPOINT_NEEDS

    if workshop.weights is None:
        return "no folder for its weights"
    holdings = Holdings(workshop.weights, commercial=workshop.commercial)
    return holdings.lacking_all(ENDPOINT_NEEDS[endpoint.id])


@dataclass(frozen=True, slots=True)
class OpenEngine:
    """An engine ready to draw, and its name for the caller."""

    name: str
    engine: Engine


class Engines:
    """Opens each endpoint's engine when it is first needed, once."""

    def __init__(self, endpoints: Sequence[Endpoint], wanted: str, workshop: Workshop) -> None:
        self.endpoints = {endpoint.id: endpoint for endpoint in endpoints}
        self._wanted = wanted
        self._workshop = workshop
        self._open: dict[str, OpenEngine] = {}
        # One each: an engine that takes minutes to open must not hold up another.
        self._locks = {endpoint.id: threading.Lock() for endpoint in endpoints}

    def warm_up(self) -> None:
        """Begin to open every engine, one after the other, in the background."""
        threading.Thread(target=self._open_all, name="warm-up", daemon=True).start()

    def engine(self, endpoint_id: str) -> OpenEngine:
        """The engine of an endpoint. Raises EngineUnavailable, NetworkMissing."""
        with self._locks[endpoint_id]:
            if endpoint_id not in self._open:
                choice = choose(self.endpoints[endpoint_id], self._wanted, self._workshop)
                module, _, function = choice.target.partition(":")
                open_engine = getattr(importlib.import_module(module), function)
                engine = cast("Engine", open_engine(self._workshop))
                self._open[endpoint_id] = OpenEngine(choice.name, engine)
            return self._open[endpoint_id]

    @property
    def commons(self) -> Commons:
        """What the engines share."""
        return self._workshop.commons

    def open_names(self) -> set[str]:
        """Which engines are open."""
        return {opened.name for opened in self._open.values()}

    def _open_all(self) -> None:
        for endpoint_id in self.endpoints:
            try:
                self.engine(endpoint_id)
            except Exception as fault:  # noqa: BLE001 - a request will meet it again and be told
                log.warning("engine_not_opened", endpoint=endpoint_id, fault=whereabouts(fault))
