"""Networks that take turns on a device too small for all of them.

accelerate's hook brings a network to the device when it is called; diffusers' brings a UNet's or a
ControlNet's blocks one by one. What neither does is said here: when a network's work is over.

Knows networks as modules, and a machine's plan; it does not know what they compute.
"""

# accelerate's and diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import cpu_offload_with_hook
from diffusers.hooks.group_offloading import apply_group_offloading

from limner.diffusion.machine import Machine
from limner.diffusion.plan import Offload


class Residence:
    """Who is on the device: those that read, or those that draw; both where there is room.

    Safe to use from several threads: requests that read share a turn, and so do those that draw;
    the other turn begins when the last of them is done.
    """

    def __init__(self, machine: Machine, readers: Sequence[Any], painters: Sequence[Any]) -> None:
        """Set up the networks, which lie at ``machine.rest``, as its plan says. Once in their
        life, after adapters and LoRAs are put in."""
        self._readers: list[Any] = []
        self._painters: list[Any] = []
        self._change = threading.Condition()
        #: Whose turn it is, and how many use it.
        self._on: list[Any] | None = None
        self._users = 0
        self._together = machine.offload is Offload.NONE
        if self._together:
            return
        self._readers = [_hooked(network, machine.device) for network in readers]
        if machine.offload is Offload.NETWORKS:
            self._painters = [_hooked(network, machine.device) for network in painters]
        else:
            for network in painters:
                apply_group_offloading(
                    network, machine.device, offload_type="block_level", num_blocks_per_group=1
                )

    @contextmanager
    def reading(self) -> Generator[None]:
        """Inside, text encoders and CLIP are at hand; after it they are gone."""
        with self._turn_of(self._readers):
            yield

    @contextmanager
    def painting(self) -> Generator[None]:
        """Inside, the UNet and what draws along are at hand; after it they are gone."""
        with self._turn_of(self._painters):
            yield

    @contextmanager
    def _turn_of(self, hooks: list[Any]) -> Generator[None]:
        if self._together:
            yield
            return
        with self._change:
            self._change.wait_for(lambda: self._on is None or self._on is hooks)
            if self._on is None:
                _bring(hooks)
            self._on = hooks
            self._users += 1
        try:
            yield
        finally:
            with self._change:
                self._users -= 1
                if not self._users:
                    self._on = None
                    _send_off(hooks)
                    self._change.notify_all()


def _hooked(network: Any, device: torch.device) -> Any:
    return cpu_offload_with_hook(network, device)[1]


def _bring(hooks: Sequence[Any]) -> None:
    """The hooks' networks onto the device, all or none: before their first call, which asks them
    where they are and would be told the host."""
    try:
        for each in hooks:
            each.hook.pre_forward(each.model)
    except BaseException:
        _send_off(hooks)
        raise


def _send_off(hooks: Sequence[Any]) -> None:
    for each in hooks:
        each.offload()
