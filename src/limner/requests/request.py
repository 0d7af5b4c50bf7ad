"""What a request is, from the moment it is accepted until it is forgotten.

Knows how a file's URL names it; knows nothing of HTTP, SQL or engines.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

from limner.files.store import named_by


class Status(StrEnum):
    """Where a request stands. There is no fourth: failure and cancellation are outcomes."""

    QUEUED = "queued"  #: Waits for a worker.
    RUNNING = "running"  #: A worker holds a lease on it.
    DONE = "done"  #: It has its one outcome.


class Priority(StrEnum):
    """fal's classes: every normal request goes before any low one of the same endpoint."""

    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one end of a request: what the result URL answers, word for word."""

    #: HTTP status of the result: 200, or the error's.
    http_status: int
    #: The JSON body of the result.
    body: Any
    #: Response headers that belong to the outcome (``x-fal-retryable`` …).
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    #: One line for the status answer; None when all went well.
    error: str | None = None
    #: fal's platform error type, e.g. ``client_cancelled``; None for a model's own errors.
    error_type: str | None = None
    #: Names in the file store of the pictures made.
    files: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Did the model return a result?"""
        return 200 <= self.http_status < 300

    @property
    def fault(self) -> str | None:
        """fal's type of the first error that the body tells, e.g. ``face_detection_error``."""
        match self.body:
            case {"detail": [{"type": str() as fault}, *_]} if not self.ok:
                return fault
            case _:
                return None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a request's log, or a bare mark of progress."""

    #: Grows within a request; a reader asks for the lines after the last one it saw.
    seq: int
    at: datetime
    level: str
    message: str
    #: Share of the work done, 0…1, as far as known when the line was written.
    progress: float | None


@dataclass(frozen=True, slots=True)
class Submission:
    """What the server hands to the ledger: everything the caller said, already validated."""

    #: fal's endpoint id, ``owner/alias``.
    endpoint: str
    #: The JSON input as the endpoint's model accepted it.
    input: Mapping[str, Any]
    #: Path below the endpoint that was called; empty for the endpoint itself.
    path: str = ""
    #: Public part of the key that submitted; empty when none was needed.
    key_id: str = ""
    priority: Priority = Priority.NORMAL
    #: Where to send the outcome; None for nowhere.
    webhook_url: str | None = None
    #: The request must have been claimed by then (unix seconds), or it ends with 504.
    start_by: float | None = None
    #: The caller wants no second attempt after a lost worker (``x-fal-no-retry``).
    no_retry: bool = False
    #: Keep input and output payloads after the outcome was fetched (``X-Fal-Store-IO``).
    store_io: bool = True
    #: Seconds after which generated files go; None for the operator's retention.
    file_lifetime: float | None = None
    #: Address under which the caller can fetch files, without a trailing slash (files/seals.py).
    files_base: str = ""
    #: What its worker had better have in memory: the caller's runner hint, or the weights it
    #: needs; None for nothing in particular.
    hint: str | None = None
    #: A retried submit with the same key is the same request.
    idempotency_key: str | None = None
    #: W3C traceparent of the span in which it was taken in; None where nobody traces.
    trace: str | None = None

    @property
    def files_given(self) -> tuple[str, ...]:
        """Names of the files of this server that the input names, each once."""
        names = (named_by(text) for text in _texts(self.input))
        return tuple(dict.fromkeys(name for name in names if name is not None))


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the ledger keeps it, at one instant."""

    id: str
    submission: Submission
    created_at: float
    status: Status = Status.QUEUED
    #: How often a worker has taken it up; also the fence: only the current attempt may end it.
    attempt: int = 0
    cancel_requested: bool = False
    #: Share of the work done, 0…1.
    progress: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    #: Which engine drew it; None before a worker said so.
    engine: str | None = None
    outcome: Outcome | None = None
    #: Is the input still kept? It is let go with the outcome where the caller wants nothing stored.
    has_input: bool = True
    #: The latest small WebP of what a running request draws; None where there is none.
    preview: bytes | None = field(default=None, repr=False)

    @property
    def inference_time(self) -> float | None:
        """Seconds between the last claim and the outcome; None while there is none."""
        if self.started_at is None or self.finished_at is None:
            return None
        # The clock may have been set back in between.
        return max(0.0, self.finished_at - self.started_at)


def new_id() -> str:
    """A fresh UUIDv7 (RFC 9562): sorts by time, and 74 random bits cannot be guessed."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def as_datetime(unix_seconds: float) -> datetime:
    """Unix seconds as an aware UTC datetime."""
    return datetime.fromtimestamp(unix_seconds, UTC)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in cast("Mapping[str, Any]", value).values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _texts(inner)
