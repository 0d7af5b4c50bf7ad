"""What this machine computes in, and by what."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import threading
from collections.abc import Generator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.cli.house import workshop
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.holdings import Holdings
from limner.diffusion.machine import Machine, this_machine
from limner.diffusion.plan import GIB, Memory, Offload, sticker_parts
from limner.diffusion.sticker_studio import StickerStudio
from limner.diffusion.studio import Studio
from limner.diffusion.weights import MODEL_TYPES, WEIGHTS
from limner.endpoints.base import Step
from limner.endpoints.painting import firmly, set_up
from limner.settings import Settings
from tests.diffusion.conftest import linked

CPU = torch.device("cpu")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("has", "dtype"),
    [
        ((), torch.float32),
        (("avx512_bf16",), torch.bfloat16),
        (("amx_tile",), torch.bfloat16),
    ],
)
def test_a_cpu_computes_in_bf16_if_it_multiplies_in_it_and_else_in_fp32(
    monkeypatch: pytest.MonkeyPatch, has: tuple[str, ...], dtype: torch.dtype
) -> None:
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda name=name: name in has)
    assert this_machine() == Machine(CPU, dtype)


@pytest.mark.usefixtures("no_gpu")
def test_this_cpu_computes_in_bf16_if_its_flags_say_so() -> None:
    """Linux's own words for what the processor has, against torch's."""
    flags = Path("/proc/cpuinfo").read_text().split()
    has = "avx512_bf16" in flags or "amx_tile" in flags
    assert this_machine().dtype == (torch.bfloat16 if has else torch.float32)


@pytest.mark.usefixtures("no_gpu")
def test_a_cpu_converts_if_openvino_is_here_and_compiling_is_not_switched_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert this_machine(compile=True).converts
    assert not this_machine(compile=False).converts
    find = importlib.util.find_spec

    def without(name: str, *others: Any) -> ModuleSpec | None:
        return None if name == "openvino" else find(name, *others)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert not this_machine(compile=True).converts


def room(gib: float) -> Memory:
    return Memory(gib * GIB, gib * GIB)


class Converted:
    """In OpenVINO's place: only which networks were to be converted is of interest here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple[Any, bool]] = []
        monkeypatch.setattr("limner.diffusion.denoiser.openvino.convert", self.convert)

    def convert(self, trunk: Any, threads: int, *, lent: bool = False) -> None:
        assert threads == 3
        self.told.append((trunk, lent))


def test_a_studio_converts_where_there_is_room_and_else_draws_as_the_cpu_does(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same size is always drawn the same way, whatever was opened before."""
    converted = Converted(monkeypatch)
    holdings = Holdings(linked(weights, tmp_path / "home"), commercial=False)
    kind = MODEL_TYPES["1_5-v1"]
    for name in kind.needs:
        if not WEIGHTS[name].commercial:
            holdings.accept(name)
    machine = Machine(CPU, torch.bfloat16, converts=True)
    here = Studio(holdings, machine, 3, Denoiser(), lambda _: room(20))
    base = here.check(kind, WEIGHTS[kind.base].repo)
    usual = here.open(kind, base, (64, 64))
    assert (usual.machine.dtype, usual.machine.converts) == (torch.float32, True)
    assert here.open(kind, base, (512, 512)) is usual
    assert converted.told == [(usual.network, False)]
    large = here.open(kind, base, (2048, 2048))
    assert (large.machine.dtype, large.machine.converts) == (torch.bfloat16, False)
    assert len(converted.told) == 1
    assert here.open(kind, base, (64, 64)).machine.converts


def test_a_stickers_networks_are_all_converted_and_stay_open(
    sticker_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = Converted(monkeypatch)
    machine = Machine(CPU, torch.bfloat16, converts=True)
    holdings = Holdings(sticker_home, commercial=False)
    here = StickerStudio(holdings, machine, 3, Denoiser(), lambda _: room(80))
    opened = here.open((64, 64))
    assert converted.told == [(opened.network, True), (opened.control, False)]
    assert here.open((128, 64)) is opened
    exact = here.open((64, 64), exact=True)
    assert (exact.machine.dtype, exact.machine.converts) == (torch.float32, False)
    assert len(converted.told) == 2


def _openmp() -> ctypes.CDLL | None:
    """The OpenMP that torch computes with."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    found = [line.split()[-1] for line in lines if "torch/lib/libgomp" in line]
    return ctypes.CDLL(found[0]) if found else None


@pytest.mark.skipif(_openmp() is None, reason="torch has another OpenMP here")
def test_a_drawing_threads_first_product_uses_as_many_threads_as_torch_was_told() -> None:
    """As on a machine of more cores than a network may use."""
    openmp, before = _openmp(), torch.get_num_threads()
    assert openmp is not None
    seen: list[int] = []

    def paint(_exact: bool) -> Generator[Step]:
        seen.append(openmp.omp_get_max_threads())
        yield Step("painted")

    told = (os.cpu_count() or 1) + 2
    try:
        torch.set_num_threads(told)
        threads = [
            threading.Thread(target=lambda: seen.append(openmp.omp_get_max_threads())),
            threading.Thread(target=lambda: list(firmly(paint, is_exact=True))),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    finally:
        torch.set_num_threads(before)
    assert seen[0] != told, "it needs no telling any more"
    assert seen[1] == told


def test_on_a_gpu_that_networks_never_leave_and_that_has_room_they_are_compiled() -> None:
    """A network that comes and goes has no place in which its calls could be recorded."""
    cuda = torch.device("cuda")
    assert Machine(cuda, torch.bfloat16, compiles=True).compiled
    for other in (
        Machine(cuda, torch.bfloat16),
        Machine(CPU, torch.bfloat16, compiles=True),
        Machine(cuda, torch.bfloat16, Offload.NETWORKS, compiles=True),
        Machine(cuda, torch.bfloat16, Offload.BLOCKS, compiles=True),
    ):
        assert not other.compiled
    parts, machine = sticker_parts(), Machine(cuda, torch.bfloat16, compiles=True)
    on = {
        gib: machine.planned(parts, 1024 * 1024, room(gib)) for gib in (8, 12, 14, *range(15, 49))
    }
    assert [each.compiled for each in on.values()] == [False] * 3 + [True] * 34
    assert on[14].offload is Offload.NONE, "its networks stay, but recordings have no room"


def test_compiling_is_switched_off_by_the_operator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From LIMNER_COMPILE to what an engine's networks are opened for."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    told: list[bool] = []

    def seen(*, compile: bool) -> Machine:
        told.append(compile)
        return Machine(CPU, torch.float32)

    monkeypatch.setattr("limner.endpoints.painting.this_machine", seen)
    for said in ("0", "1", None):
        if said is None:
            monkeypatch.delenv("LIMNER_COMPILE")
        else:
            monkeypatch.setenv("LIMNER_COMPILE", said)
        set_up(workshop(Settings()))
    assert told == [False, True, True]
