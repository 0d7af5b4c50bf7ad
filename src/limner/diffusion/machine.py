"""Where networks run and in which numbers.

Knows torch's devices; knows no network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Machine:
    """A device, and the numbers its networks compute in."""

    device: torch.device
    dtype: torch.dtype


def this_machine() -> Machine:
    """An NVIDIA GPU in bf16, or fp16 where it is too old; otherwise the CPU in fp32.

    bf16 has fp32's range: SDXL's VAE and UNet do not overflow in it as they do in fp16.
    """
    if not torch.cuda.is_available():
        return Machine(torch.device("cpu"), torch.float32)
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return Machine(torch.device("cuda"), dtype)
