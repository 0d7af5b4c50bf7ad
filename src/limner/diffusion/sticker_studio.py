"""The networks of face-to-sticker, opened once and kept.

Knows files and networks; knows no request.
"""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from limner.diffusion.adapter import read_adapter
from limner.diffusion.denoiser import openvino
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.depth import DepthEye
from limner.diffusion.holdings import Holdings
from limner.diffusion.load import load_base, load_clip_vision, load_controlnet, load_depth
from limner.diffusion.lora import fuse_lora
from limner.diffusion.machine import Machine, Measure, forget, memory_of
from limner.diffusion.plan import Memory, Parts, sticker_parts
from limner.diffusion.sticker import Sticker, join
from limner.diffusion.weights import DEPTH, ENDPOINT_NEEDS
from limner.errors import FeatureNotSupported, NetworkMissing
from limner.stages.arcface import ArcFace
from limner.stages.cutout import Cutter

#: Pixels that networks are fitted for at least.
USUAL = 1024 * 1024

NEEDS = ENDPOINT_NEEDS["fal-ai/face-to-sticker"]


class StickerStudio:
    """Opens what stickers need. Safe to call from several threads; they open one by one."""

    def __init__(
        self,
        holdings: Holdings,
        machine: Machine,
        threads: int,
        denoiser: Denoiser,
        measure: Measure = memory_of,
    ) -> None:
        """``threads``: what one call of a network outside torch may use; ``denoiser``: the
        machine's; ``measure``: how much memory there is."""
        self._measure = measure
        self._memory: Memory | None = None
        self._holdings = holdings
        self._denoiser = denoiser
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

    def open(self, size: tuple[int, int], *, exact: bool = False) -> Sticker:
        """The networks that draw, fitted for a picture of ``size``.

        ``exact``: in fp32 whatever it costs, and in place of the usual. Raises NetworkUnfit,
        NetworkMissing.
        """
        machine = self._machine.in_fp32() if exact else self._machine
        pixels = max(size[0] * size[1], USUAL)
        with self._lock:
            if self._sticker is None or not self._suits(self._sticker, machine, pixels):
                self._sticker = None
                forget()
                self._memory = self._measure(machine.device)
                fitted = machine.planned(self._parts(), pixels, self._memory)
                self._sticker = self._opened(fitted)
            return self._sticker

    def _parts(self) -> Parts:
        return sticker_parts(depth=self._holdings.lacking_all(DEPTH) is None)

    def _suits(self, opened: Sticker, machine: Machine, pixels: int) -> bool:
        """Whether it computes as ``machine`` does, and enough of it is moved away for the size."""
        if self._memory is None:
            return False
        own, needed = opened.machine, machine.planned(self._parts(), pixels, self._memory)
        same = (own.dtype, own.converts) == (needed.dtype, needed.converts)
        return same and own.offload >= needed.offload

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
        sticker = join(machine, base, adapters, clip, (control, depth), self._denoiser)
        if machine.converts:
            openvino.convert(sticker.network, self._threads, lent=True)
            for each in (sticker.control, sticker.depth):
                if each is not None:
                    openvino.convert(each, self._threads)
        return sticker

    def _path(self, name: str) -> Path:
        """A weight's first file."""
        path = self._holdings.file(name)
        if path is None:
            raise NetworkMissing(self._holdings.lacking(name) or f"{name} is not here.")
        return path
