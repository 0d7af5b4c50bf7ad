"""IP-Adapter-FaceID, from a face and words to pictures.

Knows networks that are open and one wish; it does not know requests, files, or whose face it is.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limner.diffusion.adapter import Adapter, fit
from limner.diffusion.clip_image import ClipVision
from limner.diffusion.decode import Pixels, decode
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.denoiser.job import Work
from limner.diffusion.denoiser.network import Network
from limner.diffusion.load import Base
from limner.diffusion.machine import Machine
from limner.diffusion.projection import FaceTokens, PlusFaceTokens, build_projection
from limner.diffusion.residence import Residence
from limner.diffusion.sampling import Condition, Decoded, Interval, Progress, Task, constant
from limner.diffusion.schedules import ddim
from limner.diffusion.text import say
from limner.diffusion.weights import ModelType
from limner.errors import NetworkUnfit

#: How strongly the face is followed; fal's schema has no field for it, the authors' default is 1.
STRENGTH = 1.0


@dataclass(frozen=True, eq=False)
class FaceId:
    """Everything a ``model_type`` draws with; nothing here changes from request to request."""

    kind: ModelType
    machine: Machine
    base: Base
    projection: FaceTokens
    clip: ClipVision | None
    #: The base's UNet with the adapter in it, and who runs it.
    network: Network
    denoiser: Denoiser
    residence: Residence
    #: Its steps: an LCM-LoRA in the base has its own.
    scheduler: Callable[[], Any] = ddim


@dataclass(frozen=True, eq=False)
class Wish:
    """What to draw. ``face``: fp32 [512] of length 1; ``crop``: the aligned face [224, 224, 3].

    ``size``: (width, height), multiples of 8. One picture for each of ``seeds``.
    """

    prompt: str
    negative_prompt: str
    face: npt.NDArray[np.float32]
    crop: Pixels
    guidance: float
    steps: int
    size: tuple[int, int]
    seeds: tuple[int, ...]
    #: Noise levels between which guidance acts (``Task``); None is everywhere.
    interval: Interval | None = None
    #: Whose share of the device it uses.
    caller: str = ""
    #: For whom what is read is remembered; "" is everybody.
    whose: str = ""


def join(
    kind: ModelType,
    machine: Machine,
    base: Base,
    adapter: Adapter,
    clip: ClipVision | None,
    denoiser: Denoiser,
) -> FaceId:
    """Put the adapter into the base's UNet, for good, and its projection beside it.

    Raises NetworkUnfit if the adapter is not of this ``kind`` or not for this UNet.
    """
    wanted = "faceid-plus" if kind.plus else "faceid"
    if adapter.kind.layout != wanted or not adapter.kind.lora:
        raise NetworkUnfit(f"{kind.name} takes a {wanted} file with a LoRA, not {adapter.kind}.")
    fit(base.unet, [adapter])
    projection = build_projection(adapter.kind, adapter.image_proj)
    assert isinstance(projection, FaceTokens)
    projection = projection.to(machine.device, machine.dtype)
    network = Network(base.unet, compiled=machine.compiled)
    readers = [*(encoder.model for encoder in base.encoders), *([clip.model] if clip else [])]
    residence = Residence(machine, readers, [base.unet])
    return FaceId(kind, machine, base, projection, clip, network, denoiser, residence)


def draw(faceid: FaceId, wish: Wish) -> Generator[Progress | Decoded, None, list[Pixels]]:
    """Yield after each step and between decodings; a picture [height, width, 3] for each seed.

    Raises BrokenPicture where numbers stop being a picture.
    """
    latents = yield from denoise(faceid, wish)
    pictures: list[Pixels] = []
    for latent in latents:
        if pictures:  # whoever is cancelled now does not wait for the others
            yield Decoded(len(pictures), len(latents))
        with faceid.denoiser.decoding:
            pictures.append(decode(faceid.base.vae, latent, faceid.machine.whole))
    return pictures


def denoise(faceid: FaceId, wish: Wish) -> Generator[Progress, None, list[Tensor]]:
    """Yield after each step; return fp32 latents [1, 4, h/8, w/8] for each seed."""
    # 1 What is said, and whose face: the same for every seed
    guided = wish.guidance > 1
    prompts = [wish.prompt, wish.negative_prompt][: 1 + guided]
    with faceid.residence.reading():
        said = say(faceid.base.encoders, prompts, wish.whose)
        positive = Condition(said[0], (face_tokens(faceid, wish),))
        negative = Condition(said[1], (no_face(faceid),)) if guided else None

    # 2 From noise to latents
    task = Task(
        positive,
        negative,
        wish.guidance,
        (constant(STRENGTH),),
        wish.size,
        wish.steps,
        interval=wish.interval,
    )
    work = Work(faceid.network, faceid.scheduler, task, wish.caller)
    with faceid.residence.painting():
        return (yield from faceid.denoiser.draw(work, wish.seeds))


@torch.inference_mode()
def face_tokens(faceid: FaceId, wish: Wish) -> Tensor:
    """The face as tokens [1, 4, width]; for Plus with what CLIP sees of it."""
    face = torch.from_numpy(wish.face)[None]
    return _tokens(
        faceid, face, None if faceid.clip is None else faceid.clip.see(wish.crop, wish.whose)
    )


@torch.inference_mode()
def no_face(faceid: FaceId) -> Tensor:
    """The unconditional pass's tokens [1, 4, width]: those of zeros, which are not zeros."""
    seen = None if faceid.clip is None else faceid.clip.see_nothing()
    return _tokens(faceid, torch.zeros(1, 512), seen)


def _tokens(faceid: FaceId, face: Tensor, seen: Tensor | None) -> Tensor:
    face = face.to(faceid.machine.device, faceid.machine.dtype)
    if isinstance(faceid.projection, PlusFaceTokens):
        assert seen is not None
        return faceid.projection.look(face, seen, shortcut=faceid.kind.shortcut)
    return faceid.projection(face)
