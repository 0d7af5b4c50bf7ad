"""OpenVINO makes of a row what torch makes of it, and always the same."""

from __future__ import annotations

import copy
import functools
import importlib
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from limner.diffusion.denoiser import openvino
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.denoiser.job import Work
from limner.diffusion.denoiser.network import Controller, Network
from tests.diffusion.denoiser.small import SAMPLERS, Request, networks
from tests.diffusion.denoiser.stage import alone, equal, latents
from tests.diffusion.denoiser.stock import distance, stock_latents

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FAMILIES = ("sd15", "sdxl")


@functools.cache
@torch.inference_mode(False)
def converted(family: str) -> tuple[Network, Controller]:
    """A family's networks, converted for two threads: as a server computes that has two cores."""
    nets = networks(family)
    network = Network(copy.deepcopy(nets.network.net))
    controller = Controller(copy.deepcopy(nets.controller.net))
    openvino.convert(network, 2, lent=True)
    openvino.convert(controller, 2)
    return network, controller


def work(request: Request) -> Work:
    network, controller = converted(request.family)
    return Work(network, SAMPLERS[request.sampler], request.task(controller))


def drawn(request: Request) -> list[Tensor]:
    return latents(Denoiser().draw(work(request), request.seeds))


MIXED = [
    Request(control=0.8, control_window=3, window=2, seeds=(1, 2), steps=5),
    Request(size=(72, 120), strengths=(0.0, 0.6), sampler="euler", guidance=1.0, arrives=2),
    Request(size=(120, 72), control=0.5, chunks=2, words=3, sampler="dpm_2m_sde_karras", arrives=3),
    Request("sdxl", control=0.8, control_window=3, window=2, seeds=(1, 2), steps=5, arrives=1),
    Request("sdxl", size=(72, 120), strengths=(0.7, 0.0), sampler="dpm_2m", arrives=4),
    Request("sdxl", size=(104, 64), control=0.4, chunks=2, guidance=1.0, sampler="euler"),
]


@pytest.mark.parametrize("at", range(len(MIXED)))
def test_a_drawing_equals_torchs_and_diffusers_own(at: int) -> None:
    """With a ControlNet and two adapters, their windows open and closed, sides even and odd."""
    own = drawn(MIXED[at])
    assert distance(own, alone(MIXED[at], 2)) < 1e-5
    assert distance(own, stock_latents(MIXED[at])) < 1e-5


def test_latents_are_the_same_to_the_bit_in_any_company_and_order() -> None:
    """With two threads; sizes, lengths of text and networks change from call to call."""
    expected = [drawn(request) for request in MIXED]
    together = Denoiser()
    jobs = [together.begin(work(request), request.seeds) for request in reversed(MIXED)]
    for own, job in zip(reversed(expected), jobs, strict=True):
        assert equal(latents(job.follow()), own)


def test_another_conversion_draws_the_same_to_the_bit() -> None:
    """As after a restart; and with nothing drawn before."""
    expected = drawn(MIXED[0])
    converted.cache_clear()
    assert equal(drawn(MIXED[0]), expected)


def test_rows_of_one_call_are_computed_as_if_alone() -> None:
    network, controller = converted("sd15")
    for request in MIXED[:2]:
        task = request.task(controller)
        ours = Denoiser(lambda *_: 4).draw(
            Work(network, SAMPLERS[request.sampler], task), request.seeds
        )
        assert equal(latents(ours), drawn(request))


def test_openvinos_telemetry_is_not_there() -> None:
    """It would tell Google Analytics that Limner began, and keep a number of this user in HOME."""
    converted("sd15")
    told: Any = importlib.import_module("openvino.tools.ovc.telemetry_utils")
    assert told.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
    assert sys.modules["openvino_telemetry"] is None
