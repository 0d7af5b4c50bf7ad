"""Where networks run and in which numbers.

Knows torch's devices; knows no network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

#: Samples computed in one call, for (SD 1.5, SDXL). On a CPU each alone: company saves nothing.
#: On an accelerator an SD 1.5 call of one sample leaves most of it idle; an SDXL call does not.
_AT_ONCE = {"cpu": (1, 1), "cuda": (4, 1)}


@dataclass(frozen=True, slots=True)
class Machine:
    """A device, and the numbers its networks compute in."""

    device: torch.device
    dtype: torch.dtype

    def samples_at_once(self, *, xl: bool) -> int:
        """How many samples go into one call, always: what makes a sample's bits its own."""
        return _AT_ONCE.get(self.device.type, (1, 1))[xl]


def this_machine() -> Machine:
    """An NVIDIA GPU in bf16, or fp16 where it is too old; otherwise the CPU in fp32.

    bf16 has fp32's range: SDXL's VAE and UNet do not overflow in it as they do in fp16.
    """
    if not torch.cuda.is_available():
        return Machine(torch.device("cpu"), torch.float32)
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return Machine(torch.device("cuda"), dtype)


def accelerator_memory() -> tuple[int, int] | None:
    """Free and total bytes of the accelerator that networks run on; None when there is none."""
    return torch.cuda.mem_get_info() if torch.cuda.is_available() else None
