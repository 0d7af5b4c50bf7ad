"""How far a step is from what the GPU can multiply.

``python -m bench.floor [sd15|sdxl|sdxl-control] [rows…] [--tiny]``

Rows from 2 on, bf16, at the family's own size: diffusers' UNet eager, the same with its blocks
compiled as diffusers does it, and the denoiser's bucket as a server makes it and as it is with
``LIMNER_COMPILE=0``, in milliseconds and as a share of the floor: the row's counted operations at
790 TFLOP/s, which H100 and H200 reach in bf16 products. Then whether a row's bits are the same in
every place and beside any neighbours, which the denoiser's promise rests on, and the seconds of
the first call, in which kernels are compiled. Needs a CUDA device.

Counts: FlopCounterMode on diffusers' own classes, 2 for each multiply and add. ``sdxl-control`` is
a sticker's step: SDXL with InstantID's ControlNet. ``--tiny`` goes the same way with the smallest
networks of the same layers, on a CPU too, where nothing is compiled: what it prints tells only that
the bench runs. Knows networks.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import torch

from bench.networks import TOKENS, Twins, control, twins
from limner.diffusion.adapter import fit, read
from limner.diffusion.denoiser.bucket import Asked, Bucket
from limner.diffusion.denoiser.graphs import Calls, Recorder, at_once
from limner.diffusion.denoiser.network import Controller, Network, Trunk
from limner.diffusion.denoiser.reading import Reading, Row
from limner.diffusion.machine import name_of


@dataclass(frozen=True)
class Family:
    """``work``: TFLOP of one row; ``side`` of its latents in pixels; ``rows`` in a call.

    ``name`` and ``small``: its networks, at full size and the smallest.
    """

    name: str
    small: str
    work: float
    side: int
    rows: tuple[int, ...]
    controlled: bool = False


FAMILIES = {
    "sd15": Family("sd15", "tiny", 0.80327, 64, (2, 8, 16, 32)),
    "sdxl": Family("sdxl", "tiny-xl", 6.76124, 128, (2, 4, 8, 16)),
    "sdxl-control": Family("sdxl", "tiny-xl", 6.76124 + 2.98775, 128, (2, 4, 8), controlled=True),
}
PEAK = 790.0
STEPS = 15
#: Side of the smallest latents.
SMALL = 8


def milliseconds(call: Callable[[], object], device: torch.device, steps: int = STEPS) -> float:
    """The median of a few, after as many to warm up."""
    taken: list[float] = []
    for _ in range(2 * steps):
        wait(device)
        began = time.perf_counter()
        call()
        wait(device)
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken[steps:])


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def rows(
    pair: Twins, family: Family, count: int, controller: Controller | None = None
) -> list[Asked]:
    """Rows that all say and see something else."""
    generator = torch.Generator("cpu").manual_seed(0)
    net, side = pair.network.net, family.side

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(net.device, net.dtype)

    asked: list[Asked] = []
    for number in range(count):
        text, pooled = numbers(1, 77, pair.width), numbers(1, 1280)
        tokens = numbers(1, TOKENS, pair.width)
        own = Reading(read(net, text, (tokens,)), _added(pair.network, pooled, side))
        controls: list[tuple[Controller, Reading]] = []
        if controller is not None:
            seen = controller.see(numbers(1, 3, 8 * side, 8 * side))
            told = Reading(read(controller.net, text), _added(controller, pooled, side), seen)
            controls.append((controller, told))
        row, latent = Row(own, tuple(controls)), numbers(1, 4, side, side).float()
        asked.append(Asked(row, latent, 1.0 + number, (1.0,), (1.0,) * len(controls)))
    return asked


def _added(trunk: Trunk, pooled: torch.Tensor, side: int) -> torch.Tensor | None:
    size = 8 * side, 8 * side
    return trunk.embed_words(pooled, (*size, 0, 0, *size)) if trunk.xl else None


def stock(
    pair: Twins, family: Family, net: Any, count: int, control: Any = None
) -> Callable[[], object]:
    """diffusers' own call of as many rows."""
    like = {"device": pair.stock.device, "dtype": pair.stock.dtype}
    side = family.side
    given, text = (
        torch.randn(count, 4, side, side, **like),
        torch.randn(count, 77, pair.width, **like),
    )
    words: dict[str, Any] = {}
    if pair.network.xl:
        words["text_embeds"] = torch.randn(count, 1280, **like)
        words["time_ids"] = torch.tensor([[1024, 1024, 0, 0, 1024, 1024]] * count, **like)
    added = {**words, "image_embeds": [torch.randn(count, TOKENS, pair.width, **like)]}
    at = torch.full((count,), 500, device=given.device)
    if control is None:
        return lambda: net(given, at, text, added_cond_kwargs=added, return_dict=False)
    hint = torch.randn(count, 3, 8 * side, 8 * side, **like)

    def call() -> object:
        down, middle = control(given, at, text, hint, added_cond_kwargs=words, return_dict=False)
        lent = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return net(given, at, text, added_cond_kwargs=added, return_dict=False, **lent)

    return call


def same_bits(bucket: Bucket, asked: Sequence[Asked]) -> bool:
    """Whether every row is the same in each place, and with nobody beside it."""
    bucket.clear()
    expected = bucket(asked)
    for shift in range(1, len(asked)):
        bucket.clear()
        answers = bucket([*asked[shift:], *asked[:shift]])
        moved = [*answers[-shift:], *answers[:-shift]]
        if not all(torch.equal(a, b) for a, b in zip(moved, expected, strict=True)):
            return False
    alone: list[torch.Tensor] = []
    for each in asked:
        bucket.clear()
        alone += bucket([each])
    return all(torch.equal(a, b) for a, b in zip(alone, expected, strict=True))


@dataclass(frozen=True, eq=False)
class Kinds:
    """A family's networks in every way in which they are called."""

    pair: Twins
    #: diffusers', its blocks compiled as diffusers does it.
    blocks: Any
    #: As a server has it.
    served: Network
    #: A ControlNet as diffusers calls it, as Limner plainly does, and as a server does.
    controls: tuple[Any, Controller | None, Controller | None]


def made(family: Family, device: torch.device, *, tiny: bool) -> Kinds:
    """Networks with random numbers; on a CPU nothing is compiled."""
    name, compiled = family.small if tiny else family.name, device.type == "cuda"
    dtype = torch.bfloat16 if compiled else torch.float32
    pair = twins(name, device, dtype)
    fitted, blocks = copy.deepcopy(pair.network.net), copy.deepcopy(pair.stock)
    if compiled:
        blocks.compile_repeated_blocks(dynamic=False)
    served, controls = Network(fitted, compiled=compiled), (None, None, None)
    if family.controlled:
        theirs = control(name, device, dtype)
        plain, ours = copy.deepcopy(theirs), copy.deepcopy(theirs)
        for each in (plain, ours):
            fit(each, ())
        controls = theirs, Controller(plain), Controller(ours, compiled=compiled)
    return Kinds(pair, blocks, served, controls)


def row(kinds: Kinds, family: Family, count: int, calls: Calls, *, tiny: bool) -> str:
    """A row of the table, for so many rows in a call."""
    pair, (theirs, plainly, ours) = kinds.pair, kinds.controls
    device = pair.stock.device
    plain, bucket = Bucket(pair.network, count), Bucket(kinds.served, count, calls)
    served = Twins(pair.stock, kinds.served)
    asked = rows(served, family, count, ours)
    began = time.perf_counter()
    bucket(asked)
    wait(device)
    first = time.perf_counter() - began
    ways = (
        stock(pair, family, pair.stock, count, theirs),
        stock(pair, family, kinds.blocks, count, theirs),
        partial(plain, rows(pair, family, count, plainly)),
        partial(bucket, asked),
    )
    taken = [milliseconds(way, device, 2 if tiny else STEPS) for way in ways]
    floor = 1e3 * family.work * count / PEAK
    cells = [f"{each:.1f}" if tiny else f"{each:.1f} ({floor / each:.0%})" for each in taken]
    same = "yes" if same_bits(bucket, asked) else "NO"
    cells = [str(count), "-" if tiny else f"{floor:.1f}", *cells, same, f"{first:.0f}"]
    return "| " + " | ".join(cells) + " |"


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    said = argparse.ArgumentParser(
        prog="python -m bench.floor", description="How far a step is from a CUDA device's floor."
    )
    said.add_argument("family", nargs="?", choices=sorted(FAMILIES), default="sd15")
    said.add_argument("rows", nargs="*", type=int, help="in one call")
    said.add_argument("--tiny", action="store_true", help="the smallest networks, on any machine")
    return said


@torch.inference_mode()
def main() -> None:
    """Measure one family and print it, a row as soon as it is known."""
    told = parser().parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not told.tiny:
        raise SystemExit(
            "bench.floor measures a CUDA device, and there is none here. `--tiny` tries it without."
        )
    name, family = str(told.family), FAMILIES[told.family]
    if told.tiny:
        # One thread: two of a CPU round a row by where it stands.
        torch.set_num_threads(1)
        family = replace(family, side=SMALL)
    kinds, recorder = made(family, device, tiny=told.tiny), Recorder()
    size = "the smallest networks" if told.tiny else "ms (of the floor)"
    print(f"{name}, {name_of(device)}, torch {torch.__version__}, {size}\n")
    print(
        "| rows | floor | eager | compiled | Limner, plain | Limner | same bits | first call, s |"
    )
    print("|" + 8 * "---|", flush=True)
    for count in told.rows or family.rows:
        calls = recorder.recordings() if kinds.served.recorded else at_once
        print(row(kinds, family, count, calls, tiny=told.tiny), flush=True)


if __name__ == "__main__":
    main()
