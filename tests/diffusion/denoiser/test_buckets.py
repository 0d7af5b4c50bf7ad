"""How many rows one call has: by device and size alone, and as memory is planned for."""

from __future__ import annotations

import pytest
import torch

from limner.diffusion.denoiser.buckets import row_cost, rows_per_call
from limner.diffusion.machine import Machine
from limner.diffusion.plan import UNET_LIVE, usual

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("size", "rows"),
    [
        ((512, 512), 8),  # a default request: four guided samples
        ((64, 64), 8),
        ((512, 768), 4),
        ((768, 768), 2),
        ((1024, 1024), 2),  # SDXL's guided pair
        ((2048, 2048), 2),
    ],
)
def test_a_gpus_call_has_as_many_rows_as_fill_it_and_at_least_a_guided_pair(
    size: tuple[int, int], rows: int
) -> None:
    """From the measured table (docs/gpu.md): 8 rows of 512², fewer of more pixels, even."""
    assert rows_per_call(GPU, size, 2) == rows_per_call(GPU, size, 1) == rows


@pytest.mark.parametrize("own", [1, 2])
def test_a_cpus_call_has_its_samples_own(own: int) -> None:
    for size in ((64, 64), (512, 512), (1024, 1024)):
        assert rows_per_call(CPU, size, own) == own


@pytest.mark.parametrize("device", [GPU, CPU])
def test_memory_is_planned_for_the_rows_that_a_call_has(device: torch.device) -> None:
    machine = Machine(device, torch.float32)
    planned = usual(at_once=machine.samples_at_once(xl=False))
    for name, size in (
        ("fal-ai/ip-adapter-face-id", (512, 512)),
        ("fal-ai/face-to-sticker", (1024, 1024)),
    ):
        parts, pixels = planned[name]
        assert pixels == size[0] * size[1]
        assert parts.rows == rows_per_call(device, size, 2)
        assert parts.live == UNET_LIVE["sticker" in name]


def test_a_rows_cost_is_what_was_counted() -> None:
    """TFLOP, as FlopCounterMode counts them on diffusers' classes; a ControlNet is its own."""
    assert row_cost((512, 512), 0, xl=False) == pytest.approx(0.80327)
    assert row_cost((1024, 1024), 0, xl=True) == pytest.approx(6.76124)
    assert row_cost((512, 1024), 0, xl=True) == pytest.approx(6.76124 / 2)
    with_control = row_cost((1024, 1024), 1, xl=True)
    assert with_control == pytest.approx(6.76124 + 2.98775, rel=0.01)
