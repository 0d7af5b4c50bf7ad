"""A plan is obeyed: networks come and go, blocks come one by one, and the picture is the same.

There is no accelerator here: ``cpu:0``, which torch takes for another device than ``cpu``, is
where networks are brought to. That hooks move them, when, and in which pieces is seen; that tensors
end up in another memory is not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.hooks.group_offloading import ModuleGroup

from limner.diffusion.decode import decode
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.faceid import FaceId, draw
from limner.diffusion.holdings import Holdings
from limner.diffusion.machine import Machine
from limner.diffusion.plan import GIB, TILE, Memory, Offload
from limner.diffusion.residence import Residence
from limner.diffusion.studio import Studio
from limner.diffusion.weights import MODEL_TYPES, WEIGHTS
from tests.diffusion import tiny
from tests.diffusion.conftest import MACHINE
from tests.diffusion.test_faceid import WISH, finished

KIND = MODEL_TYPES["SDXL-v2-plus"]
SIZE = WISH.size


class Traveller(torch.nn.Linear):
    """A network that remembers where it was sent."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.been: list[str] = []

    def to(self, *where: Any, **how: Any) -> Any:
        self.been.append(str(where[0]))
        return super().to(*where, **how)


def away(offload: Offload) -> Machine:
    return Machine(torch.device("cpu:0"), torch.float32, offload)


def test_readers_are_gone_before_painters_come_and_both_are_gone_after_a_failure() -> None:
    reader, painter = Traveller(), Traveller()
    residence = Residence(away(Offload.NETWORKS), [reader], [painter])
    reader.been.clear()
    painter.been.clear()
    with residence.reading():
        assert (reader.been, painter.been) == (["cpu:0"], [])
    assert reader.been[-1] == "cpu"
    with pytest.raises(ValueError, match="stop"), residence.painting():
        assert painter.been == ["cpu:0"]
        raise ValueError("stop")
    assert painter.been[-1] == "cpu"


def test_requests_share_a_turn_and_wait_for_the_other_one() -> None:
    reader, painter = Traveller(), Traveller()
    residence = Residence(away(Offload.NETWORKS), [reader], [painter])
    reader.been.clear()
    painter.been.clear()
    came, done = threading.Event(), threading.Event()

    def read() -> None:
        with residence.reading():
            came.set()
        done.set()

    with residence.painting():
        with residence.painting():
            pass
        assert painter.been == ["cpu:0"], "sent off while another request draws on it"
        other = threading.Thread(target=read)
        other.start()
        assert not came.wait(0.2)
        assert reader.been == []
    assert done.wait(30)
    other.join()
    assert (painter.been, reader.been) == (["cpu:0", "cpu"], ["cpu:0", "cpu"])


def test_a_network_that_is_called_outside_its_turn_comes_by_itself() -> None:
    reader = Traveller()
    Residence(away(Offload.NETWORKS), [reader], [])
    reader.been.clear()
    reader(torch.zeros(1, 2))
    assert reader.been == ["cpu:0"]


@pytest.fixture
def home(weights: Path, tmp_path: Path) -> Holdings:
    for repository in weights.glob("*/*"):
        link = tmp_path / repository.relative_to(weights)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(repository)
    holdings = Holdings(tmp_path, commercial=False)
    for name in KIND.needs:
        if not WEIGHTS[name].commercial:
            holdings.accept(name)
    return holdings


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a machine think that its device's memory is not the host's."""
    monkeypatch.setattr(Machine, "is_host", property(lambda _: False))
    yield


def studio(home: Holdings, gib: float) -> Studio:
    return Studio(home, MACHINE, 1, Denoiser(), lambda _: Memory(gib * GIB, gib * GIB))


def opened(home: Holdings, gib: float, size: tuple[int, int] = SIZE) -> FaceId:
    here = studio(home, gib)
    return here.open(KIND, here.check(KIND, WEIGHTS[KIND.base].repo), size)


@pytest.mark.parametrize(
    ("gib", "offload"), [(40, Offload.NONE), (18, Offload.NETWORKS), (14, Offload.BLOCKS)]
)
def test_networks_are_opened_as_planned_and_draw_the_same_to_the_bit(
    home: Holdings, accelerator: None, gib: float, offload: Offload
) -> None:
    """In fp32, so that a card must have twice as much."""
    faceid = opened(home, gib)
    assert faceid.machine.offload is offload
    usual = opened(home, 80)
    drawn, expected = (finished(draw(each, WISH))[0] for each in (faceid, usual))
    assert np.array_equal(drawn, expected)


def test_block_by_block_every_weight_is_in_a_group_that_comes_when_it_is_called(
    home: Holdings, accelerator: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter's own keys are nobody's forward: they come with the block that they are in."""
    came: list[ModuleGroup] = []
    bring = ModuleGroup.onload_
    monkeypatch.setattr(ModuleGroup, "onload_", lambda self: (came.append(self), bring(self))[1])
    faceid = opened(home, 14)
    finished(draw(faceid, WISH))
    brought = {
        id(weight) for group in came for module in group.modules for weight in module.parameters()
    } | {id(weight) for group in came for weight in group.parameters}
    unet = faceid.base.unet
    assert {id(weight) for weight in unet.parameters()} == brought
    blocks = len(unet.down_blocks) + len(unet.up_blocks)
    assert len({id(group) for group in came}) == blocks + 1
    largest = max(sum(w.numel() for m in g.modules for w in m.parameters()) for g in came)
    assert largest < sum(weight.numel() for weight in unet.parameters()) / 2


def test_a_larger_picture_opens_networks_anew_if_it_needs_the_room(
    home: Holdings, accelerator: None
) -> None:
    here = studio(home, 40)
    base = here.check(KIND, WEIGHTS[KIND.base].repo)
    usual = here.open(KIND, base, SIZE)
    assert here.open(KIND, base, (1024, 1024)) is usual
    large = here.open(KIND, base, (3328, 3328))
    assert large.machine.offload is Offload.NETWORKS
    assert here.open(KIND, base, SIZE) is large, "and what has room is kept"


def test_older_networks_are_closed_before_newer_ones_have_to_take_turns(
    home: Holdings, accelerator: None
) -> None:
    """30 GiB in all, of which each of two model types takes some 19."""
    taken: list[Any] = []
    here = Studio(
        home, MACHINE, 1, Denoiser(), lambda _: Memory(30 * GIB, (30 - 19 * len(taken)) * GIB)
    )
    base = here.check(KIND, WEIGHTS[KIND.base].repo)
    first = here.open(KIND, base, SIZE)
    taken.append(first)
    other = MODEL_TYPES["SDXL-v1"]

    def closing(device: torch.device) -> Memory:
        free = 30 - 19 * len(here._open)  # pyright: ignore[reportPrivateUsage]
        return Memory(30 * GIB, free * GIB)

    here._measure = closing  # pyright: ignore[reportPrivateUsage]
    assert here.open(other, base, SIZE).machine.offload is Offload.NONE
    assert here.open(KIND, base, SIZE) is not first


def test_a_large_picture_is_decoded_in_tiles_and_looks_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each tile is normalised by itself, so it is not the same to the bit: within 2 % of the range
    on average, and no seam is steeper than the picture is elsewhere."""
    torch.manual_seed(2)
    vae = tiny.vae(0.13025)
    small = torch.randn(1, 4, 12, 18)
    latent = torch.nn.functional.interpolate(small, scale_factor=8, mode="bicubic")
    whole = decode(vae, latent)
    tiles: list[tuple[int, ...]] = []
    plain = vae.decoder.forward

    def seen(given: torch.Tensor, *others: Any) -> torch.Tensor:
        tiles.append(tuple(given.shape[-2:]))
        return plain(given, *others)

    monkeypatch.setattr(vae.decoder, "forward", seen)
    assert np.array_equal(decode(vae, latent, 768 * 1152), whole)
    assert tiles.pop() == (96, 144)
    tiled = decode(vae, latent, 768 * 1152 - 1)
    assert len(tiles) == 6
    assert max(max(tile) for tile in tiles) == TILE // 8
    difference = np.abs(tiled.astype(int) - whole)
    assert difference.mean() < 0.02 * 255
    assert difference.max() > 0
    steepest = np.abs(np.diff(whole.astype(int), axis=1)).max()
    assert np.abs(np.diff(tiled.astype(int), axis=1)).max() <= steepest + 4


def test_tiles_are_what_a_studio_decodes_with_where_there_is_little_memory(home: Holdings) -> None:
    """On a CPU too: 12 GiB are less than SDXL's weights in fp32 and a megapixel's decoding."""
    machine = opened(home, 12).machine
    assert machine.offload is Offload.NONE
    assert machine.whole is not None
    assert machine.whole < 1024**2
