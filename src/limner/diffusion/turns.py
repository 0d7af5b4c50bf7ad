"""Networks that take turns on a device too small for all of them.

accelerate's hook brings a network to the device when it is called; diffusers' brings a UNet's or a
ControlNet's blocks one by one. What neither does is said here: when a network's work is over.

Knows networks as modules, and a machine's plan; it does not know what they compute.
"""

# accelerate's and diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import cpu_offload_with_hook
from diffusers.hooks.group_offloading import apply_group_offloading

from limner.diffusion.machine import Machine
from limner.diffusion.plan import Offload


class Turns:
    """Who is on the device: those that read, or those that draw; both where there is room."""

    def __init__(self, machine: Machine, readers: Sequence[Any], painters: Sequence[Any]) -> None:
        """Set up the networks, which lie at ``machine.rest``, as its plan says. Once in their
        life, after adapters and LoRAs are put in."""
        self._readers: list[Any] = []
        self._painters: list[Any] = []
        if machine.offload is Offload.NONE:
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
        with _present(self._readers):
            yield

    @contextmanager
    def painting(self) -> Generator[None]:
        """Inside, the UNet and what draws along are at hand; after it they are gone."""
        with _present(self._painters):
            yield


def _hooked(network: Any, device: torch.device) -> Any:
    return cpu_offload_with_hook(network, device)[1]


@contextmanager
def _present(hooks: Sequence[Any]) -> Generator[None]:
    """The hooks' networks on the device: before their first call, which asks them where they are
    and would be told the host, and until the end however it comes."""
    try:
        for each in hooks:
            each.hook.pre_forward(each.model)
        yield
    finally:
        for each in hooks:
            each.offload()
