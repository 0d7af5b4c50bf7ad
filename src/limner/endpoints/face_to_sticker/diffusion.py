"""fal-ai/face-to-sticker drawn by the published models, from photo to sticker in one screen.

Knows the order of the work; the networks are ``limner.diffusion``'s.
"""

from __future__ import annotations

import threading
from collections.abc import Generator

import cv2
import numpy as np
import numpy.typing as npt
import torch

from limner.diffusion.holdings import Holdings
from limner.diffusion.keypoints import draw_keypoints, on_canvas
from limner.diffusion.machine import out_of_memory_told, this_machine
from limner.diffusion.sticker import StickerWish, draw
from limner.diffusion.sticker_studio import StickerStudio
from limner.endpoints.base import Pictures, Step, Workshop
from limner.endpoints.face_to_sticker.asked import canvas_of, faces_told
from limner.endpoints.face_to_sticker.schema import (
    FaceToStickerInput,
    FaceToStickerOutput,
)
from limner.endpoints.fields import pixels, seed_of
from limner.errors import BrokenPicture, blame
from limner.sketch.instruments import Instruments
from limner.stages.arcface import align
from limner.stages.choice import choose
from limner.stages.cutout import cut
from limner.stages.encode import Source, encode_png
from limner.stages.face import Found
from limner.stages.limits import Limits
from limner.stages.picture import open_picture
from limner.stages.upscale import refined

Pixels = npt.NDArray[np.uint8]

#: Pixels along a side of the aligned face that CLIP looks at.
CROP = 224
#: Sides of pictures are multiples of this: of a latent's pixel.
GRID = 8


class DiffusionSticker:
    """The engine. Safe to call from several threads at once; it draws one request at a time."""

    def __init__(self, studio: StickerStudio, instruments: Instruments, limits: Limits) -> None:
        self._studio = studio
        self._instruments = instruments
        self._limits = limits
        self._brush = threading.Lock()

    def draw(
        self, input: FaceToStickerInput, pictures: Pictures
    ) -> Generator[Step, None, FaceToStickerOutput]:
        """A sticker of the person in ``image_url``. Raises InputProblem at the field at fault."""
        size = canvas_of(input, self._limits.max_pixels, GRID)
        self._studio.check()

        # 1 The photo, and the face in it
        with blame("image_url"):
            limits = self._limits
            encoded = pictures.read(input.image_url)
            photo = open_picture(encoded, max_pixels=limits.max_pixels, min_side=limits.min_side)
            yield Step(f"Photo read: {photo.rgb.shape[1]}×{photo.rgb.shape[0]} pixels", 0.03)
            found = self._instruments.detector.find(photo.rgb)
        found = choose(found, input.face_index, input.face_box)
        yield faces_told(input, found, 0.08)

        # 2 What is wished for
        seed = seed_of(input.seed)
        wish = self._wish(input, found, size, seed)
        asked = pixels(input.image_size)
        if size != asked:
            said = f"{asked[0]}×{asked[1]} is drawn as {size[0]}×{size[1]}: sides are eights"
            yield Step(said, 0.1, "WARN")

        # 3 The sticker, with and without background
        with self._brush:
            plain = yield from self._drawn(wish)
        cutout = cut(plain, self._studio.cutter(plain))
        yield Step("Cut out of its background", 0.85)
        if input.upscale:
            plain, cutout = yield from self._enlarged(plain, cutout, input.upscale_steps)

        # 4 Checked and handed over
        unsafe = input.enable_safety_checker and self._instruments.safety.unsafe(plain)
        if unsafe:
            plain, cutout = np.zeros_like(plain), np.zeros_like(cutout)
            yield Step("Not safe for work: both pictures are black", level="WARN")
        return _handed_over(plain, cutout, (seed, unsafe), pictures)

    def _wish(
        self, input: FaceToStickerInput, found: Found, size: tuple[int, int], seed: int
    ) -> StickerWish:
        return StickerWish(
            prompt=input.prompt,
            negative_prompt=input.negative_prompt,
            face=self._studio.recogniser.measure(found.rgb, found.face),
            crop=align(found.rgb, found.face, CROP),
            points=draw_keypoints(on_canvas(found.face, size), size),
            guidance=input.guidance_scale,
            steps=input.num_inference_steps,
            size=size,
            seed=seed,
            instant_id_strength=input.instant_id_strength,
            ip_adapter_weight=input.ip_adapter_weight,
            ip_adapter_noise=input.ip_adapter_noise,
        )

    def _drawn(self, wish: StickerWish) -> Generator[Step, None, Pixels]:
        """The picture; once more in fp32 if the numbers broke in less.

        Raises BrokenPicture, OutOfMemory.
        """
        yield Step("Opening the networks", 0.12)
        width, height = wish.size
        with out_of_memory_told(
            f"A sticker of {width}×{height} does not fit", "a smaller image_size"
        ):
            try:
                return (yield from self._painted(wish, exact=False))
            except BrokenPicture:
                if self._studio.is_exact:
                    raise
            yield Step("The numbers broke in half precision: drawn once more in fp32", 0.2, "WARN")
            return (yield from self._painted(wish, exact=True))

    def _painted(self, wish: StickerWish, *, exact: bool) -> Generator[Step, None, Pixels]:
        work = draw(self._studio.open(wish.size, exact=exact), wish)
        step = 0
        while True:
            try:
                done = next(work)
            except StopIteration as end:
                return end.value
            step += 1
            yield Step(f"Step {step} of {wish.steps}", 0.15 + 0.65 * done, "DEBUG")

    def _enlarged(
        self, plain: Pixels, cutout: Pixels, steps: int
    ) -> Generator[Step, None, tuple[Pixels, Pixels]]:
        """Both pictures at exactly twice the size; more ``steps`` draw the edges more firmly."""
        for name in self._instruments.fetch(("span-x2",)):
            yield Step(f"Fetching the network {name}, once", 0.86)
        upscaler = self._instruments.upscaler(2)
        large = np.empty((2 * plain.shape[0], 2 * plain.shape[1], 3), np.uint8)
        for done in upscaler.tiles(plain, large):
            yield Step("Upscaling", 0.86 + 0.1 * done, "DEBUG")
        large = refined(plain, large, steps)
        size = (large.shape[1], large.shape[0])
        alpha = cv2.resize(cutout[..., 3], size, interpolation=cv2.INTER_CUBIC)
        return large, cut(large, np.asarray(alpha, np.float32) / np.float32(255))


def _handed_over(
    plain: Pixels, cutout: Pixels, verdict: tuple[int, bool], pictures: Pictures
) -> FaceToStickerOutput:
    seed, unsafe = verdict
    height, width = plain.shape[:2]
    kept = [
        pictures.publish(
            encode_png(picture, Source.TRAINED_ALGORITHMIC_MEDIA), width=width, height=height
        )
        for picture in (plain, cutout)
    ]
    return FaceToStickerOutput(
        images=kept,
        sticker_image=kept[0],
        sticker_image_background_removed=kept[1],
        seed=seed,
        has_nsfw_concepts={
            "sticker_image": unsafe,
            "sticker_image_background_removed": unsafe,
        },
    )


def open_engine(workshop: Workshop) -> DiffusionSticker:
    """The engine of a worker, whose process it takes for itself."""
    torch.set_num_threads(workshop.threads)
    weights = workshop.weights or workshop.networks.parent / "weights"
    holdings = Holdings(weights, commercial=workshop.commercial)
    return DiffusionSticker(
        StickerStudio(holdings, this_machine(), workshop.threads),
        Instruments(workshop.networks, workshop.threads, workshop.may_fetch, workshop.index_url),
        workshop.limits,
    )
