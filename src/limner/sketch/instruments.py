"""Everything the sketch engine works with, each opened once, when it is first needed.

Knows which network does what; knows no request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from limner.sketch.networks import ensure, locate
from limner.sketch.stylizer import Stylizer
from limner.sketch.vocabulary import Style
from limner.stages.face import FaceDetector
from limner.stages.likeness import Recogniser
from limner.stages.matte import Matte
from limner.stages.safety import SafetyChecker
from limner.stages.upscale import Upscaler

Instrument = TypeVar("Instrument")

#: Style → the generator that draws it. Toon needs none.
GENERATORS: dict[Style, str] = {
    "ink": "face-stylizer-color-ink",
    "pencil": "face-stylizer-color-sketch",
    "oil": "face-stylizer-oil",
}


def needed(style: Style) -> tuple[str, ...]:
    """The networks that a picture in a style needs and that are not installed with Limner."""
    if style == "toon":
        return ("modnet",)
    return ("modnet", "face-stylizer-encoder", GENERATORS[style], "span-x4")


@dataclass(slots=True)
class _Place:
    """Where one instrument is kept, and the lock under which it is opened."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: Any = None


class Instruments:
    """Opened networks, shared by all requests of a worker. Safe to use from several threads."""

    def __init__(self, home: Path, threads: int, may_fetch: bool, index_url: str | None) -> None:
        """``home`` is ``LIMNER_HOME/networks``; ``threads`` what one call may use."""
        self._home = home
        self._threads = threads
        self._may_fetch = may_fetch
        self._index_url = index_url
        self._places: dict[str, _Place] = {}
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Begin to open what nearly every request needs, all at once, and return.

        Only what lies in ``home`` already: fetching waits until a request asks for it.
        """
        usual: dict[str, Callable[[], object]] = {
            "yunet": lambda: self.detector,
            "sface": lambda: self.recogniser,
            "modnet": lambda: self.matte,
            "open-nsfw": lambda: self.safety,
        }
        pool = ThreadPoolExecutor(len(usual), thread_name_prefix="open")
        for name, opened in usual.items():
            if locate(name, self._home) is not None:
                # What fails here fails again, and is told, when a request needs it.
                pool.submit(opened)
        pool.shutdown(wait=False)

    def fetch(self, names: Sequence[str]) -> Iterator[str]:
        """Fetch what is absent, yielding each name just before. Raises NetworkMissing."""
        for name in names:
            if locate(name, self._home) is None:
                yield name
                self._path(name)

    @property
    def detector(self) -> FaceDetector:
        """YuNet."""
        return self._once("yunet", lambda: FaceDetector(self._path("yunet")))

    @property
    def recogniser(self) -> Recogniser:
        """SFace."""
        return self._once("sface", lambda: Recogniser(self._path("sface")))

    @property
    def matte(self) -> Matte:
        """MODNet."""
        return self._once("modnet", lambda: Matte(self._path("modnet"), self._threads))

    @property
    def safety(self) -> SafetyChecker:
        """open_nsfw."""
        return self._once("open-nsfw", lambda: SafetyChecker(self._threads))

    def upscaler(self, scale: int) -> Upscaler:
        """SPAN for a ``scale`` of 2 or 4."""
        name = f"span-x{scale}"
        return self._once(name, lambda: Upscaler(self._path(name), scale, self._threads))

    @property
    def drawing_upscaler(self) -> Upscaler:
        """Real-ESRGAN's network for drawings, to twice the size."""
        name = "animevideo-x2"
        return self._once(name, lambda: Upscaler(self._path(name), 2, self._threads))

    def stylizer(self, style: Style) -> Stylizer:
        """The encoder and the generator of a style that has one."""

        def opened() -> Stylizer:
            encoder, generator = self._path("face-stylizer-encoder"), self._path(GENERATORS[style])
            return Stylizer(encoder, {style: generator}, self._threads)

        return self._once(GENERATORS[style], opened)

    def _path(self, name: str) -> Path:
        return ensure(name, self._home, may_fetch=self._may_fetch, index_url=self._index_url)

    def _once(self, name: str, opened: Callable[[], Instrument]) -> Instrument:
        with self._lock:
            place = self._places.setdefault(name, _Place())
        with place.lock:
            if place.opened is None:
                place.opened = opened()
            return cast("Instrument", place.opened)


@cache
def open_instruments(
    home: Path, threads: int, may_fetch: bool, index_url: str | None
) -> Instruments:
    """The instruments of a worker: every endpoint that asks alike draws with the same ones.

    Two endpoints would otherwise hold each network twice. Begins to open the usual ones.
    """
    instruments = Instruments(home, threads, may_fetch, index_url)
    instruments.warm_up()
    return instruments
