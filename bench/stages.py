"""A stopwatch on the named stages of an engine, without a line in the engines themselves.

While it runs, every function in ``STAGES`` is replaced by one that times it, wherever in Limner
it is known by name. A stage's time is its own: what another stage takes inside it is not counted
twice. Knows where the stages are written; knows nothing of what they do.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

#: Stage → the functions whose time is its; ``module:name`` or ``module:Class.method``.
STAGES: Mapping[str, tuple[str, ...]] = {
    "decode": ("limner.stages.picture:open_picture",),
    "find the face": (
        "limner.stages.face:FaceDetector.find",
        "limner.stages.face:FaceDetector.detect",
    ),
    "recognise": ("limner.stages.likeness:Recogniser.embed",),
    "matte": ("limner.stages.matte:Matte.__call__",),
    "lift": ("limner.stages.lift:lift",),
    "draw": ("limner.sketch.portrait:draw_portrait",),
    "generate": (
        "limner.sketch.stylizer:Stylizer.encode",
        "limner.sketch.stylizer:Stylizer.draw",
    ),
    "die-cut": (
        "limner.stages.sticker:die_cut",
        "limner.stages.sticker:on_background",
        "limner.stages.sticker:cut_out",
    ),
    "enlarge": ("limner.stages.upscale:Upscaler._run", "limner.stages.upscale:refined"),
    "safety": ("limner.stages.safety:SafetyChecker.score",),
    "encode": ("limner.stages.encode:encode_png",),
}
REST = "the rest"


class Stopwatch:
    """Seconds by stage, of one thread."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._inner: list[float] = []

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, whose own time is added to ``stage``."""

        def run(*arguments: Any, **options: Any) -> Any:
            self._inner.append(0.0)
            began = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.perf_counter() - began
                self.seconds[stage] += taken - self._inner.pop()
                if self._inner:
                    self._inner[-1] += taken

        return run


@contextmanager
def watched() -> Generator[Stopwatch]:
    """A stopwatch that runs while the block does, in this thread's calls."""
    watch = Stopwatch()
    undo: list[tuple[Any, str, Any]] = []
    try:
        for stage, targets in STAGES.items():
            for target in targets:
                owner, name = _owner(target)
                plain = getattr(owner, name)
                timed = watch.timed(stage, plain)
                for holder in [owner, *_importers(plain)]:
                    undo.append((holder, name, plain))
                    setattr(holder, name, timed)
        yield watch
    finally:
        for holder, name, plain in undo:
            setattr(holder, name, plain)


def _owner(target: str) -> tuple[Any, str]:
    """The module or class that a target is written in, and its name there."""
    module, _, path = target.partition(":")
    *outer, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for step in outer:
        owner = getattr(owner, step)
    return owner, name


def _importers(function: Any) -> list[Any]:
    """Limner's modules that hold the function under its own name."""
    name = function.__name__
    modules = [module for key, module in sys.modules.items() if key.startswith("limner.")]
    return [module for module in modules if module.__dict__.get(name) is function]
