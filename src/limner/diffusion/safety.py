"""Is a picture safe for work? Falconsai's ViT, by which fal's own endpoints decide.

Knows the network and where its files are; decides nothing: what is done with its answer is the
endpoint's affair.
"""

# transformers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.diffusion.decode import Pixels
from limner.diffusion.holdings import Holdings
from limner.diffusion.load import load_nsfw
from limner.diffusion.machine import Machine
from limner.diffusion.weights import SAFETY
from limner.errors import NetworkUnfit

#: At this probability a picture counts as not safe, as fal has it.
THRESHOLD = 0.5
#: Pixels along a side of what the network looks at.
SIDE = 224
#: What it calls a picture that is not safe.
LABEL = "nsfw"


class NsfwClassifier:
    """A ViTForImageClassification with a class called ``nsfw``. Safe to share between threads."""

    def __init__(self, model: Any) -> None:
        """Raises NetworkUnfit if the network has no such class."""
        self._model = model
        names = {str(name).lower(): int(number) for number, name in model.config.id2label.items()}
        if LABEL not in names:
            raise NetworkUnfit(f"The safety network knows {', '.join(names)}, but no {LABEL}.")
        self._class = names[LABEL]

    @torch.inference_mode()
    def score(self, rgb: Pixels) -> float:
        """How likely ``rgb`` [h, w, 3] is not safe for work, 0…1; NaN where numbers broke."""
        scaled = Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(scaled, np.float32).transpose(2, 0, 1).copy())
        given = (pixels[None] / 127.5 - 1).to(self._model.device, self._model.dtype)
        return float(self._model(given).logits[0].softmax(-1)[self._class])

    def unsafe(self, rgb: Pixels) -> bool:
        """Whether ``rgb`` [h, w, 3] is to be kept from the caller: also where no number is had."""
        return not self.score(rgb) < THRESHOLD


class Safety:
    """The classifier of a server, opened when it is first needed. Safe between threads."""

    def __init__(self, holdings: Holdings, machine: Machine) -> None:
        self._holdings = holdings
        # It is small, and its verdict shall not depend on a GPU's numbers.
        self._machine = Machine(machine.device, torch.float32)
        self._opened: NsfwClassifier | None = None
        self._lock = threading.Lock()

    @property
    def lacking(self) -> str | None:
        """Why the network cannot be used here and what to do about it, or None if it can."""
        return self._holdings.lacking(SAFETY)

    def classifier(self) -> NsfwClassifier | None:
        """The network, or None where it is not. Raises NetworkUnfit where it is another."""
        with self._lock:
            if self._opened is None and self.lacking is None:
                folder = self._holdings.folder(SAFETY)
                assert folder is not None
                self._opened = NsfwClassifier(load_nsfw(folder, self._machine))
            return self._opened
