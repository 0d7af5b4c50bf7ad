"""Numbers sent to a device without waiting for what it is at.

torch waits, for everything that the device was told before, when it copies out of ordinary memory;
out of pinned memory a copy is one more thing that the device does in its turn.

Knows devices; knows nothing of what the numbers are.
"""

# torch's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import torch
from torch import Tensor


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """The CPU's ``numbers`` on a device, for whatever it is told from now on."""
    if device.type != "cuda":
        return numbers.to(device)
    return numbers.pin_memory().to(device, non_blocking=True)
