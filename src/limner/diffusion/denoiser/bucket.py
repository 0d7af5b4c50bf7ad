"""One call's places, and the call.

The tensors a call reads have their places for as long as the bucket lives; a row's reading is
copied into one when it sits down, and a row that comes back to its place costs no copy. Places that
nobody sits in are computed for nothing, from a latent of zeros, and are not looked at.

Knows readings and networks; knows no sample, no sampler and no request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limner.diffusion.adapter import Context
from limner.diffusion.denoiser.network import Controller, Network, Trunk
from limner.diffusion.denoiser.reading import Reading, Row


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
    """A fixed number of places for rows of one network, size and length of text."""

    def __init__(self, network: Network, places: int) -> None:
        self._network = network
        self._places = places
        self._given: Tensor | None = None
        self._sitting: list[Row | None] = [None] * places
        self._benches: dict[Trunk, _Bench] = {}

    @torch.inference_mode()
    def __call__(self, asked: Sequence[Asked]) -> list[Tensor]:
        """A prediction [1, 4, h, w] for each row, of which there are at most as many as places."""
        places = self._seat([each.row for each in asked])
        given = self._latents(asked, places)
        lent = self._lent(asked, places, given)
        bench = self._bench(self._network)
        embedded = bench.embedded([each.timestep for each in asked], places)
        context = Context(bench.whole.layers, self._strengths(asked, places))
        answer = self._network(given, embedded, context, lent)
        return [answer[place : place + 1] for place in places]

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
                self._sitting[place] = row
                self._bench(self._network, row.unet).seat(place, row.unet)
        return seated

    def _latents(self, asked: Sequence[Asked], places: Sequence[int]) -> Tensor:
        net = self._network.net
        if self._given is None:
            shape = self._places, *asked[0].latent.shape[1:]
            self._given = torch.empty(shape, device=net.device, dtype=net.dtype)
        self._given.zero_()
        for place, each in zip(places, asked, strict=True):
            self._given[place] = each.latent[0]
        return self._given

    def _strengths(
        self, asked: Sequence[Asked], places: Sequence[int]
    ) -> tuple[Tensor | None, ...]:
        """Each adapter's strengths by place; None for one that is silent in every row."""
        columns = zip(*(each.strengths for each in asked), strict=True)
        return tuple(self._column(column, places) if any(column) else None for column in columns)

    def _lent(
        self, asked: Sequence[Asked], places: Sequence[int], given: Tensor
    ) -> Sequence[Tensor]:
        """What the ControlNets lend, summed; one that no row's window is open for is not run."""
        summed: list[Tensor] = []
        open_now: dict[Controller, list[tuple[int, Asked, Reading, float]]] = {}
        for place, each in zip(places, asked, strict=True):
            for (controller, reading), strength in zip(
                each.row.controls, each.lending, strict=True
            ):
                if strength:
                    open_now.setdefault(controller, []).append((place, each, reading, strength))
        for controller, rows in open_now.items():
            bench = self._bench(controller, rows[0][2])
            for place, _, reading, _ in rows:
                bench.seat(place, reading)
            its = [place for place, *_ in rows]
            embedded = bench.embedded([each.timestep for _, each, *_ in rows], its)
            assert bench.whole.seen is not None
            made = controller(given, embedded, Context(bench.whole.layers, ()), bench.whole.seen)
            strength = self._column([strength for *_, strength in rows], its).view(-1, 1, 1, 1)
            # Not a product with zero: what is not finite in a closed window is none of its row's.
            made = [torch.where(strength != 0, each * strength, 0).to(each) for each in made]
            summed = [x + y for x, y in zip(summed, made, strict=True)] if summed else made
        return summed

    def _column(self, numbers: Sequence[float], places: Sequence[int]) -> Tensor:
        """The numbers at their places [places], 0 elsewhere."""
        net = self._network.net
        # Not rounded to half precision: a strength of 0.7 is one.
        column = torch.zeros(self._places, dtype=torch.promote_types(net.dtype, torch.float32))
        column[list(places)] = torch.tensor(numbers, dtype=column.dtype)
        return column.to(net.device)

    def _bench(self, trunk: Trunk, like: Reading | None = None) -> _Bench:
        if trunk not in self._benches:
            assert like is not None
            self._benches[trunk] = _Bench(trunk, like, self._places)
        return self._benches[trunk]


class _Bench:
    """One network's share of the places: what it reads there."""

    def __init__(self, trunk: Trunk, like: Reading, places: int) -> None:
        self._trunk = trunk
        self._sitting: list[Reading | None] = [None] * places
        #: Every place's reading, side by side.
        self.whole = _widened(like, places)
        self._embedded: Tensor | None = None

    def seat(self, place: int, reading: Reading) -> None:
        if self._sitting[place] is not reading:
            self._sitting[place] = reading
            for all_places, own in zip(self.whole.tensors(), reading.tensors(), strict=True):
                all_places[place] = own[0]

    def embedded(self, timesteps: Sequence[float], places: Sequence[int]) -> Tensor:
        """Time, and what is added to it, by place [places, width]."""
        for place, timestep in zip(places, timesteps, strict=True):
            time = self._trunk.embed_time(timestep)
            if self._embedded is None:
                self._embedded = time.new_zeros((len(self._sitting), time.shape[1]))
            added = self.whole.added
            self._embedded[place] = time[0] if added is None else time[0] + added[place]
        assert self._embedded is not None
        return self._embedded


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
