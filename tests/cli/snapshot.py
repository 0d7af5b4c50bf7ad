"""``limner/snapshot``: an endpoint that answers with the very bytes it was given.

A stand-in for an engine, named as one: it lets a test of ``limner run`` stop, fail and count.
``python -m tests.cli.snapshot WORD…`` is ``limner run snapshot WORD… -o $OUT``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

from pydantic import Field

from limner.cli.run import Wishes, run
from limner.endpoints.base import Endpoint, Pictures, Step, Workshop
from limner.endpoints.fields import FalModel, Image, ImageSizeInput
from limner.errors import FaceNotFound, NetworkMissing, blame


class SnapshotInput(FalModel):
    """What to answer with."""

    photo_url: str
    caption: str = ""
    times: int = Field(1, ge=1, le=9)
    scale: float | None = None
    loud: bool = False
    size: ImageSizeInput = "square"
    places: list[str] | None = None
    journal: str | None = Field(None, description="A file that gets a line per drawing.")


class SnapshotOutput(FalModel):
    """What was given."""

    images: list[Image]
    print_image: Image
    seed: int
    said: dict[str, object]


class Snapshot:
    """The engine."""

    def draw(
        self, input: SnapshotInput, pictures: Pictures
    ) -> Generator[Step, None, SnapshotOutput]:
        with blame("photo_url"):
            content = pictures.read(input.photo_url)
            if content == b"nobody":
                raise FaceNotFound("There is no face in it. Take another photo.")
        if input.journal is not None:
            with Path(input.journal).open("a") as journal:
                journal.write(f"{input.caption}\n")
        yield Step("Halfway", 0.5)
        if input.caption == "interrupt":
            raise KeyboardInterrupt
        if input.caption == "broken":
            raise RuntimeError("the caption was: a secret")
        if input.caption == "no network":
            raise NetworkMissing("The network is missing; `limner pull sketch`")
        yield Step("Something is odd", 0.8, "WARN")
        image = pictures.publish(content, width=2, height=1)
        said = input.model_dump(mode="json", exclude={"photo_url", "journal"}, exclude_unset=True)
        return SnapshotOutput(images=[image], print_image=image, seed=7, said=said)


def open_engine(_: Workshop) -> Snapshot:
    """The engine for a run."""
    return Snapshot()


SNAPSHOT = Endpoint(
    id="limner/snapshot",
    title="Snapshot",
    category="test",
    description="Answers with what it was given.",
    input=SnapshotInput,
    output=SnapshotOutput,
    engines={"sketch": "tests.cli.snapshot:open_engine"},
)

if __name__ == "__main__":
    out = Path(os.environ["OUT"])
    sys.exit(run("snapshot", sys.argv[1:], Wishes(out), (SNAPSHOT,)))
