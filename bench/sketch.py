"""Where a picture's time goes on the sketch engine, stage by stage: ``python -m bench.sketch``.

With arguments only the jobs with one of them in their name. Engines are called as a worker calls
them, without server and queue, warm, one request at a time. Of several runs the fastest is told: a
shared machine only ever adds. Knows the endpoints' inputs; the stages are in :mod:`bench.stages`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.conftest import ROOT

from bench.memory import photo
from bench.stages import REST, Stopwatch, watched
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint, Workshop
from limner.endpoints.fields import Image
from limner.stages.provenance import Source

RUNS = 5
FACE = "03_obama_frontal_dark_skin.jpg"
PHONE = "a phone's photo"

#: Endpoint → what is asked of it. An endpoint that is not built is passed over.
JOBS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "fal-ai/face-to-sticker": {
        "sticker": {"image_url": FACE},
        "sticker, 12 MP": {"image_url": PHONE},
        "sticker, ink": {"image_url": FACE, "prompt": "ink"},
        "sticker, upscale": {"image_url": FACE, "upscale": True},
    },
    "fal-ai/ip-adapter-face-id": {
        "face-id, 4 samples": {"face_image_url": FACE, "num_samples": 4},
        "face-id, 1 sample": {"face_image_url": FACE, "num_samples": 1},
    },
}


@dataclass
class Album:
    """Pictures in memory: what fetching and storing cost is bench.river's to tell."""

    photos: Mapping[str, bytes]
    kept: list[bytes] = field(default_factory=list[bytes])
    caller: str = ""

    def mark(self, source: Source) -> Source | None:
        return source

    def read(self, url: str) -> bytes:
        return self.photos[url]

    def publish(self, encoded: bytes, *, width: int, height: int, format: str = "PNG") -> Image:
        return self.publish_file(
            encoded, file_name="", content_type=f"image/{format}", size=(width, height)
        )

    def publish_file(
        self, content: bytes, *, file_name: str, content_type: str, size: tuple[int, int]
    ) -> Image:
        self.kept.append(content)
        return Image(
            url="kept",
            content_type=content_type,
            file_name=file_name or None,
            file_size=len(content),
            width=size[0],
            height=size[1],
        )


@dataclass(frozen=True)
class Told:
    """The fastest run of a job: seconds in all, of all cores, and by stage."""

    name: str
    seconds: float
    cpu: float
    stages: Mapping[str, float]


def open_sketch(endpoint: Endpoint, networks: Path) -> Any:
    """The endpoint's sketch engine, from networks that are there."""
    module, _, function = endpoint.engines["sketch"].partition(":")
    open_engine = getattr(importlib.import_module(module), function)
    return open_engine(Workshop(networks, may_fetch=False))


def run(engine: Any, endpoint: Endpoint, asked: Mapping[str, Any], album: Album) -> None:
    """One request to its end."""
    for _ in engine.draw(endpoint.input.model_validate({"prompt": "a person", **asked}), album):
        pass


def measure(engine: Any, endpoint: Endpoint, name: str, album: Album) -> Told:
    """A job's fastest run, after one that warms up."""
    asked = {"seed": 7, **JOBS[endpoint.id][name]}
    run(engine, endpoint, asked, album)
    runs: list[Told] = []
    for _ in range(RUNS):
        with watched() as watch:
            began, cpu = time.perf_counter(), time.process_time()
            run(engine, endpoint, asked, album)
            taken, burnt = time.perf_counter() - began, time.process_time() - cpu
        runs.append(Told(name, taken, burnt, _by_stage(watch, taken)))
    return min(runs, key=lambda told: told.seconds)


def _by_stage(watch: Stopwatch, taken: float) -> Mapping[str, float]:
    return {**watch.seconds, REST: taken - sum(watch.seconds.values())}


def table(told: list[Told]) -> Table:
    """A row a stage, a column a job: milliseconds, and the share of the job."""
    shown = Table(title=f"The sketch engine, warm, fastest of {RUNS} runs", title_justify="left")
    shown.add_column("ms (share)")
    for one in told:
        shown.add_column(one.name, justify="right")
    for stage in told[0].stages:
        cells = [(one.stages[stage], one.stages[stage] / one.seconds) for one in told]
        if any(share > 0.001 for _, share in cells):
            shown.add_row(
                stage,
                *(f"{1e3 * s:.0f} ({share:.0%})" if s > 0.0005 else "" for s, share in cells),
            )
    shown.add_section()
    shown.add_row("in all", *(f"{1e3 * one.seconds:.0f}" for one in told))
    shown.add_row("CPU, both cores", *(f"{1e3 * one.cpu:.0f}" for one in told))
    return shown


def main() -> None:
    """Every job of every endpoint that has a sketch engine."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("words", nargs="*", default=[""], help="only jobs with one of them")
    wanted: list[str] = parser.parse_args().words
    home = Path(os.environ.get("LIMNER_HOME", ROOT / ".limner"))
    photos = {FACE: (ROOT / "tests" / "faces" / FACE).read_bytes(), PHONE: photo(FACE)}
    console = Console(width=120)
    for endpoint in ENDPOINTS:
        if endpoint.id not in JOBS or "sketch" not in endpoint.engines:
            continue
        engine = open_sketch(endpoint, home / "networks")
        jobs = [name for name in JOBS[endpoint.id] if any(word in name for word in wanted)]
        told = [measure(engine, endpoint, name, Album(photos)) for name in jobs]
        if told:
            console.print(table(told))
    console.print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
