"""What was read for one key serves another only where the operator lets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

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
    sticker = endpoint == "face-to-sticker"
    lent: Path = request.getfixturevalue("sticker_home" if sticker else "weights")
    home = linked(lent, tmp_path / "home")
    told = {"may_fetch": False, "threads": 1, "weights": home, "share_caches": shared}
    workshop = Workshop(networks, **told)
    asked: dict[str, Any] = {"prompt": "a person", "seed": 7, "num_inference_steps": 1}
    if sticker:
        engine: Any = open_sticker_engine(workshop)
        size: Any = {"width": 64, "height": 64}
        wish: Any = FaceToStickerInput(image_url=ASTRONAUT, image_size=size, **asked)
    else:
        for weight in WEIGHTS.values():
            Holdings(home, commercial=False).accept(weight.name)
        engine = open_face_id_engine(workshop)
        asked |= {"model_type": "1_5-v1-plus", "num_samples": 1, "width": 64, "height": 64}
        wish = IpAdapterFaceIdInput(face_image_url=ASTRONAUT, **asked)

    def drawn_for(caller: str) -> tuple[Counter[str], list[bytes]]:
        reads.clear()
        album = Album(caller=caller)
        for _ in engine.draw(wish, album):
            pass
        return Counter(reads), album.kept

    first, files = drawn_for("a")
    assert first["ArcFace"] == 1
    assert first["CLIPTextModel"] >= 2, "what is wished for, and what is not"
    again, same = drawn_for("a")
    assert again == Counter()
    other, theirs = drawn_for("b")
    # What CLIP sees of nothing is nobody's.
    nothing = Counter() if sticker else Counter({"CLIPVisionModelWithProjection": 1})
    assert other == (Counter() if shared else first - nothing)
    assert files == same == theirs
