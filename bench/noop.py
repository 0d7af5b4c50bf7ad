"""``limner/noop``: an endpoint that draws nothing, so that what is left is Limner itself.

``python -m bench.noop serve PORT | work`` is Limner with it alone. Knows the contract of an
endpoint; knows no client.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

from limner.cli.serve import Listen, serve
from limner.cli.work import work
from limner.endpoints.base import Endpoint, Pictures, Step, Workshop
from limner.endpoints.fields import FalModel


class NoopInput(FalModel):
    """What is to be answered."""

    prompt: str = ""


class NoopOutput(FalModel):
    """What was said."""

    prompt: str


class Noop:
    """The engine."""

    def draw(self, input: NoopInput, _: Pictures, /) -> Generator[Step, None, NoopOutput]:
        """No step and no picture."""
        yield from ()
        return NoopOutput(prompt=input.prompt)


def open_engine(_: Workshop) -> Noop:
    """The engine for a worker."""
    return Noop()


NOOP = Endpoint(
    id="limner/noop",
    title="Nothing",
    category="test",
    description="Answers what it was told.",
    input=NoopInput,
    output=NoopOutput,
    engines={"sketch": "bench.noop:open_engine"},
)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(
            Listen("127.0.0.1", int(sys.argv[2])),
            with_workers=True,
            endpoints=(NOOP,),
            worker_command=(sys.executable, "-m", "bench.noop", "work"),
        )
    else:
        work(until_eof=True, endpoints=(NOOP,), warm=False)
