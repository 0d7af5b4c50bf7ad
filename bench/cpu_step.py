"""A guided pair of rows on a CPU: ``python -m bench.cpu_step [sd15|middle] [rounds]``.

Stable Diffusion 1.5's own UNet at 512² (or a quarter as wide at 128²) with random numbers, as
diffusers calls it and in Limner's bucket, in fp32 and bf16; and Limner's by OpenVINO where the
extra ``cpu`` is installed. In turns, with one thread, in CPU seconds of this process: on a busy
machine they say more than a clock does. Ratios to the first. Knows networks.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable

import torch
from rich.console import Console

from bench.networks import TOKENS, Twins, twins
from bench.rounds import in_turns, table
from limner.diffusion.adapter import read
from limner.diffusion.denoiser import openvino
from limner.diffusion.denoiser.bucket import Asked, Bucket
from limner.diffusion.denoiser.network import Network
from limner.diffusion.denoiser.reading import Reading, Row

FLOOR = "diffusers, fp32"
SIDES = {"sd15": 64, "middle": 16}
ROUNDS = 3


def ways(name: str) -> dict[str, Callable[[], object]]:
    """Name → a call of two rows."""
    device, side = torch.device("cpu"), SIDES[name]
    found: dict[str, Callable[[], object]] = {}
    for numbers, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        pair = twins(name, device, dtype)
        found[f"diffusers, {numbers}"] = _stock(pair, side)
        found[f"Limner, {numbers}"] = _limner(pair.network, side)
        if dtype == torch.float32 and importlib.util.find_spec("openvino") is not None:
            began = time.process_time()
            converted = Network(pair.network.net)
            openvino.convert(converted, 1)
            seconds = time.process_time() - began
            found[f"Limner by OpenVINO, fp32 (converted in {seconds:.0f} s)"] = _limner(
                converted, side
            )
    return found


def _limner(network: Network, side: int) -> Callable[[], object]:
    """A sample's call, as on a CPU."""
    net, bucket = network.net, Bucket(network, 2)
    width, asked = int(net.config.cross_attention_dim), list[Asked]()
    with torch.inference_mode():
        for number in range(2):
            text, tokens = (torch.randn(1, count, width, dtype=net.dtype) for count in (77, TOKENS))
            row = Row(Reading(read(net, text, (tokens,))), ())
            asked.append(Asked(row, torch.randn(1, 4, side, side), 500.0 + number, (1.0,), ()))
    return lambda: bucket(asked)


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("network", nargs="?", choices=sorted(SIDES), default="sd15")
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    told = parser.parse_args()
    name, rounds = str(told.network), int(told.rounds)
    torch.set_num_threads(1)

    def seconds(call: Callable[[], object]) -> Callable[[], float]:
        def one() -> float:
            began = time.process_time()
            call()
            return time.process_time() - began

        return one

    calls = ways(name)
    measured = in_turns({title: seconds(call) for title, call in calls.items()}, rounds)
    console = Console(width=110)
    console.print(f"{time.strftime('%Y-%m-%d')}, {name}, load {os.getloadavg()[0]:.1f}")
    console.print(table("a guided pair of rows, CPU time", measured, (FLOOR,)))


if __name__ == "__main__":
    main()
