"""fal-ai/face-to-sticker drawn by the published models, from photo to sticker in one screen.

Knows the order of the work; the networks are ``limner.diffusion``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
import numpy.typing as npt

from limner.diffusion.denoiser.coefficients import noise_levels
from limner.diffusion.keypoints import depth_on_canvas, draw_keypoints, on_canvas
from limner.diffusion.machine import out_of_memory_told
from limner.diffusion.refine import Tiling
from limner.diffusion.safety import Safety
from limner.diffusion.sampling import Progress
from limner.diffusion.sticker import SCHEDULER, Enlarged, Sticker, StickerWish, draw, redraw
from limner.diffusion.sticker_studio import StickerStudio
from limner.endpoints.base import Pictures, Step, Workshop
from limner.endpoints.face_to_sticker.asked import canvas_of, faces_told
from limner.endpoints.face_to_sticker.extras import finish_of, with_exports
from limner.endpoints.face_to_sticker.schema import (
    FaceToStickerInput,
    FaceToStickerOutput,
)
from limner.endpoints.fast import AS_USUAL
from limner.endpoints.fields import pixels, seed_of
from limner.endpoints.painting import (
    CROP,
    GRID,
    Telling,
    firmly,
    glimpses,
    guidance_told,
    set_up,
)
from limner.endpoints.verdict import unsafe
from limner.errors import blame
from limner.sketch.instruments import Instruments
from limner.stages.arcface import align
from limner.stages.choice import choose
from limner.stages.cutout import cut
from limner.stages.encode import encode_png
from limner.stages.face import Found
from limner.stages.finish import finished
from limner.stages.limits import Limits
from limner.stages.picture import open_picture
from limner.stages.provenance import Source
from limner.stages.safety import SafetyChecker

Pixels = npt.NDArray[np.uint8]
Drawing = Generator[Step, None, Pixels]
#: What is done with open networks.
Work = Callable[[Sticker], Generator[Progress | float, None, Pixels]]


class DiffusionSticker:
    """The engine. Safe to call from several threads at once; their requests are drawn together."""

    def __init__(
        self,
        studio: StickerStudio,
        safety: Safety,
        instruments: Instruments,
        limits: Limits,
        *,
        share_caches: bool = True,
    ) -> None:
        self._share_caches = share_caches
        self._studio = studio
        self._safety = safety
        self._instruments = instruments
        self._limits = limits

    def draw(
        self, input: FaceToStickerInput, pictures: Pictures
    ) -> Generator[Step, None, FaceToStickerOutput]:
        """A sticker of the person in ``image_url``. Raises InputProblem at the field at fault."""
        size = canvas_of(input, self._limits.max_pixels, GRID)
        finish = finish_of(input, size)
        self._studio.check()

        # 1 The photo, and the face in it
        with blame("image_url"):
            limits = self._limits
            encoded = pictures.read(input.image_url)
            photo = open_picture(encoded, max_pixels=limits.max_pixels)
            yield Step(f"Photo read: {photo.rgb.shape[1]}×{photo.rgb.shape[0]} pixels", 0.03)
            found = self._instruments.detector.find(photo.rgb)
        found = choose(found, input.face_index, input.face_box)
        yield faces_told(input, found, 0.08)

        # 2 What is wished for
        seed = seed_of(input.seed)
        wish = self._wish(input, found, size, seed, pictures.caller)
        if wish.depth is not None:
            yield Step("Depth of the photo seen", 0.1)
        asked = pixels(input.image_size)
        if size != asked:
            said = f"{asked[0]}×{asked[1]} is drawn as {size[0]}×{size[1]}: sides are eights"
            yield Step(said, 0.1, "WARN")

        if wish.interval is not None:
            levels = noise_levels(SCHEDULER, wish.steps)
            yield guidance_told(wish.interval, wish.guidance, levels)

        # 3 The sticker, enlarged if that is wished, and without its background
        checked = self._instruments.safety if input.enable_safety_checker else None
        plain = yield from self._drawn(wish, checked, 0.45 if input.upscale else 0.8)
        if input.upscale:
            plain = yield from self._enlarged(wish, found, plain, input.upscale_steps)
        cutout = cut(plain, self._studio.cutter(plain))
        yield Step("Cut out of its background", 0.92)

        # 4 Checked and handed over
        flagged = False
        if input.enable_safety_checker:
            flagged = yield from unsafe([plain, cutout], self._safety, self._instruments)
        if flagged:
            plain, cutout = np.zeros_like(plain), np.zeros_like(cutout)
            yield Step("Not safe for work: both pictures are black", level="WARN")
        worn = cutout if flagged else finished(cutout, finish)
        output = _handed_over((plain, worn), (seed, flagged), pictures)
        made = None if flagged else (cutout, finish, Source.TRAINED_ALGORITHMIC_MEDIA)
        return (yield from with_exports(output, input.exports, made, pictures))

    def _wish(
        self,
        input: FaceToStickerInput,
        found: Found,
        size: tuple[int, int],
        seed: int,
        caller: str,
    ) -> StickerWish:
        eye, whose = self._studio.depth, "" if self._share_caches else caller
        return StickerWish(
            prompt=input.prompt,
            negative_prompt=input.negative_prompt,
            face=self._studio.recogniser.serving(whose).measure(found.rgb, found.face),
            crop=align(found.rgb, found.face, CROP),
            points=draw_keypoints(on_canvas(found.face, size), size),
            guidance=input.guidance_scale,
            steps=input.num_inference_steps,
            size=size,
            seed=seed,
            instant_id_strength=input.instant_id_strength,
            ip_adapter_weight=input.ip_adapter_weight,
            ip_adapter_noise=input.ip_adapter_noise,
            depth=depth_on_canvas(eye.see(found.rgb), found.face, size) if eye else None,
            interval=(input.x_fast or AS_USUAL).interval,
            caller=caller,
            whose=whose,
        )

    def _drawn(
        self, wish: StickerWish, checked: SafetyChecker | None, until: float
    ) -> Generator[Step, None, Pixels]:
        """The picture, whose last step is ``until`` of the work. Raises as ``_firmly``."""
        yield Step("Opening the networks", 0.12)
        seen = glimpses(wish.steps, xl=True, checked=checked)
        telling = Telling("Step", wish.steps, (0.15, until), seen)
        return (yield from self._firmly(wish.size, telling, lambda opened: draw(opened, wish)))

    def _enlarged(
        self, wish: StickerWish, found: Found, plain: Pixels, steps: int
    ) -> Generator[Step, None, Pixels]:
        """The picture at exactly twice its size, its detail drawn anew. Raises as ``_firmly``."""
        for name in self._instruments.fetch(("animevideo-x2",)):
            yield Step(f"Fetching the network {name}, once", 0.46)
        large = np.empty((2 * plain.shape[0], 2 * plain.shape[1], 3), np.uint8)
        for done in self._instruments.drawing_upscaler.tiles(plain, large):
            yield Step("Upscaling", 0.46 + 0.09 * done, "DEBUG")
        size = large.shape[1], large.shape[0]
        points = draw_keypoints(on_canvas(found.face, size), size)
        enlarged = Enlarged(large, points, steps)
        number = steps * len(Tiling().tiles(size))
        telling = Telling("Detail", number, (0.55, 0.9))
        return (
            yield from self._firmly(
                wish.size, telling, lambda opened: redraw(opened, wish, enlarged)
            )
        )

    def _firmly(self, size: tuple[int, int], telling: Telling, work: Work) -> Drawing:
        """Work done with networks that are fitted for a sticker of ``size`` before it is enlarged.

        Raises BrokenPicture, OutOfMemory.
        """
        width, height = size

        def painted(exact: bool) -> Drawing:
            return telling.of(work(self._studio.open(size, exact=exact)))

        what = f"A sticker of {width}×{height} does not fit"
        with out_of_memory_told(what, "a smaller image_size, or one without upscale"):
            return (yield from firmly(painted, is_exact=self._studio.is_exact))


def _handed_over(
    both: tuple[Pixels, Pixels], verdict: tuple[int, bool], pictures: Pictures
) -> FaceToStickerOutput:
    seed, flagged = verdict
    kept = [
        pictures.publish(
            encode_png(picture, pictures.mark(Source.TRAINED_ALGORITHMIC_MEDIA)),
            width=picture.shape[1],
            height=picture.shape[0],
        )
        for picture in both
    ]
    return FaceToStickerOutput(
        images=kept,
        sticker_image=kept[0],
        sticker_image_background_removed=kept[1],
        seed=seed,
        has_nsfw_concepts={
            "sticker_image": flagged,
            "sticker_image_background_removed": flagged,
        },
    )


def open_engine(workshop: Workshop) -> DiffusionSticker:
    """The engine of a worker, whose process it takes for itself."""
    box = set_up(workshop)
    return DiffusionSticker(
        StickerStudio(box.holdings, box.machine, workshop.threads, box.denoiser),
        box.safety,
        box.instruments,
        workshop.limits,
        share_caches=workshop.share_caches,
    )
