"""Networks opened once and kept while they are used: one UNet for each model type and base.

A UNet carries its adapter for life, so each (model type, base) has its own; only the newest few
are kept, and fewer where the device has no room for them side by side. Knows files and networks;
knows no request.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from limner.diffusion.adapter import read_adapter
from limner.diffusion.base_models import base_kind, parse_base
from limner.diffusion.denoiser import openvino
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.faceid import FaceId, join
from limner.diffusion.holdings import Holdings
from limner.diffusion.lcm_weights import LCM
from limner.diffusion.load import Base, load_base, load_clip_vision, load_single_file
from limner.diffusion.lora import fuse_lora
from limner.diffusion.machine import Machine, Measure, forget, memory_of
from limner.diffusion.plan import Memory, Offload, Parts, face_id_parts
from limner.diffusion.quota import in_use
from limner.diffusion.schedules import lcm as few_steps
from limner.diffusion.sniff import AdapterKind
from limner.diffusion.weights import WEIGHTS, ModelType
from limner.errors import FeatureNotSupported, NetworkMissing, blame
from limner.stages.arcface import ArcFace

#: How many UNets stay open. SDXL's is 5 GB in half precision.
MOST_OPEN = 2

#: Pixels that networks are fitted for at least: what is usually asked of (SD 1.5, SDXL).
USUAL = (512 * 512, 1024 * 1024)


@dataclass(frozen=True, eq=False, slots=True)
class _Opened:
    """Networks, and what memory there was for them."""

    faceid: FaceId
    memory: Memory


class Studio:
    """Opens what a request needs. Safe to call from several threads; they open one by one."""

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
        self._holdings = holdings
        self._denoiser = denoiser
        self._threads = threads
        self._recognisers: dict[str, ArcFace] = {}
        self._machine = machine
        self._open: OrderedDict[tuple[str, Path, torch.dtype, bool], _Opened] = OrderedDict()
        self._kinds: dict[Path, AdapterKind] = {}
        self._lock = threading.Lock()

    def check(self, kind: ModelType, base: str, *, lcm: bool = False) -> Path:
        """Where the base lies, when all that ``kind`` needs is here and fits.

        ``lcm``: and its family's LCM-LoRA. Raises FeatureNotSupported at the field that asks for
        what is not.
        """
        default = _is_default(kind, base)
        needs = kind.needs if default else [n for n in kind.needs if n not in _base_parts(kind)]
        lacking = self._holdings.lacking_all(needs)
        if lacking:
            with blame("model_type"):
                raise FeatureNotSupported(f"{kind.name} cannot be drawn on this server: {lacking}.")
        if lcm and (lacking := self._holdings.lacking(LCM[kind.xl].name)):
            with blame("x_fast", "lcm_steps"):
                raise FeatureNotSupported(f"LCM cannot draw on this server: {lacking}.")
        with blame(kind.field):
            return self._fitting(kind, base, default=default)

    def open(
        self,
        kind: ModelType,
        where: Path,
        size: tuple[int, int],
        *,
        exact: bool = False,
        lcm: bool = False,
    ) -> FaceId:
        """The networks of ``kind`` on the base at ``where``, fitted for a picture of ``size``.

        ``exact``: in fp32 whatever it costs. ``lcm``: with its family's LCM-LoRA in it.
        Raises NetworkUnfit, NetworkMissing.
        """
        machine = self._machine.in_fp32() if exact else self._machine
        parts = face_id_parts(kind, machine.samples_at_once(xl=kind.xl))
        pixels = max(size[0] * size[1], USUAL[kind.xl])
        key = (kind.name, where, machine.dtype, lcm)
        with self._lock:
            opened = self._open.get(key)
            if opened and not _suits(opened, machine.planned(parts, pixels, opened.memory)):
                del self._open[key], opened
                forget()
            if key not in self._open:
                memory = self._room_for(machine, parts, pixels)
                fitted = machine.planned(parts, pixels, memory)
                self._open[key] = _Opened(self._opened(kind, where, fitted, lcm=lcm), memory)
            self._open.move_to_end(key)
            return self._open[key].faceid

    def _room_for(self, machine: Machine, parts: Parts, pixels: int) -> Memory:
        """The memory for new networks, older ones closed until they fit or none is left."""
        while True:
            memory = self._measure(machine.device)
            made = machine.plan(parts, pixels, memory)
            crowded = made.offload is not Offload.NONE or not made.fits
            if not self._open or (len(self._open) < MOST_OPEN and not crowded):
                return memory
            self._open.popitem(last=False)
            forget()

    @contextmanager
    def in_use(self, kind: ModelType, where: Path) -> Generator[None]:
        """Inside, the base at ``where`` is kept, and known as used last, if it can be removed.

        Raises FeatureNotSupported if it went before.
        """
        if str(where) not in self._holdings.record.bases.values():
            yield
            return
        with in_use(self._holdings.home, where):
            if not where.exists():
                with blame(kind.field):
                    raise FeatureNotSupported("This base model was just removed from this server.")
            yield

    def recogniser(self, kind: ModelType) -> ArcFace:
        """The network whose embeddings the adapter of ``kind`` was taught with."""
        with self._lock:
            if kind.recogniser not in self._recognisers:
                opened = ArcFace(self._path(kind.recogniser), self._threads)
                self._recognisers[kind.recogniser] = opened
            return self._recognisers[kind.recogniser]

    @property
    def is_exact(self) -> bool:
        """Whether networks compute in fp32 anyway."""
        return self._machine.dtype == torch.float32

    def _fitting(self, kind: ModelType, base: str, *, default: bool) -> Path:
        ref = parse_base(base)
        folder = self._holdings.folder(kind.base) if default else self._holdings.base(ref)
        if folder is None:
            raise FeatureNotSupported(
                "This base model is not on this server. Its operator lets one in with"
                " `limner pull <owner/name>` or `limner models add <name> <file>`; the default is"
                f" {WEIGHTS[kind.base].repo}."
            )
        adapter, found = self._adapter_kind(self._path(kind.adapter)), base_kind(folder)
        if found.width != adapter.width or found.channels != 4:
            raise FeatureNotSupported(
                f"The base model is {found}; {kind.name} draws on"
                f" {'Stable Diffusion XL' if kind.xl else 'Stable Diffusion 1.5'}"
                f" (4 input channels, text width {adapter.width})."
            )
        return folder

    def _adapter_kind(self, path: Path) -> AdapterKind:
        if path not in self._kinds:
            self._kinds[path] = read_adapter(path).kind
        return self._kinds[path]

    def _opened(self, kind: ModelType, where: Path, machine: Machine, *, lcm: bool) -> FaceId:
        adapter = read_adapter(self._path(kind.adapter))
        clip = None
        if kind.plus:
            folder = self._path("clip-vit-h").parent
            clip = load_clip_vision(folder, machine)
        base = self._base(kind, where, machine)
        if lcm:
            fuse_lora(base, self._path(LCM[kind.xl].name))
        faceid = join(kind, machine, base, adapter, clip, self._denoiser)
        if lcm:
            faceid = replace(faceid, scheduler=few_steps)
        if machine.converts:
            openvino.convert(faceid.network, self._threads)
        return faceid

    def _base(self, kind: ModelType, where: Path, machine: Machine) -> Base:
        default = self._holdings.folder(kind.base)
        if where.is_file():
            return load_single_file(where, machine, xl=kind.xl, like=default)
        # Realistic Vision's repository is made without a VAE of its own; others bring theirs.
        vae = self._holdings.folder("vae-ft-mse") if where == default and not kind.xl else None
        return load_base(where, machine, xl=kind.xl, vae=vae)

    def _path(self, name: str) -> Path:
        path = self._holdings.file(name)
        if path is None:
            raise NetworkMissing(self._holdings.lacking(name) or f"{name} is not here.")
        return path


def _suits(opened: _Opened, needed: Machine) -> bool:
    """Whether networks compute as ``needed`` does, and enough of them is moved away for it."""
    own = opened.faceid.machine
    same = (own.dtype, own.converts) == (needed.dtype, needed.converts)
    return same and own.offload >= needed.offload


def _is_default(kind: ModelType, base: str) -> bool:
    """Whether ``base`` names the default base of ``kind``, in whatever spelling."""
    try:
        ref = parse_base(base)
    except FeatureNotSupported:
        return False
    weight = WEIGHTS[kind.base]
    return ref.repo == weight.repo and ref.revision in ("main", weight.revision) and not ref.file


def _base_parts(kind: ModelType) -> tuple[str, ...]:
    """The needs that another base replaces."""
    return kind.base, "vae-ft-mse"
