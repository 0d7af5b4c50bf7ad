"""Whose a request is: what was read for one key serves another only where the operator lets it, and
what is drawn for a key is its share of the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.denoiser.job import Work
from limner.diffusion.holdings import Holdings
from limner.diffusion.weights import WEIGHTS
from limner.endpoints.base import Workshop
from limner.endpoints.face_to_sticker.diffusion import open_engine as open_sticker_engine
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput
from limner.endpoints.ip_adapter_face_id.diffusion import open_engine as open_face_id_engine
from limner.endpoints.ip_adapter_face_id.schema import IpAdapterFaceIdInput
from limner.stages.arcface import ArcFace
from tests.diffusion.conftest import linked
from tests.endpoints.conftest import ASTRONAUT, Album

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

#: What is read of a text, of a face by CLIP, and of a face by the recogniser.
READERS = ("CLIPTextModel", "CLIPTextModelWithProjection", "CLIPVisionModelWithProjection")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each network was asked."""
    asked: Counter[str] = Counter()

    def count(module: nn.Module, _: Any) -> None:
        if type(module).__name__ in READERS:
            asked[type(module).__name__] += 1

    measured = ArcFace._measured  # pyright: ignore[reportPrivateUsage]

    def counted(self: ArcFace, aligned: Any) -> Any:
        asked["ArcFace"] += 1
        return measured(self, aligned)

    monkeypatch.setattr(ArcFace, "_measured", counted)
    hook = register_module_forward_pre_hook(count)
    yield asked
    hook.remove()


def opened(
    request: pytest.FixtureRequest, networks: Path, folder: Path, endpoint: str, **told: Any
) -> tuple[Any, Any]:
    """An engine, and something to ask it for."""
    sticker = endpoint == "face-to-sticker"
    lent: Path = request.getfixturevalue("sticker_home" if sticker else "weights")
    home = linked(lent, folder / "home")
    workshop = Workshop(networks, may_fetch=False, threads=1, weights=home, **told)
    asked: dict[str, Any] = {"prompt": "a person", "seed": 7, "num_inference_steps": 1}
    if sticker:
        asked |= {"image_size": {"width": 64, "height": 64}, "upscale_steps": 1}
        return open_sticker_engine(workshop), FaceToStickerInput(image_url=ASTRONAUT, **asked)
    for weight in WEIGHTS.values():
        Holdings(home, commercial=False).accept(weight.name)
    asked |= {"model_type": "1_5-v1-plus", "num_samples": 1, "width": 64, "height": 64}
    return (
        open_face_id_engine(workshop),
        IpAdapterFaceIdInput(face_image_url=ASTRONAUT, **asked),
    )


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("endpoint", ["ip-adapter-face-id", "face-to-sticker"])
def test_what_was_read_for_a_key_serves_another_only_if_caches_are_shared(
    request: pytest.FixtureRequest,
    networks: Path,
    tmp_path: Path,
    reads: Counter[str],
    endpoint: str,
    shared: bool,
) -> None:
    engine, wish = opened(request, networks, tmp_path, endpoint, share_caches=shared)

    def drawn_for(caller: str) -> tuple[Counter[str], list[bytes]]:
        reads.clear()
        album = Album(caller=caller)
        for _ in engine.draw(wish, album):
            pass
        return Counter(reads), album.kept

    first, files = drawn_for("a")
    sticker = endpoint == "face-to-sticker"
    assert first["ArcFace"] == 1
    assert first["CLIPTextModel"] >= 2, "what is wished for, and what is not"
    again, same = drawn_for("a")
    assert again == Counter()
    other, theirs = drawn_for("b")
    # What CLIP sees of nothing is nobody's.
    nothing = Counter() if sticker else Counter({"CLIPVisionModelWithProjection": 1})
    assert other == (Counter() if shared else first - nothing)
    assert files == same == theirs


@pytest.mark.parametrize("endpoint", ["ip-adapter-face-id", "face-to-sticker"])
def test_what_is_drawn_is_the_callers_share_of_the_device(
    request: pytest.FixtureRequest,
    networks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
) -> None:
    """Of an upscaled sticker what is drawn over as well: else callers would not take turns."""
    charged: list[str] = []
    real = Denoiser._admit  # pyright: ignore[reportPrivateUsage]

    def admit(self: Denoiser, work: Work, *told: Any) -> Any:
        charged.append(work.caller)
        return real(self, work, *told)

    monkeypatch.setattr(Denoiser, "_admit", admit)
    engine, wish = opened(request, networks, tmp_path, endpoint)
    each = 1
    if endpoint == "face-to-sticker":
        each, wish = 2, wish.model_copy(update={"upscale": True})
    for caller in ("a", "b"):
        for _ in engine.draw(wish, Album(caller=caller)):
            pass
    assert charged == ["a"] * each + ["b"] * each
