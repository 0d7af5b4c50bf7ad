"""What a worker tells the others of itself: its device, what it draws, what it has in memory.

Knows what was drawn here last; knows no ledger and no network.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections import OrderedDict
from typing import cast

from limner.requests.fleet import Pace, Presence
from limner.worker.engines import Engines

#: Hints that a worker answers to: as many as the diffusion engine keeps UNets open.
MOST_HINTS = 2


class Announcement:
    """Says how this worker stands now. Safe to call from several threads."""

    def __init__(self, name: str, device: str, slots: int, engines: Engines) -> None:
        """``device``: as the operator called it."""
        self._name = name
        self._device = device
        self._slots = slots
        self._engines = engines
        self._hints: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def drew(self, hint: str | None) -> None:
        """A request with that hint was drawn here: what it needs is in memory now."""
        if hint is None:
            return
        with self._lock:
            self._hints[hint] = None
            self._hints.move_to_end(hint)
            while len(self._hints) > MOST_HINTS:
                self._hints.popitem(last=False)

    def now(self) -> Presence:
        """What to tell the ledger."""
        free, total = self._memory()
        with self._lock:
            resident = tuple(self._hints)
        return Presence(
            name=self._name,
            device=self._device,
            endpoints=tuple(self._engines.endpoints),
            slots=self._slots,
            free_bytes=free,
            total_bytes=total,
            resident=resident,
            pace=self._pace(),
        )

    def _pace(self) -> Pace | None:
        """Of the running batch that the diffusion engine's requests share."""
        if "diffusion" not in self._engines.open_names():
            return None
        denoiser = importlib.import_module("limner.diffusion.denoiser.denoiser").Denoiser
        return Pace(*self._engines.commons.of(denoiser).meter.pace)

    def _memory(self) -> tuple[int | None, int | None]:
        """Free and total bytes of the accelerator that is in use, else of the machine."""
        if "diffusion" in self._engines.open_names():
            # By name: torch is loaded already, and must not be loaded for this.
            machine = importlib.import_module("limner.diffusion.machine")
            told = cast("tuple[int, int] | None", machine.accelerator_memory())
            if told is not None:
                return told
        page = os.sysconf("SC_PAGE_SIZE")
        return os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page
