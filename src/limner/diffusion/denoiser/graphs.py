"""Calls of a GPU recorded once and replayed as one: CUDA graphs.

A UNet's call launches a thousand kernels and more, each of which costs the CPU microseconds; a
replay costs them once. A recording reads and writes the very memory it was made with, so what a
call is given has to lie in its places before (``bucket``), and its answer is copied out.

Knows CUDA; knows no network.
"""

# torch's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

import torch
from torch import Tensor

#: Calls before a recording: kernels are compiled and chosen, and workspaces taken, in the first.
REHEARSALS = 2

Call = Callable[[], Tensor]


class Calls(Protocol):
    """Makes calls. The same key is the same work on the same memory."""

    def __call__(self, key: Hashable, call: Call) -> Tensor:
        """What ``call`` returns; it is the caller's own."""
        ...


def at_once(key: Hashable, call: Call) -> Tensor:  # noqa: ARG001 - the protocol's
    """Each call as it comes: for devices without recordings."""
    return call()


class Recorder:
    """Where a device's calls are recorded.

    All recordings share memory for what lies between layers: only one is replayed at a time.
    """

    def __init__(self) -> None:
        self.pool: Any = None

    def recordings(self) -> Recordings:
        """None yet, of whatever somebody calls."""
        return Recordings(self)


class Recordings:
    """Each kind of call, recorded when it first comes. For one thread."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._made: dict[Hashable, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def __call__(self, key: Hashable, call: Call) -> Tensor:
        """Replay ``call``. Its first answer is a replay's as well: all have the same bits."""
        if key not in self._made:
            self._made[key] = self._record(call)
        graph, answer = self._made[key]
        graph.replay()
        return answer.clone()

    def _record(self, call: Call) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        aside, here = torch.cuda.Stream(), torch.cuda.current_stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(REHEARSALS):
                call()
        here.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads decode and read meanwhile: what they do is none of the recording.
        with torch.cuda.graph(graph, pool=self._recorder.pool, capture_error_mode="thread_local"):
            answer = call()
        self._recorder.pool = graph.pool()
        return graph, answer
