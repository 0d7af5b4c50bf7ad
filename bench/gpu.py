"""Default requests at full size on random weights, alone and in a stream: ``python -m bench.gpu``.

Both endpoints', and SDXL's portrait at 1024² in 20 steps. Alone each is drawn twice, and the first
warms up; in a stream several threads ask for one after the other, as a worker's slots do.

Nothing is downloaded: the networks have the published shapes and no knowledge, so what is told is
speed, memory and whether a number broke, and nothing of how a picture looks. Faces are noise too,
and everything before and after the diffusion engine is left out. ``--tiny`` is the same with small
networks, for a machine without a GPU. Knows the engine's own loop; builds what it would load.
"""

# torch's and diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import argparse
import itertools
import logging
import math
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.diffusion import tiny, tiny_adapters
from transformers import CLIPTokenizer

from bench.published import on_meta, with_noise
from limner.diffusion import faceid, plan, sticker
from limner.diffusion.adapter import Adapter
from limner.diffusion.clip_image import ClipVision
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.load import Base
from limner.diffusion.machine import Machine, forget, memory_of, name_of, this_machine
from limner.diffusion.sniff import sniff_adapter
from limner.diffusion.text import TextEncoder
from limner.diffusion.weights import MODEL_TYPES
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput
from limner.endpoints.ip_adapter_face_id.schema import IpAdapterFaceIdInput
from limner.errors import BrokenPicture

RANDOM = np.random.default_rng(0)
KINDS = {False: MODEL_TYPES["1_5-v1"], True: MODEL_TYPES["SDXL-v1"]}
#: A stream: so many at once, and so many of each.
AT_ONCE, EACH = 4, 3
PROMPT = "a person by the sea"


@dataclass(frozen=True)
class Measured:
    """One drawing. ``step``: median seconds of a step but the first; ``broken``: numbers did."""

    total: float
    step: float
    broken: bool


class Workbench:
    """Builds what the studios would load."""

    def __init__(self, machine: Machine, small: bool, tokenizer: CLIPTokenizer) -> None:
        self._machine = machine
        self._small = small
        self._tokenizer = tokenizer

    def base(self, *, xl: bool) -> Base:
        """A base without adapters."""
        skip = {"skip_last": xl}
        encoders = [TextEncoder(self._tokenizer, self.network("clip-l"), **skip)]
        if xl:
            encoders.append(TextEncoder(self._tokenizer, self.network("clip-g"), **skip))
        unet = self.network("unet-sdxl" if xl else "unet-sd15")
        vae = with_noise(on_meta("vae", small=self._small), self._machine.device, self._vae_dtype)
        vae.register_to_config(scaling_factor=0.13025 if xl else 0.18215)
        return Base(unet, vae, tuple(encoders))

    def network(self, name: str) -> Any:
        """A network where it lies until it is used."""
        machine = self._machine
        return with_noise(on_meta(name, small=self._small), machine.rest, machine.dtype)

    def face_id(self, *, xl: bool) -> faceid.FaceId:
        """ip-adapter-face-id's default model type, or SDXL's."""
        base = self.base(xl=xl)
        width = int(base.unet.config.cross_attention_dim)
        parts = tiny_adapters.faceid_projection(width, plus=False), self._keys(base.unet, lora=True)
        return faceid.join(KINDS[xl], self._machine, base, _adapter(*parts), None, Denoiser())

    def sticker(self) -> sticker.Sticker:
        """face-to-sticker's networks; the sticker LoRA, once fused, takes and costs nothing."""
        base = self.base(xl=True)
        clip = ClipVision(self.network("clip-vision"))
        seen = int(clip.model.config.hidden_size)
        width = int(base.unet.config.cross_attention_dim)
        inside = 64 if self._small else 1280
        identity, look = (
            _adapter(_resampler(reads, inside, width), self._keys(base.unet, lora=False))
            for reads in (512, seen)
        )
        control = self.network("controlnet-sdxl")
        controls = control, None
        return sticker.join(self._machine, base, (identity, look), clip, controls, Denoiser())

    def _keys(self, unet: Any, *, lora: bool) -> dict[str, torch.Tensor]:
        tensors = tiny_adapters.attention_tensors(unet, lora=lora)
        return {name: 0.2 * tensor for name, tensor in tensors.items()}

    @property
    def _vae_dtype(self) -> torch.dtype:
        half = self._machine.dtype == torch.float16
        return torch.float32 if half else self._machine.dtype


def _adapter(image_proj: dict[str, torch.Tensor], keys: dict[str, torch.Tensor]) -> Adapter:
    shapes = [{name: tuple(t.shape) for name, t in part.items()} for part in (image_proj, keys)]
    return Adapter(sniff_adapter(*shapes), image_proj, keys)


def _resampler(reads: int, inside: int, out: int) -> dict[str, torch.Tensor]:
    tensors = {"latents": torch.randn(1, 16, inside) / inside**0.5}
    tiny_adapters.perceiver(tensors, "", (reads, inside, out))
    return tensors


def face_id_wish(small: bool) -> faceid.Wish:
    """The endpoint's defaults, but for whose face it is."""
    usual = IpAdapterFaceIdInput.model_validate({"prompt": PROMPT, "face_image_url": "x"})
    return faceid.Wish(
        prompt=usual.prompt,
        negative_prompt=usual.negative_prompt,
        face=_face(),
        crop=_noise(224, 224),
        guidance=usual.guidance_scale,
        steps=3 if small else usual.num_inference_steps,
        size=(64, 64) if small else (usual.width, usual.height),
        seeds=tuple(range(usual.num_samples)),
    )


def sticker_wish(small: bool) -> sticker.StickerWish:
    """The endpoint's defaults, but for whose face it is."""
    usual = FaceToStickerInput.model_validate({"prompt": PROMPT, "image_url": "x"})
    side = 64 if small else 1024
    return sticker.StickerWish(
        prompt=usual.prompt,
        negative_prompt=usual.negative_prompt,
        face=20 * _face(),
        crop=_noise(224, 224),
        points=_noise(side, side),
        guidance=usual.guidance_scale,
        steps=3 if small else usual.num_inference_steps,
        size=(side, side),
        seed=1,
        instant_id_strength=usual.instant_id_strength,
        ip_adapter_weight=usual.ip_adapter_weight,
        ip_adapter_noise=usual.ip_adapter_noise,
    )


def _face() -> Any:
    face = RANDOM.normal(size=512)
    return (face / np.linalg.norm(face)).astype(np.float32)


def _noise(height: int, width: int) -> Any:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


def measured(work: Generator[object, None, object]) -> Measured:
    """Draw once and look at the clock after every step."""
    began = time.perf_counter()
    at: list[float] = []
    broken = False
    try:
        while True:
            next(work)
            at.append(time.perf_counter())
    except StopIteration:
        pass
    except BrokenPicture:
        broken = True
    steps = [later - earlier for earlier, later in itertools.pairwise(at)]
    return Measured(time.perf_counter() - began, statistics.median(steps or [0.0]), broken)


def peak(device: torch.device) -> int:
    """Most bytes that were taken: of the GPU by torch, or of the host by this process.

    What torch keeps is counted in: a recorded call's memory is never given back.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def streamed(draw: Callable[[], Generator[object, None, object]], each: int) -> float:
    """Requests a second when several are always asked for, ``each`` times."""

    def ask() -> None:
        for _ in range(each):
            measured(draw())

    threads = [threading.Thread(target=ask) for _ in range(AT_ONCE)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return AT_ONCE * each / (time.perf_counter() - began)


@dataclass(frozen=True)
class Case:
    """A row of the table: what is opened, and how one request of it is drawn."""

    name: str
    parts: plan.Parts
    wish: Any
    opened: Callable[[Workbench], Any]
    draw: Callable[[Any, Any], Generator[object, None, object]]


def cases(here: Machine, small: bool) -> list[Case]:
    """What matters most first."""
    portrait, sticker_parts = face_id_wish(small), plan.sticker_parts()
    large = replace(portrait, seeds=(1,))
    if not small:
        large = replace(large, steps=20, size=(1024, 1024))
    parts = [plan.face_id_parts(KINDS[xl], here.samples_at_once(xl=xl)) for xl in (False, True)]
    return [
        Case("ip-adapter-face-id", parts[0], portrait, lambda b: b.face_id(xl=False), faceid.draw),
        Case(
            "face-to-sticker", sticker_parts, sticker_wish(small), Workbench.sticker, sticker.draw
        ),
        Case("SDXL-v1, 1 sample", parts[1], large, lambda b: b.face_id(xl=True), faceid.draw),
    ]


def report(case: Case, here: Machine, small: bool, tokenizer: CLIPTokenizer) -> None:
    """Build, draw, and print a row of the table."""
    told = case.parts, math.prod(case.wish.size), memory_of(here.device)
    predicted, machine = here.plan(*told), here.planned(*told)
    bench = Workbench(machine, small, tokenizer)
    began = time.perf_counter()
    if machine.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    opened, wish = case.opened(bench), case.wish
    built = time.perf_counter() - began
    first, second = measured(case.draw(opened, wish)), measured(case.draw(opened, wish))
    alone = peak(machine.device)
    stream = streamed(lambda: case.draw(opened, wish), 1 if small else EACH)
    broke = "yes" if first.broken or second.broken else "none"
    size = f"{wish.size[0]}×{wish.size[1]}, {wish.steps} steps"
    print(
        f"| {case.name} | {size} | {built:.1f} | {first.total:.2f} | {second.total:.2f} |"
        f" {second.step * 1000:.1f} | {stream:.2f} | {alone / 1e9:.2f} |"
        f" {'-' if small else f'{predicted.peak / 1e9:.2f}'} | {machine.offload} | {broke} |",
        flush=True,
    )


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    said = argparse.ArgumentParser(
        prog="python -m bench.gpu", description="Default requests at full size."
    )
    said.add_argument("--tiny", action="store_true", help="small networks and pictures")
    return said


def main() -> None:
    """All cases, one after the other."""
    small = parser().parse_args().tiny
    torch.manual_seed(0)
    for library in ("diffusers", "transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    here = this_machine(compile=True)
    print(f"{name_of(here.device)}, {here.dtype}, torch {torch.__version__}\n")
    print(
        f"| request | size | built, s | first, s | second, s | step, ms | a second, {AT_ONCE} at"
        " once | peak alone, GB | predicted, GB | networks | broken numbers |"
    )
    print("|" + 11 * "---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="limner-bench-") as folder:
        tiny.write_tokenizer(Path(folder) / "tokenizer", pad="!")
        tokenizer = CLIPTokenizer.from_pretrained(Path(folder) / "tokenizer")
        for case in cases(here, small):
            report(case, here, small, tokenizer)
            forget()


if __name__ == "__main__":
    main()
