"""The networks of face-to-sticker, opened once and kept.

Knows files and networks; knows no request.
"""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from limner.diffusion.adapter import read_adapter
from limner.diffusion.depth import DepthEye
from limner.diffusion.holdings import Holdings
from limner.diffusion.load import load_base, load_clip_vision, load_controlnet, load_depth
from limner.diffusion.machine import Machine
from limner.diffusion.sticker import Sticker, fuse_lora, join
from limner.diffusion.weights import DEPTH, ENDPOINT_NEEDS
from limner.errors import FeatureNotSupported, NetworkMissing
from limner.stages.arcface import ArcFace
from limner.stages.cutout import Cutter

NEEDS = ENDPOINT_NEEDS["fal-ai/face-to-sticker"]


class StickerStudio:
    """Opens what stickers need. Safe to call from several threads; they open one by one."""

    def __init__(self, holdings: Holdings, machine: Machine, threads: int) -> None:
        """``threads``: what one call of a network outside torch may use."""
        self._holdings = holdings
        self._machine = machine
        self._threads = threads
        self._sticker: Sticker | None = None
        self._recogniser: ArcFace | None = None
        self._cutter: Cutter | None = None
        self._depth: DepthEye | None = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raises FeatureNotSupported, naming all that is not here or may not be used."""
        lacking = self._holdings.lacking_all(NEEDS)
        if lacking:
            raise FeatureNotSupported(f"Stickers cannot be drawn by diffusion here: {lacking}.")

    def open(self, *, exact: bool = False) -> Sticker:
        """The networks that draw; ``exact``: in fp32 whatever it costs, and in place of the usual.

        Raises NetworkUnfit, NetworkMissing.
        """
        machine = Machine(self._machine.device, torch.float32) if exact else self._machine
        with self._lock:
            if self._sticker is None or self._sticker.machine != machine:
                self._sticker = None
                self._sticker = self._opened(machine)
            return self._sticker

    @property
    def is_exact(self) -> bool:
        """Whether networks compute in fp32 anyway."""
        return self._machine.dtype == torch.float32

    @property
    def recogniser(self) -> ArcFace:
        """The network whose embeddings InstantID was taught with."""
        with self._lock:
            if self._recogniser is None:
                self._recogniser = ArcFace(self._path("arcface-antelopev2"), self._threads)
            return self._recogniser

    @property
    def cutter(self) -> Cutter:
        """The network that cuts a sticker out."""
        with self._lock:
            if self._cutter is None:
                self._cutter = Cutter(self._path("birefnet-lite"), self._threads)
            return self._cutter

    @property
    def depth(self) -> DepthEye | None:
        """The network that sees depth, where it and its ControlNet are here."""
        with self._lock:
            if self._depth is None and self._holdings.lacking_all(DEPTH) is None:
                # In fp32: what it sees shall not depend on a GPU's numbers.
                machine = Machine(self._machine.device, torch.float32)
                self._depth = load_depth(self._path(DEPTH[0]).parent, machine)
            return self._depth

    def _opened(self, machine: Machine) -> Sticker:
        base = load_base(self._path("albedobase-xl").parent, machine, xl=True)
        fuse_lora(base, self._path("stickers-redmond"))
        instantid = self._path("instantid")
        adapters = read_adapter(instantid), read_adapter(self._path("plus-face-sdxl"))
        clip = load_clip_vision(self._path("clip-vit-h").parent, machine)
        control = load_controlnet(instantid.parent / "ControlNetModel", machine)
        depth = None
        if self._holdings.lacking_all(DEPTH) is None:
            depth = load_controlnet(self._path(DEPTH[1]).parent, machine)
        return join(machine, base, adapters, clip, control, depth)

    def _path(self, name: str) -> Path:
        """A weight's first file."""
        path = self._holdings.file(name)
        if path is None:
            raise NetworkMissing(self._holdings.lacking(name) or f"{name} is not here.")
        return path
