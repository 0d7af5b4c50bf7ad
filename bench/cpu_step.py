"""A guided pair of rows on a CPU, in several ways: ``python -m bench.cpu_step [sd15|middle]``.

Stable Diffusion 1.5's own UNet at 512² (or a quarter as wide at 128²) with random numbers:
diffusers eager in fp32, Limner's bucket of one row and of two in fp32, bf16, and OpenVINO where the
package ``openvino`` is installed. In turns, in CPU seconds of this process; ratios to the first.
Knows networks.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console

from bench.networks import TOKENS, Twins, twins
from bench.rounds import in_turns, table
from limner.diffusion.adapter import read
from limner.diffusion.denoiser.bucket import Asked, Bucket
from limner.diffusion.denoiser.reading import Reading, Row

FLOOR = "diffusers, fp32"
SIDES = {"sd15": 64, "middle": 16}
ROUNDS = 3


def ways(name: str) -> dict[str, Callable[[], object]]:
    """Name → a call of two rows."""
    device = torch.device("cpu")
    whole = twins(name, device, torch.float32)
    half = twins(name, device, torch.bfloat16)
    side = SIDES[name]
    found: dict[str, Callable[[], object]] = {FLOOR: _stock(whole, side)}
    for title, pair, places in (
        ("Limner, fp32, a row a call", whole, 1),
        ("Limner, fp32, two rows a call", whole, 2),
        ("Limner, bf16, a row a call", half, 1),
    ):
        found[title] = _limner(pair, side, places)
    found["diffusers, bf16"] = _stock(half, side)
    if importlib.util.find_spec("openvino") is not None:
        found["OpenVINO, fp32"] = _openvino(whole, side)
    return found


def _limner(pair: Twins, side: int, places: int) -> Callable[[], object]:
    net, bucket = pair.network.net, Bucket(pair.network, places)
    asked: list[Asked] = []
    with torch.inference_mode():
        for number in range(2):
            text, tokens = (
                torch.randn(1, count, pair.width, dtype=net.dtype) for count in (77, TOKENS)
            )
            row = Row(Reading(read(net, text, (tokens,))), ())
            asked.append(Asked(row, torch.randn(1, 4, side, side), 500.0 + number, (1.0,), ()))
    return lambda: [bucket(asked[at : at + places]) for at in range(0, 2, places)]


def _stock(pair: Twins, side: int) -> Callable[[], object]:
    told = _inputs(pair, side)

    @torch.inference_mode()
    def call() -> object:
        given, at, text, tokens = told
        added = {"image_embeds": [tokens]}
        return pair.stock(given, at, text, added_cond_kwargs=added, return_dict=False)

    return call


def _inputs(pair: Twins, side: int) -> tuple[torch.Tensor, ...]:
    like = {"dtype": pair.stock.dtype}
    text, tokens = (torch.randn(2, count, pair.width, **like) for count in (77, TOKENS))
    return torch.randn(2, 4, side, side, **like), torch.tensor(500.0), text, tokens


def _openvino(pair: Twins, side: int) -> Callable[[], object]:
    """The same UNet converted, in fp32: what the ``[cpu]`` extra would run."""
    openvino: Any = importlib.import_module("openvino")

    class Plain(torch.nn.Module):
        def forward(self, *told: torch.Tensor) -> torch.Tensor:
            given, at, text, tokens = told
            added = {"image_embeds": [tokens]}
            return pair.stock(given, at, text, added_cond_kwargs=added, return_dict=False)[0]

    told = _inputs(pair, side)
    model = openvino.convert_model(Plain(), example_input=told)
    run = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda: run([each.numpy() for each in told])


def main() -> None:
    """Measure and print."""
    name = sys.argv[1] if len(sys.argv) > 1 else "sd15"
    torch.set_num_threads(os.cpu_count() or 1)

    def seconds(call: Callable[[], object]) -> Callable[[], float]:
        def one() -> float:
            began = time.process_time()
            call()
            return time.process_time() - began

        return one

    calls = ways(name)
    measured = in_turns({title: seconds(call) for title, call in calls.items()}, ROUNDS)
    console = Console(width=110)
    console.print(f"{time.strftime('%Y-%m-%d')}, {name}, load {os.getloadavg()[0]:.1f}")
    console.print(table("a guided pair of rows, CPU time", measured, (FLOOR,)))


if __name__ == "__main__":
    main()
