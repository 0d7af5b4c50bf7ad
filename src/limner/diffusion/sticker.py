"""A sticker of a face: SDXL with InstantID, a second IP-Adapter and a sticker LoRA.

The composition of fofr/cog-face-to-sticker (MIT) in our own loop, without its slips: guidance
acts, the face is the largest, its points are laid on the canvas and not cropped from it, and the
second adapter sees the face it was taught with. Knows open networks and one wish; it does not know
requests, files, cutting out, or whose face it is.

InstantID: Wang et al. 2024, arXiv 2401.07519. IP-Adapter: Ye et al. 2023, arXiv 2308.06721.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Generator
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
from limner.diffusion.denoiser.network import Controller, Network
from limner.diffusion.load import Base
from limner.diffusion.machine import Machine
from limner.diffusion.noisy_image import noisy
from limner.diffusion.projection import Resampler, build_projection
from limner.diffusion.refine import Retouch, Tile, Tiling, refine, schedule
from limner.diffusion.residence import Residence
from limner.diffusion.sampling import (
    Condition,
    Control,
    Draft,
    Interval,
    Progress,
    Task,
    constant,
    leading,
)
from limner.diffusion.schedules import dpm_2m_sde_karras, euler, steps_until
from limner.diffusion.text import say
from limner.errors import NetworkUnfit

#: What is said around a caller's words. The style comes first as well as last, and long prompts
#: are read to their end: it is heard whatever is in between.
POSITIVE = "Sticker, {prompt}, cel shaded, svg, vector art, sharp"
NEGATIVE = (
    "photo, photography, nsfw, nude, ugly, broken, watermark, oversaturated, soft{negative_prompt}"
)

#: The second adapter acts in this first part of the training's time.
IMAGE_WINDOW = 0.2
#: The depth ControlNet, where there is one, is a weak hint in this first part of the time.
DEPTH_STRENGTH, DEPTH_WINDOW = 0.2, 0.7
#: InstantID's unconditional face is a little noise, which keeps its pictures from burning.
FACE_NOISE = 0.35
#: Its steps.
SCHEDULER = dpm_2m_sde_karras


@dataclass(frozen=True, eq=False)
class Sticker:
    """Everything stickers are drawn with; nothing here changes from request to request."""

    machine: Machine
    base: Base
    #: Tokens of a raw face embedding (InstantID's ``ip-adapter.bin``).
    identity: Resampler
    #: Tokens of what CLIP sees (``ip-adapter-plus-face``).
    look: Resampler
    clip: ClipVision
    #: InstantID's ControlNet.
    control: Controller
    #: The base's UNet with both adapters in it, and who runs it.
    network: Network
    denoiser: Denoiser
    residence: Residence
    #: A ControlNet of depth, where there is one.
    depth: Controller | None = None


@dataclass(frozen=True, eq=False)
class StickerWish:
    """What to draw. ``face``: fp32 [512] as the recogniser gives it, not of length 1.

    ``crop``: the aligned face [224, 224, 3]. ``points``: the picture of its five points
    [height, width, 3]. ``size``: (width, height), multiples of 8. Strengths: 0…1.
    """

    prompt: str
    negative_prompt: str
    face: npt.NDArray[np.float32]
    crop: Pixels
    points: Pixels
    guidance: float
    steps: int
    size: tuple[int, int]
    seed: int
    instant_id_strength: float
    ip_adapter_weight: float
    ip_adapter_noise: float
    #: How near things are, [height, width, 3]; None leaves depth to the networks.
    depth: Pixels | None = None
    #: Noise levels between which guidance acts (``Task``); None is everywhere.
    interval: Interval | None = None
    #: Whose share of the device it uses.
    caller: str = ""
    #: For whom what is read is remembered; "" is everybody.
    whose: str = ""


@dataclass(frozen=True, eq=False)
class Enlarged:
    """A sticker made larger. ``rgb`` [h, w, 3]; ``points``: the five points drawn at that size.

    ``steps``: how many steps draw its detail anew.
    """

    rgb: Pixels
    points: Pixels
    steps: int


def join(
    machine: Machine,
    base: Base,
    adapters: tuple[Adapter, Adapter],
    clip: ClipVision,
    controls: tuple[Any, Any],
    denoiser: Denoiser,
) -> Sticker:
    """Put InstantID's and the plus-face adapter into the base's UNet, for good.

    ``controls``: InstantID's ControlNet, and one of depth or None. Raises NetworkUnfit if an
    adapter is of another kind or not for this UNet.
    """
    identity, look = adapters
    for adapter, reads, name in ((identity, 512, "InstantID"), (look, None, "IP-Adapter-plus")):
        fits = adapter.kind.layout == "resampler" and not adapter.kind.lora
        if not fits or (reads is not None) != (adapter.kind.reads == 512):
            raise NetworkUnfit(f"{name}'s adapter is expected, this is {adapter.kind}.")
    fit(base.unet, adapters)
    for each in controls:
        if each is not None:
            fit(each, ())
    projections: list[Resampler] = []
    for adapter in adapters:
        projection = build_projection(adapter.kind, adapter.image_proj)
        assert isinstance(projection, Resampler)
        projections.append(projection.to(machine.device, machine.dtype))
    identity_tokens, look_tokens = projections
    painters = [each for each in (base.unet, *controls) if each is not None]
    network = Network(base.unet, compiled=machine.compiled)
    control, depth = (_controller(each, machine) for each in controls)
    assert control is not None
    readers = [*(encoder.model for encoder in base.encoders), clip.model]
    residence = Residence(machine, readers, painters)
    return Sticker(
        machine,
        base,
        identity_tokens,
        look_tokens,
        clip,
        control,
        network,
        denoiser,
        residence,
        depth,
    )


def _controller(net: Any, machine: Machine) -> Controller | None:
    return None if net is None else Controller(net, compiled=machine.compiled)


def draw(sticker: Sticker, wish: StickerWish) -> Generator[Progress, None, Pixels]:
    """Yield after each step; return the picture [height, width, 3].

    Raises BrokenPicture where numbers stop being a picture.
    """
    latent = yield from denoise(sticker, wish)
    with sticker.denoiser.decoding:
        return decode(sticker.base.vae, latent, sticker.machine.whole)


def denoise(sticker: Sticker, wish: StickerWish) -> Generator[Progress, None, Tensor]:
    """Yield after each step; return fp32 latents [1, 4, h/8, w/8]."""
    # 1 What is said, whose face, and how it looks
    positive, negative = _conditions(sticker, wish)

    # 2 Where the face lies, and when each adapter acts
    strengths = (
        constant(wish.instant_id_strength),
        leading(wish.ip_adapter_weight, steps_until(IMAGE_WINDOW, wish.steps)),
    )
    control = _control(sticker, wish.points, wish.instant_id_strength)
    beside: tuple[Control, ...] = ()
    if wish.depth is not None and sticker.depth is not None:
        window = steps_until(DEPTH_WINDOW, wish.steps)
        beside = (Control(sticker.depth, _hint(wish.depth), DEPTH_STRENGTH, None, window),)
    said = positive, negative, wish.guidance, strengths
    task = Task(*said, wish.size, wish.steps, control, beside, wish.interval)

    # 3 From noise to latents
    work = Work(sticker.network, SCHEDULER, task, wish.caller)
    with sticker.residence.painting():
        return (yield from sticker.denoiser.draw(work, [wish.seed]))[0]


def redraw(
    sticker: Sticker, wish: StickerWish, enlarged: Enlarged, tiling: Tiling | None = None
) -> Generator[float, None, Pixels]:
    """Yield how much is done, 0…1; return the enlarged picture with its detail drawn anew.

    By the same networks with the same words and the same face, tile by tile (``refine``). The
    second adapter's part of the way is over by then, and depth's. Raises BrokenPicture.
    """
    positive, negative = _conditions(sticker, wish)
    strengths = constant(wish.instant_id_strength), constant(0.0)

    def task(tile: Tile) -> Task:
        points = enlarged.points[tile.place]
        control = _control(sticker, points, wish.instant_id_strength)
        whole = schedule(enlarged.steps)
        said = positive, negative, wish.guidance, strengths
        return Task(*said, tile.size, whole, control, interval=wish.interval)

    def paint(task: Task, draft: Draft) -> Generator[Progress, None, Tensor]:
        return sticker.denoiser.resume(Work(sticker.network, euler, task, wish.caller), draft)

    decoding, tiles = sticker.denoiser.decoding, tiling or Tiling()
    retouch = Retouch(task, paint, enlarged.steps, wish.seed, decoding, tiles)
    with sticker.residence.painting():
        return (yield from refine(sticker.base, enlarged.rgb, retouch))


def _conditions(sticker: Sticker, wish: StickerWish) -> tuple[Condition, Condition | None]:
    """What is said, whose face, and how it looks; and of what is guided away, if anything is."""
    guided = wish.guidance > 1
    refused = f", {wish.negative_prompt}" if wish.negative_prompt else ""
    prompts = [
        POSITIVE.format(prompt=wish.prompt),
        NEGATIVE.format(negative_prompt=refused),
    ]
    with sticker.residence.reading():
        said = say(sticker.base.encoders, prompts[: 1 + guided], wish.whose)
        positive = Condition(said[0], (face_tokens(sticker, wish.face), seen_tokens(sticker, wish)))
        if not guided:
            return positive, None
        return positive, Condition(said[1], (no_face(sticker), unseen_tokens(sticker, wish)))


def _control(sticker: Sticker, points: Pixels, strength: float) -> Control:
    """InstantID's ControlNet, which sees the points and reads the face's tokens."""
    return Control(sticker.control, _hint(points), strength, reads=0)


def _hint(rgb: Pixels) -> Tensor:
    """[h, w, 3] → [1, 3, h, w], 0…1."""
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None] / 255


def face_tokens(sticker: Sticker, face: npt.NDArray[np.float32]) -> Tensor:
    """A raw face embedding [512] as InstantID's tokens [1, 16, width]."""
    return _projected(sticker.identity, torch.from_numpy(face)[None, None], sticker.machine)


def no_face(sticker: Sticker) -> Tensor:
    """The unconditional pass's face: always the same noise."""
    generator = torch.Generator("cpu").manual_seed(0)
    noise = FACE_NOISE * torch.rand((1, 1, 512), generator=generator)
    return _projected(sticker.identity, noise, sticker.machine)


def seen_tokens(sticker: Sticker, wish: StickerWish) -> Tensor:
    """The aligned face as CLIP sees it, as the second adapter's tokens [1, 16, width]."""
    return _projected(sticker.look, sticker.clip.see(wish.crop, wish.whose), sticker.machine)


def unseen_tokens(sticker: Sticker, wish: StickerWish) -> Tensor:
    """What the unconditional pass sees: nothing, or the face torn apart by noise."""
    if wish.ip_adapter_noise:
        seen = sticker.clip.see(noisy(wish.crop, wish.ip_adapter_noise), wish.whose)
    else:
        seen = sticker.clip.see_nothing()
    return _projected(sticker.look, seen, sticker.machine)


@torch.inference_mode()
def _projected(projection: Resampler, given: Tensor, machine: Machine) -> Tensor:
    return projection(given.to(machine.device, machine.dtype))
