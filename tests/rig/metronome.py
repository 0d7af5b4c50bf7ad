"""``limner/metronome``: an endpoint that draws nothing, step by step, as slowly as a test wants.

A stand-in for an engine, named as one: it lets a test stop, kill and cancel at a known step.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

from pydantic import Field

from limner.endpoints.base import Endpoint, Pictures, Step, Workshop
from limner.endpoints.fields import FalModel, Image
from limner.errors import FaceNotFound, blame


class MetronomeInput(FalModel):
    """How long to go on, and how to end."""

    steps: int = Field(3, ge=0, le=10_000)
    pause: float = Field(0.0, ge=0, description="Seconds between steps.")
    ending: str = Field("well", description="well, badly (our fault), no face, die")
    picture: str | None = Field(None, description="A URL to read before the first step.")
    previews: bool = Field(False, description="Give every step a preview of its own.")
    journal: str | None = Field(None, description="A file that gets a line per step.")
    stamp: int | None = Field(None, description="A number to put into the picture.")


class MetronomeOutput(FalModel):
    """What was done."""

    steps: int
    read: int
    image: Image


class Metronome:
    """The engine."""

    def draw(
        self, input: MetronomeInput, pictures: Pictures
    ) -> Generator[Step, None, MetronomeOutput]:
        read = 0
        if input.picture is not None:
            with blame("picture"):
                read = len(pictures.read(input.picture))
        for number in range(input.steps):
            if input.journal is not None:
                with Path(input.journal).open("a") as journal:
                    journal.write(f"{number}\n")
            seen = b"%d ticks" % (number + 1) if input.previews else None
            yield Step(
                f"step {number + 1} of {input.steps}", (number + 1) / input.steps, preview=seen
            )
            time.sleep(input.pause)
        if input.ending == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if input.ending == "badly":
            raise RuntimeError("the prompt was: a secret")
        if input.ending == "no face":
            with blame("picture"):
                raise FaceNotFound("Could not detect face in the image")
        drawn = b"not really a picture"
        if input.stamp is not None:
            # With the process that drew it: whoever finds the picture knows whom to ask.
            drawn = b"picture of %d by %d" % (input.stamp, os.getpid())
        image = pictures.publish(drawn, width=2, height=1)
        return MetronomeOutput(steps=input.steps, read=read, image=image)


def open_engine(_: Workshop) -> Metronome:
    """The engine for a worker."""
    return Metronome()


METRONOME = Endpoint(
    id="limner/metronome",
    title="Metronome",
    category="test",
    description="Counts its steps.",
    input=MetronomeInput,
    output=MetronomeOutput,
    engines={"sketch": "tests.rig.metronome:open_engine"},
)
