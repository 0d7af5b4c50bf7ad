"""How many rows one call has, and what a row costs.

One number for each network, size and kind of sample: were it to change with how busy the server is,
so would the bits. It is therefore chosen for a picture alone, and as large as company makes worth
while.

Knows sizes; knows no network.
"""

from __future__ import annotations

import torch

#: Rows of SD 1.5 at 512², or of as many latents' pixels in either family, in one call of a GPU: a
#: request of four guided samples. At 1024² it is SDXL's guided pair, which fills a GPU alone. An
#: H100 takes, in ms a row, 3.6 for calls of 2, 2.5 of 8 and 2.2 of 32 (SD 1.5), and 17.0 of 2 and
#: 15.9 of 8 (SDXL): more would gain a tenth, and a request alone would pay for it (docs/gpu.md).
ROWS = 8
PIXELS = 512 * 512

#: TFLOP of a row for each pixel: counted at 512² for SD 1.5, at 1024² for SDXL.
_WORK = {False: 0.80327 / (512 * 512), True: 6.76124 / (1024 * 1024)}

#: A ControlNet is the UNet's way down and its middle: its share of the UNet's work.
CONTROL = 0.44


def rows_per_call(device: torch.device, size: tuple[int, int], own: int) -> int:
    """Rows in each call for pictures of ``size`` (width, height) that have ``own`` rows each.

    On a CPU its own, a guided pair or one: two threads round a row by where in the batch it stands,
    and so a sample's rows always stand in the same places and never beside another's. Together they
    read the weights once; beside others they would gain little more.
    """
    if device.type == "cpu":
        return own
    width, height = size
    return max(2, ROWS * PIXELS // max(PIXELS, width * height) // 2 * 2)


def row_cost(size: tuple[int, int], controls: int, *, xl: bool) -> float:
    """TFLOP of one row at one step, with so many ControlNets."""
    width, height = size
    return _WORK[xl] * width * height * (1 + CONTROL * controls)
