"""fal-ai/face-to-sticker drawn by the sketch engine, from photo to sticker in one screen.

Knows the order of the work; each stage knows how it is done.
"""

from __future__ import annotations

from collections.abc import Generator

import cv2
import numpy as np
import numpy.typing as npt

from limner.endpoints.base import Pictures, Step, Workshop
from limner.endpoints.face_to_sticker.asked import canvas_of, faces_told
from limner.endpoints.face_to_sticker.extras import finish_of, with_exports
from limner.endpoints.face_to_sticker.schema import (
    FaceToStickerInput,
    FaceToStickerOutput,
    Scores,
)
from limner.endpoints.fast import NOT_FOLLOWED
from limner.endpoints.fields import seed_of
from limner.errors import blame
from limner.sketch.instruments import Instruments, needed, open_instruments
from limner.sketch.portrait import draw_portrait
from limner.sketch.prompt import Reading, read_prompt
from limner.sketch.recipe import Numbers, Recipe, cook
from limner.sketch.subject import is_small, take
from limner.stages.choice import choose
from limner.stages.encode import encode_png
from limner.stages.face import Found
from limner.stages.finish import Finish, finished
from limner.stages.likeness import Embedding, likeness
from limner.stages.limits import Limits
from limner.stages.picture import open_picture
from limner.stages.preview import preview
from limner.stages.provenance import Source
from limner.stages.sticker import LARGEST, cut_out, die_cut, laid, on_background
from limner.stages.upscale import refined

Pixels = npt.NDArray[np.uint8]


class SketchSticker:
    """The engine. Safe to call from several threads at once."""

    def __init__(self, instruments: Instruments, limits: Limits) -> None:
        self._instruments = instruments
        self._limits = limits

    def draw(
        self, input: FaceToStickerInput, pictures: Pictures
    ) -> Generator[Step, None, FaceToStickerOutput]:
        """A sticker of the person in ``image_url``. Raises InputProblem at the field at fault."""
        canvas, tools = canvas_of(input, self._limits.max_pixels), self._instruments
        finish = finish_of(input, canvas)

        # 1 The photo, and the face in it
        with blame("image_url"):
            photo = self._opened(pictures.read(input.image_url))
            yield Step(f"Photo read: {photo.shape[1]}×{photo.shape[0]} pixels", 0.05)
            found = tools.detector.find(photo)
        found = choose(found, input.face_index, input.face_box)
        yield faces_told(input, found, 0.1)

        # 2 What the prompt asks for
        reading = read_prompt(input.prompt, input.negative_prompt)
        recipe = cook(reading, _numbers(input, seed_of(input.seed)))
        yield from _told(input, reading, recipe)
        for name in tools.fetch(self._networks(input, recipe, found)):
            yield Step(f"Fetching the network {name}, once", 0.15)

        # 3 The person, cut free and drawn
        own = tools.recogniser.embed(found.rgb, found.face)
        subject = take(found.rgb, found.faces, tools, longest=_longest(canvas))
        del photo, found  # a phone's photo is 36 MB of pixels, and others wait for the room
        yield Step("Cut free from the background", 0.35)
        drawing, person = draw_portrait(subject, recipe, canvas, tools)
        safety = tools.safety if input.enable_safety_checker else None
        figure = preview(drawing, safety, person.alpha)
        yield Step(f"Drawn in the style {recipe.style}", 0.6, preview=figure)

        # 4 The sticker, with and without background
        sticker = die_cut(drawing, person.alpha, person.outline)
        plain, cutout = _on_ground(sticker, recipe, canvas), cut_out(sticker, canvas)
        yield Step("Die-cut and laid on its background", 0.7)
        yield _alike(alike := self._compared(own, plain))
        if input.upscale:
            cutout = yield from self._enlarged(cutout, input.upscale_steps)
            plain = laid(cutout, _ground(recipe), recipe.shadow)

        # 5 Checked and handed over
        unsafe = safety is not None and safety.unsafe(plain)
        if unsafe:
            plain, cutout = np.zeros_like(plain), np.zeros_like(plain)
            yield Step("Not safe for work: both pictures are black", level="WARN")
        made = None if unsafe else (cutout, finish, _source(recipe))
        output = _handed_over((plain, cutout), recipe, made, pictures)
        output = yield from with_exports(output, input.exports, made, pictures)
        return _scored(output, alike) if input.return_scores else output

    def _opened(self, encoded: bytes) -> Pixels:
        limits = self._limits
        return open_picture(encoded, max_pixels=limits.max_pixels).rgb

    def _networks(self, input: FaceToStickerInput, recipe: Recipe, found: Found) -> tuple[str, ...]:
        names = needed(recipe.style)
        if is_small(found.rgb, found.face):
            names = (*names, "span-x4")
        return (*names, "span-x2") if input.upscale else names

    def _compared(self, own: Embedding, plain: Pixels) -> float | None:
        """How alike photo and sticker are, -1…1; None where no face is seen in the sticker."""
        faces = self._instruments.detector.detect(plain, 640)
        if not faces:
            return None
        return likeness(own, self._instruments.recogniser.embed(plain, faces[0]))

    def _enlarged(self, cutout: Pixels, steps: int) -> Generator[Step, None, Pixels]:
        """The cut-out at exactly twice the size; more ``steps`` draw the edges more firmly."""
        yield Step("Upscaling to twice the size", 0.75)
        # The cut-out's own white paper is what it is enlarged on, so nothing seeps in.
        over = cutout[..., 3:].astype(np.float32) / 255
        on_paper = (cutout[..., :3] * over + 255 * (1 - over) + 0.5).astype(np.uint8)
        large = np.empty((2 * cutout.shape[0], 2 * cutout.shape[1], 3), np.uint8)
        for done in self._instruments.upscaler(2).tiles(on_paper, large):
            yield Step("Upscaling", 0.75 + 0.2 * done, "DEBUG")
        return _with_alpha(refined(on_paper, large, steps), cutout)


def _handed_over(
    both: tuple[Pixels, Pixels],
    recipe: Recipe,
    made: tuple[Pixels, Finish, Source] | None,
    pictures: Pictures,
) -> FaceToStickerOutput:
    """The answer with both pictures; without ``made`` they are unsafe, and without a finish."""
    unsafe, (plain, cutout) = made is None, both
    kept = [
        pictures.publish(
            encode_png(picture, pictures.mark(_source(recipe))),
            width=picture.shape[1],
            height=picture.shape[0],
        )
        for picture in (plain, finished(made[0], made[1]) if made else cutout)
    ]
    return FaceToStickerOutput(
        images=kept,
        sticker_image=kept[0],
        sticker_image_background_removed=kept[1],
        seed=recipe.seed,
        has_nsfw_concepts={
            "sticker_image": unsafe,
            "sticker_image_background_removed": unsafe,
        },
    )


def _on_ground(sticker: Pixels, recipe: Recipe, canvas: tuple[int, int]) -> Pixels:
    return on_background(sticker, _ground(recipe), canvas, recipe.shadow)


def _ground(recipe: Recipe) -> Pixels:
    """The background's colour, to be stretched."""
    return np.full((1, 1, 3), recipe.background, np.uint8)


def _source(recipe: Recipe) -> Source:
    """How a picture of this recipe comes to be: a toon is the photo, reworked."""
    toon = recipe.style == "toon"
    return Source.ALGORITHMICALLY_ENHANCED if toon else Source.TRAINED_ALGORITHMIC_MEDIA


def _alike(alike: float | None) -> Step:
    said = "no face is recognised in the drawing" if alike is None else f"{alike:.2f}"
    return Step(f"Likeness to the photo: {said}", 0.75)


def _scored(output: FaceToStickerOutput, alike: float | None) -> FaceToStickerOutput:
    similarity = None if alike is None else round(alike, 4)
    scores = Scores(similarity=similarity, recogniser="SFace")
    return output.model_copy(update={"scores": scores})


def _longest(canvas: tuple[int, int]) -> int:
    """Pixels of the photo's part that are worth looking at: a quarter more than are drawn."""
    return max(1024, round(1.25 * min(max(canvas), LARGEST)))


def _numbers(input: FaceToStickerInput, seed: int) -> Numbers:
    return Numbers(
        guidance_scale=input.guidance_scale,
        instant_id_strength=input.instant_id_strength,
        ip_adapter_weight=input.ip_adapter_weight,
        ip_adapter_noise=input.ip_adapter_noise,
        num_inference_steps=input.num_inference_steps,
        seed=seed,
    )


def _told(input: FaceToStickerInput, reading: Reading, recipe: Recipe) -> Generator[Step]:
    """What was understood of the prompt and what was not, in our words, never the caller's."""
    understood = ", ".join(reading.understood) or "nothing that changes the drawing"
    yield Step(f"Understood of the prompt: {understood}", 0.12)
    if recipe.style == "toon" and recipe.moves:
        yield Step(
            "The toon style keeps the face as it is; ask for ink, pencil or oil", 0.12, "WARN"
        )
    if reading.beyond:
        yield Step(
            f"Words of the prompts beyond the sketch engine: {reading.beyond}. It knows styles, "
            "colours, lines, backgrounds, glasses, hair, beard, age and expression",
            0.12,
            "WARN",
        )
    if input.x_fast is not None:
        yield Step(NOT_FOLLOWED, 0.12, "WARN")


def _with_alpha(rgb: Pixels, cutout: Pixels) -> Pixels:
    """RGB [2h, 2w, 3] with the enlarged alpha of RGBA [h, w, 4]; nothing where it is empty."""
    size = (rgb.shape[1], rgb.shape[0])
    alpha = np.asarray(cv2.resize(cutout[..., 3], size, interpolation=cv2.INTER_CUBIC), np.uint8)
    whole = np.dstack([rgb, alpha])
    whole[alpha == 0] = 0
    return whole


def open_engine(workshop: Workshop) -> SketchSticker:
    """The engine of a worker; its networks are being opened when this returns."""
    instruments = open_instruments(
        workshop.networks, workshop.threads, workshop.may_fetch, workshop.index_url
    )
    return SketchSticker(instruments, workshop.limits)
