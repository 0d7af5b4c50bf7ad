"""All that is measured on a GPU, within minutes: ``python -m bench.on_gpu [--minutes 10]``.

First it looks whether everything is there that any of it imports: a GPU that is lent for minutes
shall not spend them on a missing wheel. Then the benches that need one follow each other, what
matters most first, each in a process of its own and for no longer than it may take; what is printed
by then stays. The output is Markdown: ``… > gpu.md``. ``--tiny`` tries the same out without a GPU,
with the smallest networks. Knows commands; knows nothing of what is measured.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """A bench and its arguments. ``minutes``: what it may take at most."""

    module: str
    arguments: tuple[str, ...]
    minutes: float


#: On a GPU: the goals first (docs/gpu.md), then the rest of the tables. A row of ``floor`` took an
#: H100 a minute or a minute and a half, mostly compiling; the others were not run on one yet.
PARTS = (
    Part("bench.floor", ("sd15", "8"), 2.5),
    Part("bench.gpu", (), 5),
    Part("bench.floor", ("sdxl", "16"), 3.5),
    Part("bench.step_batching", ("sd15",), 3),
    Part("bench.floor", ("sdxl-control", "2"), 3),
    Part("bench.floor", ("sd15", "2", "32", "16"), 4),
    Part("bench.floor", ("sdxl", "2", "8", "4"), 4),
)
TINY = (
    Part("bench.floor", ("sd15", "2", "--tiny"), 2.5),
    Part("bench.gpu", ("--tiny",), 5),
    Part("bench.floor", ("sdxl", "2", "--tiny"), 2.5),
    Part("bench.step_batching", ("tiny", "--requests", "4"), 3),
    Part("bench.floor", ("sdxl-control", "2", "--tiny"), 3),
)
#: What they import as they run, and not before.
NEEDED = ("accelerate", "safetensors.torch", "torch", "triton", "transformers")


def lacking(*, gpu: bool) -> list[str]:
    """Why the benches cannot run here; nothing if they can."""
    faults: list[str] = []
    needed = [name for name in NEEDED if gpu or name != "triton"]
    for name in [*needed, *sorted({part.module for part in PARTS})]:
        try:
            importlib.import_module(name)
        except ImportError as fault:
            faults.append(f"{name} cannot be imported: {fault}")
    if not faults and gpu:
        torch = importlib.import_module("torch")
        if not torch.cuda.is_available():
            faults.append("torch sees no CUDA device (`--tiny` tries the benches without one).")
        if not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
            faults.append("Kernels are compiled by triton, which wants a C compiler (cc).")
    return faults


def run(parts: Sequence[Part], minutes: float) -> bool:
    """Each part while there is time; whether all of them came to their end."""
    until, whole = time.monotonic() + 60 * minutes, True
    for part in parts:
        command = [sys.executable, "-m", part.module, *part.arguments]
        left = min(60 * part.minutes, until - time.monotonic())
        print(f"\n## `python -m {' '.join(command[2:])}`\n", flush=True)
        began, end = time.monotonic(), ""
        try:
            code = subprocess.run(command, check=False, timeout=max(0, left)).returncode
            end = f"ended with {code}" if code else ""
        except subprocess.TimeoutExpired:
            end = "was stopped: no time was left for it"
        whole = whole and not end
        print(f"\n({end + ', ' if end else ''}{time.monotonic() - began:.0f} s)", flush=True)
    return whole


def main() -> None:
    """Look, measure, and say in the end whether anything is missing."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--minutes", type=float, default=10, help="in all")
    parser.add_argument("--tiny", action="store_true", help="the smallest networks, on any machine")
    told = parser.parse_args()
    faults = lacking(gpu=not told.tiny)
    if faults:
        raise SystemExit("Nothing was measured.\n" + "\n".join(faults))
    print(f"# {time.strftime('%Y-%m-%d %H:%M')}, {'tiny networks' if told.tiny else 'a GPU'}")
    if not run(TINY if told.tiny else PARTS, told.minutes):
        raise SystemExit("Not everything was measured.")


if __name__ == "__main__":
    main()
