"""fal-ai/ip-adapter-face-id drawn by the published models, from faces to a picture in one screen.

Knows the order of the work; the networks are ``limner.diffusion``'s.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from limner.diffusion.denoiser.coefficients import noise_levels
from limner.diffusion.faceid import Wish, draw
from limner.diffusion.machine import out_of_memory_told
from limner.diffusion.safety import Safety
from limner.diffusion.schedules import ddim
from limner.diffusion.schedules import lcm as few_steps
from limner.diffusion.studio import Studio
from limner.diffusion.weights import MODEL_TYPES, ModelType
from limner.endpoints.base import Pictures, Step, Workshop
from limner.endpoints.fast import AS_USUAL, FewSteps
from limner.endpoints.fields import MAX_SEED, Image, seed_of
from limner.endpoints.ip_adapter_face_id.faces import Observer, Sighting
from limner.endpoints.ip_adapter_face_id.schema import (
    IpAdapterFaceIdInput,
    IpAdapterFaceIdOutput,
    Sample,
    Scores,
)
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
from limner.sketch.identity import Identity, averaged
from limner.sketch.instruments import Instruments
from limner.stages.arcface import ArcFace, align
from limner.stages.encode import encode_png
from limner.stages.face import FaceDetector
from limner.stages.likeness import likeness
from limner.stages.limits import Limits
from limner.stages.provenance import Source

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False, slots=True)
class Eyes:
    """How this engine looks at faces: found as everywhere, measured as its adapter was taught."""

    detector: FaceDetector
    recogniser: ArcFace


class DiffusionFaceId:
    """The engine. Safe to call from several threads at once; their requests are drawn together."""

    def __init__(
        self,
        studio: Studio,
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
        self, input: IpAdapterFaceIdInput, pictures: Pictures
    ) -> Generator[Step, None, IpAdapterFaceIdOutput]:
        """A picture of the person in the photos. Raises InputProblem at the field at fault."""
        # 1 What it is drawn with
        kind = MODEL_TYPES[input.model_type]
        fast = input.x_fast or AS_USUAL
        lcm = fast.lcm_steps is not None
        base = self._studio.check(kind, _base(input, kind), lcm=lcm)

        # 2 The faces, and whose they are
        whose = "" if self._share_caches else pictures.caller
        eyes = Eyes(self._instruments.detector, self._studio.recogniser(kind).serving(whose))
        observer = Observer(input, pictures, eyes, self._limits, mirrored=False)
        sightings, identity = yield from observer.look()

        # 3 What is wished for
        seed = seed_of(input.seed)
        wish = _wish(input, sightings[identity.closest], identity, seed)
        wish = replace(wish, caller=pictures.caller, whose=whose)
        if wish.size != (input.width, input.height):
            width, height = wish.size
            said = f"{input.width}×{input.height} is drawn as {width}×{height}: sides are eights"
            yield Step(said, 0.16, "WARN")

        yield from _fast_told(wish, fast)

        # 4 All samples in the running batch
        with self._studio.in_use(kind, base):
            drawn = yield from self._drawn(kind, base, wish, lcm=lcm)

        # 5 The most like one answers, checked and handed over
        kept = [sightings[index] for index in identity.kept]
        alike = yield from self._alike(kept, drawn)
        return (
            yield from self._answer(
                input, list(zip(wish.seeds, drawn, alike, strict=True)), pictures
            )
        )

    def _drawn(
        self, kind: ModelType, base: Path, wish: Wish, *, lcm: bool
    ) -> Generator[Step, None, list[Pixels]]:
        """The pictures; once more in fp32 if the numbers broke in less.

        Raises BrokenPicture, OutOfMemory.
        """
        yield Step(f"Opening the networks of {kind.name}", 0.17)
        width, height = wish.size
        what = f"{len(wish.seeds)} samples of {width}×{height} on {kind.name} do not fit"
        less = "a smaller width and height, or fewer num_samples"
        seen = glimpses(wish.steps, xl=kind.xl, checked=self._instruments.safety)
        telling = Telling("Step", wish.steps, (0.2, 0.9), seen)

        def painted(exact: bool) -> Generator[Step, None, list[Pixels]]:
            opened = self._studio.open(kind, base, wish.size, exact=exact, lcm=lcm)
            return telling.of(draw(opened, wish))

        with out_of_memory_told(what, less):
            return (yield from firmly(painted, is_exact=self._studio.is_exact, again=0.2))

    def _alike(
        self, kept: Sequence[Sighting], drawn: Sequence[Pixels]
    ) -> Generator[Step, None, list[float]]:
        """How alike each picture's face and the person's are, -1…1; -1 where there is no face.

        Measured by SFace, which had no part in the drawing.
        """
        detector, sface = self._instruments.detector, self._instruments.recogniser
        person = averaged([sface.embed(each.rgb, each.faces[0]) for each in kept]).embedding
        measured: list[float] = []
        for picture in drawn:
            if measured:  # whoever is cancelled now does not wait for the others
                yield Step(f"Sample {len(measured)} of {len(drawn)} compared", 0.92, "DEBUG")
            faces = detector.detect(picture, 640)
            found = likeness(person, sface.embed(picture, faces[0])) if faces else -1.0
            measured.append(round(found, 4))
        return measured

    def _answer(
        self,
        input: IpAdapterFaceIdInput,
        drawn: Sequence[tuple[int, Pixels, float]],
        pictures: Pictures,
    ) -> Generator[Step, None, IpAdapterFaceIdOutput]:
        similarities = [alike for _, _, alike in drawn]
        chosen = similarities.index(max(similarities))
        yield Step(f"Likeness to the photo: {similarities[chosen]:.2f}, sample {chosen + 1}", 0.95)
        images: dict[int, Image] = {}
        for number in range(len(drawn)) if input.return_samples else (chosen,):
            if images:
                yield Step(f"Sample {len(images)} of {len(drawn)} kept", 0.97, "DEBUG")
            images[number] = yield from self._handed_over(drawn[number][1], pictures)
        extras: dict[str, object] = {}
        if input.return_samples:
            extras["samples"] = [
                Sample(image=images[number], seed=seed, similarity=alike)
                for number, (seed, _, alike) in enumerate(drawn)
            ]
        if input.return_scores:
            extras["scores"] = Scores(
                similarity=similarities[chosen], samples=similarities, recogniser="SFace"
            )
        return IpAdapterFaceIdOutput(image=images[chosen], seed=drawn[0][0]).model_copy(
            update=extras
        )

    def _handed_over(self, picture: Pixels, pictures: Pictures) -> Generator[Step, None, Image]:
        if (yield from unsafe([picture], self._safety, self._instruments)):
            picture = np.zeros_like(picture)
            yield Step("Not safe for work: the picture is black", level="WARN")
        height, width = picture.shape[:2]
        encoded = encode_png(picture, pictures.mark(Source.TRAINED_ALGORITHMIC_MEDIA))
        return pictures.publish(encoded, width=width, height=height, format="png")


def _base(input: IpAdapterFaceIdInput, kind: ModelType) -> str:
    return input.base_sdxl_model_repo if kind.xl else input.base_1_5_model_repo


def _wish(input: IpAdapterFaceIdInput, sighting: Sighting, identity: Identity, seed: int) -> Wish:
    """The request in the denoiser's words; sample i has the seed after sample i - 1's."""
    fast = input.x_fast or AS_USUAL
    lcm = fast.lcm_steps is not None
    return Wish(
        prompt=input.prompt,
        negative_prompt=input.negative_prompt,
        face=identity.embedding,
        crop=align(sighting.rgb, sighting.faces[0], CROP),
        guidance=fast.lcm_guidance if lcm else input.guidance_scale,
        steps=fast.lcm_steps or input.num_inference_steps,
        size=(_in_grid(input.width), _in_grid(input.height)),
        seeds=tuple((seed + number) % (MAX_SEED + 1) for number in range(input.num_samples)),
        interval=fast.interval,
    )


def _fast_told(wish: Wish, fast: FewSteps) -> Generator[Step]:
    """What of the request is drawn faster, and what is therefore not read."""
    if fast.lcm_steps is not None:
        said = f"{fast.lcm_steps} steps with guidance of {fast.lcm_guidance:g}"
        unread = "num_inference_steps and guidance_scale are not read"
        yield Step(f"x_fast: drawn by LCM in {said}; {unread}", 0.17)
    if wish.interval is not None:
        scheduler = ddim if fast.lcm_steps is None else few_steps
        levels = noise_levels(scheduler, wish.steps)
        yield guidance_told(wish.interval, wish.guidance, levels)


def _in_grid(side: int) -> int:
    return max(GRID, round(side / GRID) * GRID)


def open_engine(workshop: Workshop) -> DiffusionFaceId:
    """The engine of a worker, whose process it takes for itself."""
    box = set_up(workshop)
    return DiffusionFaceId(
        Studio(box.holdings, box.machine, workshop.threads, box.denoiser),
        box.safety,
        box.instruments,
        workshop.limits,
        share_caches=workshop.share_caches,
    )
