"""A second base model of a family: other weights, drawn with what was compiled for the first."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from limner.diffusion.denoiser import compiling
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.faceid import denoise
from limner.diffusion.holdings import Holdings
from limner.diffusion.machine import Machine
from limner.diffusion.studio import Studio
from limner.diffusion.weights import MODEL_TYPES
from tests.diffusion import tiny
from tests.diffusion.conftest import MACHINE
from tests.diffusion.test_faceid import WISH, finished

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning",
)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.fx.GraphModule]]:
    """All that is compiled from now on; run as it was traced, on a CPU as on a GPU."""
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    real = torch.compile

    def compiled(method: Any, *, options: Any, **told: Any) -> Any:
        del options  # inductor's
        return real(method, backend=backend, **told)

    torch.compiler.reset()
    monkeypatch.setattr(compiling.torch, "compile", compiled)
    monkeypatch.setattr(Machine, "compiled", property(lambda _: True))
    yield graphs
    torch.compiler.reset()


def another(weights: Path, folder: Path) -> Path:
    """A base of the same shapes and other numbers."""
    shutil.copytree(weights / tiny.BASES["sd15"], folder)
    file = next((folder / "unet").glob("*.safetensors"))
    save_file({name: 1.05 * each for name, each in load_file(file).items()}, file)
    return folder


def test_another_base_is_drawn_with_what_was_compiled_for_the_first(
    weights: Path, tmp_path: Path, made: list[torch.fx.GraphModule]
) -> None:
    """Opened as a server opens them, and both open at once."""
    studio = Studio(Holdings(weights, commercial=False), MACHINE, 1, Denoiser())
    bases = weights / tiny.BASES["sd15"], another(weights, tmp_path / "another")

    def drawn(base: Path) -> torch.Tensor:
        faceid = studio.open(MODEL_TYPES["1_5-v1"], base, WISH.size)
        return finished(denoise(faceid, dataclasses.replace(WISH, steps=1)))[0]

    first = drawn(bases[0])
    compiled = len(made)
    assert compiled > 5
    assert not torch.equal(drawn(bases[1]), first)
    assert torch.equal(drawn(bases[0]), first)
    assert len(made) == compiled, "other weights are compiled anew"
