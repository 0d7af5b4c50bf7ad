"""How far a step is from what the GPU can multiply: ``python -m bench.floor [sd15|sdxl] [rows…]``.

Rows from 2 on, bf16, at the family's own size: diffusers' UNet eager, the same with its blocks
compiled as diffusers does it, and the denoiser's bucket as a server makes it and as it is with
``LIMNER_COMPILE=0``, in milliseconds and as a share of the floor: the row's counted operations at
790 TFLOP/s, which H100 and H200 reach in bf16 products. Then whether a row's bits are the same in
every place and beside any neighbours, which the denoiser's promise rests on, and the seconds of
the first call, in which kernels are compiled. Needs a CUDA device.

Counts: FlopCounterMode on diffusers' own classes, 2 for each multiply and add. Knows networks.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch

from bench.networks import TOKENS, Twins, twins
from limner.diffusion.adapter import read
from limner.diffusion.denoiser.bucket import Asked, Bucket
from limner.diffusion.denoiser.graphs import Recorder
from limner.diffusion.denoiser.network import Network
from limner.diffusion.denoiser.reading import Reading, Row

#: TFLOP of one row; pixels along a side of its latents; rows in a call.
WORK = {"sd15": (0.80327, 64, (2, 8, 16, 32)), "sdxl": (6.76124, 128, (2, 4, 8, 16))}
PEAK = 790.0
STEPS = 15


def milliseconds(call: Callable[[], object]) -> float:
    """The median of a few, after as many to warm up."""
    taken: list[float] = []
    for _ in range(2 * STEPS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken[STEPS:])


def rows(pair: Twins, count: int) -> list[Asked]:
    """Rows that all say and see something else."""
    generator = torch.Generator("cpu").manual_seed(0)
    net = pair.network.net

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(net.device, net.dtype)

    side = WORK["sdxl" if pair.network.xl else "sd15"][1]
    asked: list[Asked] = []
    for number in range(count):
        layers = read(net, numbers(1, 77, pair.width), (numbers(1, TOKENS, pair.width),))
        added = None
        if pair.network.xl:
            size = (8 * side, 8 * side, 0, 0, 8 * side, 8 * side)
            added = pair.network.embed_words(numbers(1, 1280), size)
        row = Row(Reading(layers, added), ())
        asked.append(Asked(row, numbers(1, 4, side, side).float(), 1.0 + number, (1.0,), ()))
    return asked


def stock(pair: Twins, net: Any, count: int) -> Callable[[], object]:
    """diffusers' own call of as many rows."""
    side = WORK["sdxl" if pair.network.xl else "sd15"][1]
    like = {"device": pair.stock.device, "dtype": pair.stock.dtype}
    given, text = (
        torch.randn(count, 4, side, side, **like),
        torch.randn(count, 77, pair.width, **like),
    )
    added: dict[str, Any] = {"image_embeds": [torch.randn(count, TOKENS, pair.width, **like)]}
    if pair.network.xl:
        added["text_embeds"] = torch.randn(count, 1280, **like)
        added["time_ids"] = torch.tensor([[1024, 1024, 0, 0, 1024, 1024]] * count, **like)
    at = torch.full((count,), 500, device=given.device)
    return lambda: net(given, at, text, added_cond_kwargs=added, return_dict=False)


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


@torch.inference_mode()
def main() -> None:
    """Measure one family and print it, a row as soon as it is known."""
    if not torch.cuda.is_available():
        raise SystemExit("bench.floor measures a CUDA device, and there is none here.")
    name, *told = sys.argv[1:] or ["sd15"]
    work, _, usual = WORK[name]
    pair = twins(name, torch.device("cuda"), torch.bfloat16)
    fitted, blocks = copy.deepcopy(pair.network.net), copy.deepcopy(pair.stock)
    blocks.compile_repeated_blocks(fullgraph=True, dynamic=False)
    del fitted.forward
    made = Twins(pair.stock, Network(fitted, compiled=True))
    recorder = Recorder()
    print(f"{name}, {torch.cuda.get_device_name()}, torch {torch.__version__}, ms (of the floor)\n")
    print(
        "| rows | floor | eager | compiled | Limner, plain | Limner | same bits | first call, s |"
    )
    print("|" + 8 * "---|")
    for count in [int(each) for each in told] or usual:
        floor = 1e3 * work * count / PEAK
        asked, plain = rows(pair, count), Bucket(pair.network, count)
        bucket = Bucket(made.network, count, recorder.recordings())
        began = time.perf_counter()
        bucket(asked)
        torch.cuda.synchronize()
        first = time.perf_counter() - began
        kinds = (
            stock(pair, pair.stock, count),
            stock(pair, blocks, count),
            partial(plain, asked),
            partial(bucket, asked),
        )
        taken = [milliseconds(kind) for kind in kinds]
        cells = [f"{each:.1f} ({floor / each:.0%})" for each in taken]
        same = "yes" if same_bits(bucket, asked) else "NO"
        cells = [str(count), f"{floor:.1f}", *cells, same, f"{first:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
