"""fal-ai/ip-adapter-face-id drawn by the sketch engine, from faces to a portrait in one screen.

Knows the order of the work; each stage knows how it is done.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from limner.endpoints.base import Pictures, Step, Workshop
from limner.endpoints.fast import NOT_FOLLOWED
from limner.endpoints.fields import MAX_SEED, Image, seed_of
from limner.endpoints.ip_adapter_face_id.faces import Observer, Sighting
from limner.endpoints.ip_adapter_face_id.recipes import TYPES, plan, rounded, style_of
from limner.endpoints.ip_adapter_face_id.schema import (
    IpAdapterFaceIdInput,
    IpAdapterFaceIdOutput,
    Sample,
    Scores,
)
from limner.sketch.identity import Identity
from limner.sketch.instruments import GENERATORS, Instruments, open_instruments
from limner.sketch.portrait_words import PORTRAIT_WORDS
from limner.sketch.prompt import Reading, read_prompt
from limner.sketch.refinement import Refinement, best, refine
from limner.sketch.sitting import Model, Sitting
from limner.sketch.subject import is_small, take
from limner.sketch.vocabulary import Style
from limner.stages.encode import encode_png
from limner.stages.limits import Limits
from limner.stages.preview import preview
from limner.stages.provenance import Source
from limner.stages.safety import SafetyChecker

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """One sample: its seed, what was drawn, and the search that refines it."""

    seed: int
    sitting: Sitting
    search: Refinement


class SketchFaceId:
    """The engine. Safe to call from several threads at once."""

    def __init__(self, instruments: Instruments, limits: Limits) -> None:
        self._instruments = instruments
        self._limits = limits

    def draw(
        self, input: IpAdapterFaceIdInput, pictures: Pictures
    ) -> Generator[Step, None, IpAdapterFaceIdOutput]:
        """A portrait of the person in the photos. Raises InputProblem at the field at fault."""
        tools, own = self._instruments, TYPES[input.model_type]

        # 1 The faces, and whose they are
        observer = Observer(input, pictures, tools, self._limits, mirrored=own.mirrored)
        sightings, identity = yield from observer.look()

        # 2 What the prompt asks for
        reading = read_prompt(input.prompt, input.negative_prompt, PORTRAIT_WORDS)
        seed = seed_of(input.seed)
        style = style_of(input.model_type, reading)
        yield from _told(input, reading)
        for name in tools.fetch(_networks(style, sightings[identity.closest])):
            yield Step(f"Fetching the network {name}, once", 0.17)

        # 3 The person, cut free, and their latent
        model = self._model(sightings, identity, style, own.mirrored)
        yield Step("Cut free from the background", 0.22)

        # 4 Every sample, and the steps that bring the best of them nearer to the person
        samples: list[Drawn] = []
        for number in range(input.num_samples):
            its_seed = (seed + number) % (MAX_SEED + 1)
            sitting = Sitting(model, plan(input, reading, its_seed), tools)
            samples.append(Drawn(its_seed, sitting, Refinement(sitting, its_seed)))
            yield Step(
                f"Sample {number + 1} of {input.num_samples} in the style {style}: "
                f"likeness {samples[-1].search.likeness:.2f}",
                0.22 + 0.28 * (number + 1) / input.num_samples,
            )
        yield from _refined(samples, input.num_inference_steps, tools.safety)

        # 5 The most like one answers, checked and handed over
        chosen = best([sample.search for sample in samples])
        return (yield from self._answer(input, samples, chosen, style, pictures))

    def _model(
        self, sightings: Sequence[Sighting], identity: Identity, style: Style, mirrored: bool
    ) -> Model:
        tools, closest = self._instruments, sightings[identity.closest]
        subject = take(closest.rgb, closest.faces, tools)
        latent = np.zeros((12, 512), np.float32)
        if style != "toon":
            stylizer = tools.stylizer(style)
            latents = [stylizer.encode(sightings[index].crop) for index in identity.kept]
            latent = np.asarray(np.mean(latents, axis=0), np.float32)
        return Model(subject, latent, identity.embedding, mirrored)

    def _answer(
        self,
        input: IpAdapterFaceIdInput,
        samples: Sequence[Drawn],
        chosen: int,
        style: Style,
        pictures: Pictures,
    ) -> Generator[Step, None, IpAdapterFaceIdOutput]:
        similarities = [round(sample.search.likeness, 4) for sample in samples]
        yield Step(f"Likeness to the photo: {similarities[chosen]:.2f}, sample {chosen + 1}", 0.9)
        wanted = range(len(samples)) if input.return_samples else (chosen,)
        images: dict[int, Image] = {}
        for number in wanted:
            if images:  # whoever is cancelled now does not wait for the others
                yield Step(f"Sample {len(images)} of {len(samples)} kept", 0.95, "DEBUG")
            images[number] = yield from self._handed_over(
                samples[number], (rounded(input.width), rounded(input.height)), style, pictures
            )
        output = IpAdapterFaceIdOutput(image=images[chosen], seed=samples[0].seed)
        extras: dict[str, object] = {}
        if input.return_samples:
            extras["samples"] = [
                Sample(image=images[number], seed=sample.seed, similarity=similarities[number])
                for number, sample in enumerate(samples)
            ]
        if input.return_scores:
            extras["scores"] = Scores(
                similarity=similarities[chosen], samples=similarities, recogniser="SFace"
            )
        return output.model_copy(update=extras)

    def _handed_over(
        self, sample: Drawn, size: tuple[int, int], style: Style, pictures: Pictures
    ) -> Generator[Step, None, Image]:
        picture = _sized(sample.sitting.picture(sample.search.pose), size)
        if self._instruments.safety.unsafe(picture):
            picture = np.zeros_like(picture)
            yield Step("Not safe for work: the picture is black", level="WARN")
        toon = style == "toon"
        source = Source.ALGORITHMICALLY_ENHANCED if toon else Source.TRAINED_ALGORITHMIC_MEDIA
        encoded = encode_png(picture, pictures.mark(source))
        return pictures.publish(encoded, width=size[0], height=size[1], format="png")


def _networks(style: Style, sighting: Sighting) -> tuple[str, ...]:
    names = (
        ("modnet",) if style == "toon" else ("modnet", "face-stylizer-encoder", GENERATORS[style])
    )
    return (*names, "span-x4") if is_small(sighting.rgb, sighting.faces[0]) else names


def _told(input: IpAdapterFaceIdInput, reading: Reading) -> Iterator[Step]:
    """What was understood and what was not, in our words, never the caller's."""
    understood = ", ".join(reading.understood) or "nothing that changes the drawing"
    yield Step(f"Understood of the prompt: {understood}", 0.16)
    if reading.beyond:
        yield Step(
            f"Words of the prompts beyond the sketch engine: {reading.beyond}. It knows places, "
            "styles, colours, glasses, hair, beard, age and expression",
            0.16,
            "WARN",
        )
    size = (rounded(input.width), rounded(input.height))
    if size != (input.width, input.height):
        yield Step(
            f"{input.width}×{input.height} is drawn as {size[0]}×{size[1]}: sides are eights",
            0.16,
            "WARN",
        )
    given = {"base_1_5_model_repo", "base_sdxl_model_repo"} & input.model_fields_set
    for name in sorted(given):
        yield Step(f"The sketch engine has its own networks and does not use {name}", 0.16)
    if input.x_fast is not None:
        yield Step(NOT_FOLLOWED, 0.16, "WARN")


def _refined(samples: Sequence[Drawn], steps: int, safety: SafetyChecker) -> Iterator[Step]:
    searches = [sample.search for sample in samples]
    front = samples[best(searches)]
    portrait = preview(front.sitting.picture(front.search.pose), safety)
    yield Step(f"Refining, from a likeness of {front.search.likeness:.2f}", 0.5, preview=portrait)
    for number, position in enumerate(refine(searches, steps), 1):
        yield Step(
            f"Step {number} of {steps}: likeness {searches[best(searches)].likeness:.3f}"
            f" (sample {position + 1} {searches[position].likeness:.3f})",
            0.5 + 0.4 * number / steps,
            "DEBUG",
        )


def _sized(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture at (width, height)."""
    if picture.shape[1::-1] == size:
        return picture
    shrinks = size[0] < picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def open_engine(workshop: Workshop) -> SketchFaceId:
    """The engine of a worker; its networks are being opened when this returns."""
    instruments = open_instruments(
        workshop.networks, workshop.threads, workshop.may_fetch, workshop.index_url
    )
    return SketchFaceId(instruments, workshop.limits)
