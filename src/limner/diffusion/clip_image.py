"""What CLIP sees in an aligned face: the hidden states that the Plus adapters read.

Knows OpenCLIP's ViT-H as transformers runs it; knows nothing of faces or adapters.
"""

# transformers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limner.stages.remembered import Remembered

#: Pixels along a side of what CLIP looks at.
SIDE = 224

#: The mean and deviation of red, green and blue that CLIP was trained with (Radford et al. 2021).
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)

#: Pictures whose states are remembered: 257 of 1280 halves are 0.6 MB each.
MOST_REMEMBERED = 64


def _memory() -> Remembered[Tensor]:
    return Remembered(MOST_REMEMBERED)


@dataclass(frozen=True, eq=False)
class ClipVision:
    """A CLIPVisionModelWithProjection of which only the last layer but one is read."""

    model: Any
    _known: Remembered[Tensor] = field(init=False, default_factory=_memory)

    def see(self, rgb: npt.NDArray[np.uint8], whose: str = "") -> Tensor:
        """Red, green, blue [224, 224, 3] → hidden states [1, n, width].

        ``whose``: what of it is remembered serves nobody else.
        """
        if rgb.shape != (SIDE, SIDE, 3):
            raise ValueError(f"CLIP looks at {SIDE}×{SIDE} pixels, not {rgb.shape}")
        scaled = rgb.astype(np.float32) / 255
        normal = (scaled - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        pixels = torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1)))
        return self._states(pixels, whose)

    def see_nothing(self) -> Tensor:
        """The states of the unconditional pass: zeros *after* normalising, which is mean gray."""
        return self._states(torch.zeros(3, SIDE, SIDE))

    def _states(self, pixels: Tensor, whose: str = "") -> Tensor:
        return self._known.of(pixels.numpy().tobytes(), lambda: self._looked(pixels), whose)

    @torch.inference_mode()
    def _looked(self, pixels: Tensor) -> Tensor:
        given = pixels[None].to(self.model.device, self.model.dtype)
        return self.model(given, output_hidden_states=True).hidden_states[-2]
