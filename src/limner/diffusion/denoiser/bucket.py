"""One call's places, and the call.

The tensors a call reads have their places for as long as the bucket lives; a row's reading is
copied into one when it sits down, and a row that comes back to its place costs no copy. Places that
nobody sits in are computed for nothing, from a latent of zeros, and are not looked at.

Knows readings and networks; knows no sample, no sampler and no request.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from limner.diffusion.adapter import Context
from limner.diffusion.denoiser.graphs import Calls, at_once
from limner.diffusion.denoiser.network import Controller, Network, Trunk
from limner.diffusion.denoiser.reading import Reading, Row
from limner.diffusion.denoiser.sending import sent


@dataclass(frozen=True, eq=False)
class Asked:
    """A row at one step. ``latent`` [1, 4, h, w], as the UNet is to see it.

    ``strengths``: each adapter's. ``lending``: each of the row's ControlNets'. 0 is silence.
    """

    row: Row
    latent: Tensor
    timestep: float
    strengths: tuple[float, ...]
    lending: tuple[float, ...]


class Bucket:
    """A fixed number of places for rows of one network, size and length of text.

    It does not keep its network alive: who closes that gets the memory back.
    """

    def __init__(self, network: Network, places: int, calls: Calls = at_once) -> None:
        self._network: Network = cast("Network", weakref.proxy(network))
        self._places = places
        self._calls = calls
        self._given: Tensor | None = None
        self._sitting: list[Row | None] = [None] * places
        self._own: _Bench | None = None
        self._lenders: dict[Controller, _Bench] = {}

    @torch.inference_mode()
    def __call__(self, asked: Sequence[Asked]) -> list[Tensor]:
        """A prediction [1, 4, h, w] for each row, of which there are at most as many as places."""
        places = self._seat([each.row for each in asked])
        self._give([each.latent for each in asked], places)
        own = self._own
        assert own is not None
        own.tell([each.timestep for each in asked], places)
        own.weigh([each.strengths for each in asked], places)
        lending = self._open_now(asked, places)
        silent = tuple(each is None for each in own.strengths)
        answer = self._calls((silent, tuple(lending)), lambda: self._answer(own, lending))
        return [answer[place : place + 1] for place in places]

    def clear(self) -> None:
        """Forget who sat here: nothing of a request stays on the device."""
        if not any(self._sitting):
            return
        self._sitting = [None] * self._places
        for bench in (self._own, *self._lenders.values()):
            if bench is not None:
                bench.clear()
        if self._given is not None:
            self._given.zero_()

    def _answer(self, own: _Bench, lending: Sequence[Controller]) -> Tensor:
        """The call itself; all it is given lies in its places already."""
        given = self._given
        assert given is not None
        lent = self._lent(given, lending)
        return self._network(given, own.embedded, Context(own.layers, own.strengths), lent)

    def _seat(self, rows: Sequence[Row]) -> list[int]:
        """Where each row sits: where it sat, if it did, or in a place that nobody asks for."""
        free = list(range(self._places))
        places: list[int | None] = []
        for row in rows:
            old = next((place for place in free if self._sitting[place] is row), None)
            if old is not None:
                free.remove(old)
            places.append(old)
        seated = [free.pop(0) if place is None else place for place in places]
        for place, row in zip(seated, rows, strict=True):
            if self._sitting[place] is not row:
                if self._own is None:
                    self._own = _Bench(self._network, row.unet, self._places)
                self._sitting[place] = None
                self._own.seat(place, row.unet)
                self._sitting[place] = row
        return seated

    def _give(self, latents: Sequence[Tensor], places: Sequence[int]) -> None:
        if self._given is None:
            net = self._network.net
            shape = self._places, *latents[0].shape[1:]
            given = torch.empty(shape, device=net.device, dtype=net.dtype)
            self._given = given.contiguous(memory_format=self._network.layout)
        self._given.copy_(_spread(latents, places, self._places))

    def _open_now(self, asked: Sequence[Asked], places: Sequence[int]) -> Sequence[Controller]:
        """The ControlNets whose window is open for a row, all they are given in its place.

        One that no row's window is open for is not run.
        """
        lending: dict[Controller, list[tuple[int, float, Reading, float]]] = {}
        for place, each in zip(places, asked, strict=True):
            for (controller, reading), strength in zip(
                each.row.controls, each.lending, strict=True
            ):
                if strength:
                    told = place, each.timestep, reading, strength
                    lending.setdefault(controller, []).append(told)
        for controller, rows in lending.items():
            if controller not in self._lenders:
                self._lenders[controller] = _Bench(controller, rows[0][2], self._places)
            bench = self._lenders[controller]
            for place, _, reading, _ in rows:
                bench.seat(place, reading)
            its = [place for place, *_ in rows]
            bench.tell([timestep for _, timestep, *_ in rows], its)
            bench.weigh([(strength,) for *_, strength in rows], its)
        # In one order, whoever sits first: recordings are known by it.
        return [controller for controller in self._lenders if controller in lending]

    def _lent(self, given: Tensor, lending: Sequence[Controller]) -> Sequence[Tensor]:
        """What the ControlNets lend, summed."""
        summed: list[Tensor] = []
        for controller in lending:
            bench = self._lenders[controller]
            assert bench.seen is not None
            made = controller(given, bench.embedded, Context(bench.layers, ()), bench.seen)
            (column,) = bench.strengths
            assert column is not None
            strength = column.view(-1, 1, 1, 1)
            # Not a product with zero: what is not finite in a closed window is none of its row's.
            made = [torch.where(strength != 0, each * strength, 0).to(each) for each in made]
            summed = [x + y for x, y in zip(summed, made, strict=True)] if summed else made
        return summed


class _Bench:
    """One network's share of the places: all that it is given there, always in the same memory."""

    def __init__(self, trunk: Trunk, like: Reading, places: int) -> None:
        self._trunk = trunk
        self._sitting: list[Reading | None] = [None] * places
        #: Every place's reading, side by side.
        self._whole = _widened(like, places)
        self.layers, self.seen = self._whole.layers, self._whole.seen
        self._columns: list[Tensor] = []
        #: Of each adapter, or of the ControlNet itself, by place [places]; None: silent for all.
        self.strengths: tuple[Tensor | None, ...] = ()
        #: Time, and what is added to it, by place [places, width].
        self.embedded = trunk.embed_time(0.0).repeat(places, 1)

    def seat(self, place: int, reading: Reading) -> None:
        if self._sitting[place] is not reading:
            # Nobody's until it is whole: where a copy fails, the next call copies again.
            self._sitting[place] = None
            for all_places, own in zip(self._whole.tensors(), reading.tensors(), strict=True):
                all_places[place] = own[0]
            self._sitting[place] = reading

    def clear(self) -> None:
        self._sitting = [None] * len(self._sitting)
        for each in self._whole.tensors():
            each.zero_()

    def tell(self, timesteps: Sequence[float], places: Sequence[int]) -> None:
        """The time at each place."""
        times = [self._trunk.embed_time(each) for each in timesteps]
        self.embedded.copy_(_spread(times, places, len(self._sitting)))
        if self._whole.added is not None:
            self.embedded.add_(self._whole.added)

    def weigh(self, rows: Sequence[Sequence[float]], places: Sequence[int]) -> None:
        """Strengths by row and adapter. Not rounded to half precision: 0.7 is a strength."""
        if not self._columns:
            net = self._trunk.net
            like = torch.zeros(len(self._sitting), device=net.device)
            dtype = torch.promote_types(net.dtype, torch.float32)
            self._columns = [like.to(dtype, copy=True) for _ in rows[0]]
        for number, column in enumerate(self._columns):
            told = torch.zeros(len(self._sitting), dtype=column.dtype)
            told[list(places)] = torch.tensor([row[number] for row in rows], dtype=column.dtype)
            column.copy_(sent(told, column.device))
        loud = [any(row[number] for row in rows) for number in range(len(self._columns))]
        self.strengths = tuple(
            column if heard else None for column, heard in zip(self._columns, loud, strict=True)
        )


def _spread(rows: Sequence[Tensor], places: Sequence[int], of: int) -> Tensor:
    """Rows [1, …] at their places [of, …], zeros elsewhere: one copy for all of them."""
    nobody = torch.zeros_like(rows[0])
    by_place = dict(zip(places, rows, strict=True))
    return torch.cat([by_place.get(place, nobody) for place in range(of)])


def _widened(reading: Reading, places: int) -> Reading:
    """Zeros in the reading's shapes, ``places`` of each."""

    def zeros(like: Tensor) -> Tensor:
        return torch.zeros((places, *like.shape[1:]), device=like.device, dtype=like.dtype)

    layers = [
        layer._replace(
            key=zeros(layer.key),
            value=zeros(layer.value),
            images=tuple((zeros(key), zeros(value)) for key, value in layer.images),
        )
        for layer in reading.layers
    ]
    added, seen = (None if each is None else zeros(each) for each in (reading.added, reading.seen))
    return Reading(layers, added, seen)
