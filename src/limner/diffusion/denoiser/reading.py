"""What a row reads at every step, computed once for all of them.

A text and an adapter's tokens do not change on a picture's way, nor does a ControlNet's picture.
So their keys and values at every cross-attention, the embedding of SDXL's pooled text and size,
and the ControlNet's view of its picture are made when a request comes in. Each is made for one row
alone: its bits do not depend on company.

Knows tasks and networks; knows no step, no seed and no request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limner.diffusion.adapter import Layer, read
from limner.diffusion.denoiser.network import Controller, Network, Trunk
from limner.diffusion.sampling import Condition, Control, Task
from limner.diffusion.text import Said


@dataclass(frozen=True, eq=False)
class Reading:
    """What a network reads for one row: each tensor's first side is 1.

    ``added`` [1, width] is summed with the embedded time; None in SD 1.5. ``seen``
    [1, width, h/8, w/8] is a ControlNet's view of its picture; None in a UNet.
    """

    layers: Sequence[Layer]
    added: Tensor | None = None
    seen: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """All of it, always in the same order."""
        listed = [each for each in (self.added, self.seen) if each is not None]
        for layer in self.layers:
            listed += layer.tensors()
        return listed


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a sample: what the UNet reads, and what each of the task's ControlNets does."""

    unet: Reading
    controls: tuple[tuple[Controller, Reading], ...]


@torch.inference_mode()
def rows_of(network: Network, task: Task) -> tuple[Row, ...]:
    """The task's rows: the positive's, after the negative's where the task is guided."""
    views = [(control, control.net.see(control.hint)) for control in task.controls]
    conditions = [task.positive] if task.negative is None else [task.negative, task.positive]
    return tuple(_row(network, condition, task.size, views) for condition in conditions)


def _row(
    network: Network,
    condition: Condition,
    size: tuple[int, int],
    views: Sequence[tuple[Control, Tensor]],
) -> Row:
    text, tokens = network.here(condition.said.states), network.here(*condition.tokens)
    controls: list[tuple[Controller, Reading]] = []
    for control, seen in views:
        told = text[0] if control.reads is None else tokens[control.reads]
        net = control.net
        layers, added = read(net.net, told), _added(net, condition.said, size)
        controls.append((net, Reading(layers, added, seen)))
    reading = Reading(read(network.net, text[0], tokens), _added(network, condition.said, size))
    return Row(reading, tuple(controls))


def _added(net: Trunk, said: Said, size: tuple[int, int]) -> Tensor | None:
    """SDXL's pooled text and the picture's size, embedded [1, width]; None in SD 1.5."""
    if said.pooled is None:
        return None
    width, height = size
    return net.embed_words(said.pooled, (height, width, 0, 0, height, width))
