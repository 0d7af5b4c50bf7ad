"""``limner run``: requests drawn in this process, without server or ledger, into a folder.

The same engines, validation, limits and errors as behind a server (``limner.worker``). A batch has
a journal, so that the same command goes on where it was interrupted; one request that fails stops
no other. Knows the settings; knows no HTTP and no queue.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from limner.cli.asked import Asked, asked_for
from limner.cli.house import picture_signer, set_up_logging, workshop
from limner.cli.journal import Entry, Journal, keys
from limner.cli.out_folder import DrawingPictures, OutFolder, photo_reader
from limner.cli.progress import Telling
from limner.cli.shell import ExitCode, spelled
from limner.cli.words import Fields
from limner.endpoints import ENDPOINTS
from limner.endpoints.accept import accept
from limner.endpoints.base import Endpoint
from limner.errors import (
    OUR_FAULT,
    CallersFault,
    EngineUnavailable,
    Misconfigured,
    NetworkMissing,
    NetworkUnfit,
    whereabouts,
)
from limner.settings import Settings
from limner.stages.fetch import Door
from limner.suggest import did_you_mean
from limner.worker.draw import drawing
from limner.worker.engines import Engines

#: With these no other request would go better.
HOPELESS = (EngineUnavailable, NetworkMissing, NetworkUnfit)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says beside the words."""

    #: None: here, which several requests are not put into, among the photos they are drawn from.
    out: Path | None = None
    batch: Path | None = None
    as_json: bool = False
    #: Draw also what the journal says is drawn.
    again: bool = False


def find_endpoint(name: str, endpoints: Sequence[Endpoint] = ENDPOINTS) -> Endpoint:
    """By its id or the part behind the slash. Raises Misconfigured."""
    for endpoint in endpoints:
        if name in (endpoint.id, endpoint.alias):
            return endpoint
    aliases = [endpoint.alias for endpoint in endpoints]
    hint = did_you_mean(name.rpartition("/")[2], aliases) or f" There are {', '.join(aliases)}."
    raise Misconfigured(f"There is no endpoint {name}.{hint}")


def run(
    name: str, words: Sequence[str], wishes: Wishes, endpoints: Sequence[Endpoint] = ENDPOINTS
) -> ExitCode:
    """Draw what is asked for. Raises Misconfigured, CallersFault, OurFault before anything is."""
    settings = Settings()
    set_up_logging(settings)
    endpoint = find_endpoint(name, endpoints)
    out = wishes.out or Path()
    if out.is_file() or out.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        raise Misconfigured(f"--out {out} must be a folder; the pictures are named for you")
    asked = asked_for(words, wishes.batch, Fields(endpoint))
    easel = Easel(settings, endpoint, endpoints, wishes)
    if len(asked) == 1 and wishes.batch is None:
        return easel.draw_one(asked[0])
    if wishes.out is None:
        raise Misconfigured(f"{len(asked)} requests want a folder of their own: add -o out/")
    return easel.draw_all(asked)


class Easel:
    """One endpoint's engine and one folder: draws request after request."""

    def __init__(
        self,
        settings: Settings,
        endpoint: Endpoint,
        endpoints: Sequence[Endpoint],
        wishes: Wishes,
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._wishes = wishes
        self._engines = Engines(endpoints, settings.engine, workshop(settings))
        self._out = OutFolder(wishes.out or Path())
        self._sign = picture_signer(settings)
        #: Of several requests; one alone has none.
        self._journal: Journal | None = None

    def draw_one(self, asked: Asked) -> ExitCode:
        """A single request: its answer, or its fault as a server would tell it."""
        with Telling(1) as telling:
            return self._drawn(asked, telling, key="")

    def draw_all(self, asked: list[Asked]) -> ExitCode:
        """Every request that is not drawn yet; the worst code of all."""
        self._journal = journal = Journal(self._out.path)
        known = keys(asked, self._endpoint.id)
        done, worst = 0, ExitCode.WELL
        try:
            with Telling(len(asked)) as telling:
                for one, key in zip(asked, known, strict=True):
                    entry = None if self._wishes.again else journal.done(key)
                    if entry is None:
                        code = self._drawn(one, telling, key)
                    else:
                        code = ExitCode.WELL
                        with telling.aside():
                            self._print(one, entry["answer"], resumed=True)
                    done += code is ExitCode.WELL
                    worst = max(worst, code)
                    telling.end()
        except KeyboardInterrupt:
            self._tell(f"{done} of {len(asked)} are drawn; the same command goes on with the rest")
            raise
        self._tell(f"{done} of {len(asked)} are drawn")
        return worst

    def _drawn(self, asked: Asked, telling: Telling, key: str) -> ExitCode:
        """Draw one request and print it, once the journal knows; how it ended."""
        telling.begin(self._label(asked))
        began = time.monotonic()
        try:
            answer, files = self._draw(asked, telling)
        except HOPELESS:
            raise
        except CallersFault as fault:
            self._refuse(asked, fault.answer().body, spelled(fault), telling)
            return ExitCode.CALLER
        except Exception as fault:  # noqa: BLE001 - the boundary that reports
            told = f"the drawing failed, and not by your fault ({whereabouts(fault)})"
            self._refuse(asked, OUR_FAULT.body, told, telling)
            return ExitCode.OURS
        if self._journal is not None:
            # Before anybody is told: what was told once is never drawn again.
            self._journal.write(Entry(key=key, row=asked.number, answer=answer, files=files))
        with telling.aside():
            self._print(asked, answer)
        telling.say(self._summary(asked, answer, time.monotonic() - began))
        return ExitCode.WELL

    def _draw(self, asked: Asked, telling: Telling) -> tuple[dict[str, Any], list[str]]:
        if asked.fault is not None:
            raise asked.fault
        settings = self._settings
        # Before an engine is opened, which takes seconds: nobody waits for "Field required".
        accept(self._endpoint.input, asked.input, strict=settings.strict)
        door = Door(
            allow_private=settings.allow_private_urls,
            max_bytes=settings.max_download_bytes,
            timeout=settings.download_timeout,
            own_file=photo_reader(asked.photos),
        )
        pictures = DrawingPictures(door, marked=settings.ai_mark, sign=self._sign)
        opened = self._engines.engine(self._endpoint.id)
        steps = drawing(self._endpoint, opened, asked.input, pictures, strict=settings.strict)
        try:
            while True:
                telling.step(next(steps))
        except StopIteration as end:
            answer: dict[str, Any] = end.value
        finally:
            steps.close()
        stem = Path(asked.name).stem or f"{self._endpoint.alias}-{asked.number}"
        return answer, self._out.save(answer, pictures.kept, stem)

    def _label(self, asked: Asked) -> str:
        if self._wishes.batch is None:
            return asked.name or self._endpoint.alias
        return f"row {asked.number} ({asked.name})" if asked.name else f"row {asked.number}"

    def _summary(self, asked: Asked, answer: dict[str, Any], seconds: float) -> str:
        engine = self._engines.engine(self._endpoint.id).name
        seed = f", seed {answer['seed']}" if "seed" in answer else ""
        return f"{self._label(asked)}: drawn by the {engine} engine in {seconds:.1f} s{seed}"

    def _print(self, asked: Asked, answer: dict[str, Any], *, resumed: bool = False) -> None:
        """The answer on standard output: its files' paths, or all of it as JSON."""
        if not self._wishes.as_json:
            for name in self._out.names(answer):
                typer.echo(str(self._out.path / name))
            return
        told = self._out.addressed(answer)
        if self._journal is not None:
            told = {"row": asked.number, "resumed": resumed, "answer": told}
        typer.echo(json.dumps(told, ensure_ascii=False))

    def _refuse(self, asked: Asked, body: Any, told: str, telling: Telling) -> None:
        """A fault, for people on standard error and for programs as fal words it."""
        label = f"{self._label(asked)}: " if self._journal is not None else ""
        telling.say("\n".join(f"{label}{line}" for line in told.splitlines()))
        if self._wishes.as_json:
            told_as = {"row": asked.number, "error": body} if self._journal is not None else body
            with telling.aside():
                typer.echo(json.dumps(told_as, ensure_ascii=False))

    def _tell(self, text: str) -> None:
        typer.echo(f"limner: {text}", err=True)
