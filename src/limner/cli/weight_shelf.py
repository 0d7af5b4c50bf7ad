"""What the desk's page of models may do with this home: the diffusion engine's weights.

The hub's client comes with the engine (``pip install 'limner[diffusion]'``); without it the weights
are shown with what they need. Knows the hub through :mod:`limner.diffusion.pull`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from limner.cli.house import weights_folder
from limner.diffusion.weight import Weight
from limner.diffusion.weights import ENDPOINT_NEEDS, MODEL_TYPES, WEIGHTS
from limner.errors import NetworkMissing, NetworkUnfit
from limner.server.desk.errands import Told
from limner.server.desk.models import Model
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.diffusion.holdings import Holdings

FACE_ID = "fal-ai/ip-adapter-face-id"


class WeightShelf:
    """The published weights of the diffusion engine."""

    engine = "diffusion"

    def __init__(self, settings: Settings) -> None:
        self._home = weights_folder(settings)
        self._commercial = settings.commercial
        self._can_fetch = importlib.util.find_spec("huggingface_hub") is not None

    def folder(self) -> Path:
        """See Shelf."""
        if not self._can_fetch:
            return self._home
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)

    def models(self) -> Iterator[Model]:
        """See Shelf."""
        here = self._holdings() if self._can_fetch else None
        for weight in WEIGHTS.values():
            brought = here is not None and weight.name in here.record.brought
            kept = here.size(weight.name) if here is not None else None
            present = brought or kept is not None
            yield Model(
                name=weight.name,
                purpose=weight.what,
                origin=weight.repo,
                licence=weight.licence,
                terms=f"https://huggingface.co/{weight.repo}" if weight.repo else "",
                note="",
                commercial=weight.commercial,
                accepted=here is not None and here.allowed(weight),
                bytes=(weight.size or 0) if kept is None else kept,
                whole=kept is not None or weight.size is not None,
                present=present,
                obstacle=self._obstacle(weight),
                removable=present,
                needed_by=_needed_by(weight.name),
            )

    def accept(self, name: str) -> None:
        """See Shelf."""
        self._holdings().accept(name)

    def fetch(self, name: str, told: Told) -> None:
        """See Shelf."""
        from limner.diffusion import pull as hub

        here = self._holdings()
        wanted = hub.wanted_of(WEIGHTS[name], here)
        total, done = hub.room_for(wanted), 0

        def advance(size: int) -> None:
            nonlocal done
            done += size
            told(done, total)

        told(0, total)
        for each in wanted:
            hub.fetch(each, advance)
        hub.pin(WEIGHTS[name], here, wanted)

    def verify(self, name: str, told: Told) -> str | None:
        """See Shelf."""
        from limner.diffusion import pull as hub

        here = self._holdings()
        folder, whole = here.folder(name), here.size(name) or 0
        if folder is None:
            return "your own file: nothing is published to compare it with"
        unknown: list[str] = []
        done = 0
        for file in WEIGHTS[name].files:
            told(done, whole)
            same = hub.is_same(folder / file.path, file.sha256)
            if same is False:
                raise NetworkUnfit(
                    f"{name}: {file.path} has another sha256 than is published. Remove it and"
                    " fetch it again."
                )
            if same is None:
                unknown.append(file.path)
            done += (folder / file.path).stat().st_size
        return f"no hash is published for {', '.join(unknown)}" if unknown else None

    def remove(self, name: str) -> None:
        """See Shelf. The operator's own file stays where it is and is forgotten."""
        from limner.diffusion.discard import discard

        here = self._holdings()
        if name in here.record.brought:
            here.forget(name)
            return
        folder = here.folder(name)
        if folder is None:
            raise NetworkMissing(f"{name} is not here.")
        discard(WEIGHTS[name], folder)

    def _holdings(self) -> Holdings:
        from limner.diffusion.holdings import Holdings

        return Holdings(self._home, commercial=self._commercial)

    def _obstacle(self, weight: Weight) -> str | None:
        if not self._can_fetch:
            return "The diffusion engine is not installed: pip install 'limner[diffusion]'"
        if self._commercial and not weight.commercial:
            return f"Not for commercial use ({weight.licence}), and this server is"
        if not weight.repo:
            return f"Published nowhere: limner models add {weight.name} FILE"
        return None


def _needed_by(name: str) -> tuple[str, ...]:
    """What is drawn with a weight: endpoints, and ip-adapter-face-id's model types by name."""
    endpoints = [
        each for each, needs in ENDPOINT_NEEDS.items() if name in needs and each != FACE_ID
    ]
    kinds = [f"{FACE_ID}:{kind.name}" for kind in MODEL_TYPES.values() if name in kind.needs]
    return (*endpoints, *kinds)
