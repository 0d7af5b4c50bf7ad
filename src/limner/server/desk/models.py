"""Networks and weights: which there are, on what terms, which are here; fetched, verified, removed.

For admins only. What a model is and how it is had is a :class:`Shelf`'s affair, which the command
line hands down: no network's runtime and no hub is known here.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from fastapi import APIRouter, Request
from pydantic import BaseModel

from limner.endpoints.accept import accept
from limner.errors import LimnerError, Refused
from limner.server.body import read_json
from limner.server.desk.errands import OPEN, Errands, Told
from limner.server.desk.keys import MOST_JSON, admin
from limner.server.keys import Gate


@dataclass(frozen=True, slots=True)
class Model:
    """One network or weight as an operator sees it."""

    name: str
    purpose: str
    #: Who made it, or the repository it is fetched from.
    origin: str
    licence: str
    #: Where the terms can be read; empty where only ``note`` tells of them.
    terms: str
    #: What is known and what is doubted about the licence.
    note: str
    #: May what is drawn with it be sold?
    commercial: bool
    #: The licence asks for nothing, or what it asks for was accepted.
    accepted: bool
    #: Size on the disk, or before it is fetched as far as it is known.
    bytes: int
    #: Is that all? Of some files the hub tells the size only when they are fetched.
    whole: bool
    present: bool
    #: Why it cannot be fetched here at all, and what to do; None when it can.
    obstacle: str | None
    #: Can it be removed here? What came with a package of Python's cannot.
    removable: bool
    #: Endpoints, or ``endpoint:model_type``s, that are drawn with it.
    needed_by: tuple[str, ...]


class Shelf(Protocol):
    """A kind of models and the folder they are kept in. Called from several threads."""

    #: ``sketch`` or ``diffusion``: the engine that draws with them.
    engine: str

    def folder(self) -> Path:
        """Where they lie, for people and for the disk's free bytes."""
        ...

    def models(self) -> Iterable[Model]:
        """Every model that can be here, in the order in which to show them."""
        ...

    def accept(self, name: str) -> None:
        """Remember that the licence of a model was accepted."""
        ...

    def fetch(self, name: str, told: Told) -> None:
        """Fetch what a model lacks, and verify it. Raises LimnerError, and what told does."""
        ...

    def verify(self, name: str, told: Told) -> str | None:
        """Compare a model with its published hash; what could not be compared.

        Raises LimnerError when something differs.
        """
        ...

    def remove(self, name: str) -> None:
        """Take a model off the disk. Raises LimnerError."""
        ...


class Acceptance(BaseModel):
    """The licence that is accepted, as it was shown."""

    licence: str


def add_models(router: APIRouter, gate: Gate, shelves: Sequence[Shelf]) -> None:
    """Add the models' routes."""
    errands = Errands()

    async def asked(request: Request, name: str) -> tuple[Shelf, Model]:
        """The model that an admin means. Raises Refused 403, 404."""
        await admin(gate, request)
        for shelf in shelves:
            for model in await asyncio.to_thread(_every, shelf):
                if model.name == name:
                    return shelf, model
        raise Refused(404, "No model of that name")

    @router.get("/models")
    async def listed(request: Request) -> dict[str, Any]:
        """Every model with how it stands here, and the folders with their disks' free bytes."""
        await admin(gate, request)
        return {"shelves": [await asyncio.to_thread(_told, shelf, errands) for shelf in shelves]}

    @router.post("/models/{name}/accept")
    async def agree(request: Request, name: str) -> dict[str, Any]:
        """Accept a licence. Raises Refused 409 when it is another than the one named."""
        shelf, model = await asked(request, name)
        said = accept(Acceptance, await read_json(request, MOST_JSON))
        if said.licence != model.licence:
            raise Refused(409, f"The licence of {name} is another one: {model.licence}")
        await asyncio.to_thread(shelf.accept, name)
        return {"accepted": name}

    @router.post("/models/{name}/pull")
    async def pull(request: Request, name: str) -> dict[str, Any]:
        """Begin to fetch a model. Raises Refused 409 when that is not allowed or under way."""
        shelf, model = await asked(request, name)
        if model.obstacle is not None:
            raise Refused(409, model.obstacle)
        if not model.accepted:
            raise Refused(409, f"The licence of {name} is not accepted: {model.licence}")
        return asdict(errands.begin(name, "pull", lambda told: shelf.fetch(name, told)))

    @router.delete("/models/{name}/pull")
    async def stop(request: Request, name: str) -> dict[str, Any]:
        """Stop fetching; files that came whole are kept. Raises Refused 409."""
        await asked(request, name)
        if not errands.stop(name):
            raise Refused(409, f"Nothing is fetched for {name}")
        return {"stopped": name}

    @router.post("/models/{name}/verify")
    async def verify(request: Request, name: str) -> dict[str, Any]:
        """Begin to compare a model with its published hash. Raises Refused 409."""
        shelf, model = await asked(request, name)
        if not model.present:
            raise Refused(409, f"{name} is not here")
        return asdict(errands.begin(name, "verify", lambda told: shelf.verify(name, told)))

    @router.delete("/models/{name}")
    async def remove(request: Request, name: str) -> dict[str, Any]:
        """Take a model off the disk. Raises Refused 409."""
        shelf, model = await asked(request, name)
        errand = errands.last(name)
        if errand is not None and errand.state in OPEN:
            raise Refused(409, f"{name}: {errand.what} is under way; stop it first")
        if not (model.present and model.removable):
            raise Refused(409, f"{name} is not here, or came with a package and stays with it")
        try:
            await asyncio.to_thread(shelf.remove, name)
        except LimnerError as fault:
            raise Refused(409, str(fault)) from None
        return {"removed": name}


def _every(shelf: Shelf) -> list[Model]:
    return list(shelf.models())


def _told(shelf: Shelf, errands: Errands) -> dict[str, Any]:
    folder = shelf.folder()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    models: list[dict[str, Any]] = []
    for model in shelf.models():
        errand = errands.last(model.name)
        models.append({**asdict(model), "errand": asdict(errand) if errand else None})
    return {
        "engine": shelf.engine,
        "folder": str(folder),
        "free": shutil.disk_usage(there).free,
        "models": models,
    }
