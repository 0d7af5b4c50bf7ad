"""Every way in which a request can fail, as one tree.

    LimnerError
    ├── CallersFault                what was asked cannot be done as asked
    │   ├── InputProblem            a field of the input; 422 with fal's ``detail`` entries
    │   │   ├── FileDownloadError   file_download_error
    │   │   │   └── DeadEnd         the same, and no time will change it: no such host can be
    │   │   │       └── NotPublic   the same, because the host is not on the public internet
    │   │   ├── FileTooLarge        file_too_large
    │   │   ├── ImageLoadError      image_load_error
    │   │   ├── ImageTooSmall       image_too_small
    │   │   ├── ImageTooLarge       image_too_large
    │   │   ├── UnsupportedImageFormat  unsupported_image_format
    │   │   ├── InvalidArchive      invalid_archive
    │   │   ├── ArchiveTooFewFiles  archive_file_count_below_minimum
    │   │   ├── ArchiveTooManyFiles archive_file_count_exceeds_maximum
    │   │   ├── FaceNotFound        face_detection_error
    │   │   └── FeatureNotSupported feature_not_supported
    │   ├── InvalidInput            several InputProblems at once
    │   └── Refused                 the call itself; a text ``detail`` and an ``error_type``
    ├── OurFault                    the caller did nothing wrong
    │   ├── NetworkMissing          a neural network's file is absent and cannot be fetched
    │   ├── NetworkUnfit            a neural network's file is not what it should be
    │   ├── BrokenPicture           a network's numbers stopped being a picture
    │   ├── ExportUnfit             a sticker's file does not keep to its platform's rules
    │   ├── OutOfMemory             the accelerator's memory is too small for this request
    │   └── EngineUnavailable       no engine can draw for this endpoint here
    └── Misconfigured               the operator's own words: a setting, limner.toml, an argument

A caller's fault carries what fal's wire needs (type, field, context) and is told in full.
Ours becomes one opaque 500: its text goes to the operator's log, never to the caller. Only memory
that is out is told too, since the caller can ask for less.

This module knows fal's error types and nothing of HTTP servers, fields' meanings or engines.
"""

from __future__ import annotations

import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar

Loc = tuple[str | int, ...]

#: fal's page of error types; every entry of a ``detail`` links its own section.
DOCS_URL = "https://docs.fal.ai/errors/#"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a fault is told to the caller: fal's status, body and headers."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


class LimnerError(Exception):
    """Anything Limner raises on purpose."""


class CallersFault(LimnerError):
    """What was asked cannot be done as it was asked."""

    def answer(self) -> Answer:
        """This fault in fal's words."""
        raise NotImplementedError


class InputProblem(CallersFault):
    """One field of the input cannot be used.

    ``loc`` is the path of the field, starting at ``body``; a stage that does not know the
    field leaves it empty and :func:`blame` fills it in where the field is known.
    """

    type: ClassVar[str] = "value_error"
    status: ClassVar[int] = 422

    def __init__(
        self, msg: str, *, loc: Loc = (), ctx: dict[str, Any] | None = None, input: Any = None
    ) -> None:
        super().__init__(msg)
        self.msg = msg
        self.loc = loc
        self.ctx = ctx
        self.input = input

    def entry(self) -> dict[str, Any]:
        """This problem as one entry of fal's ``detail`` list."""
        entry: dict[str, Any] = {
            "loc": list(self.loc or ("body",)),
            "msg": self.msg,
            "type": self.type,
            "url": DOCS_URL + self.type,
        }
        if self.ctx is not None:
            entry["ctx"] = self.ctx
        if self.input is not None:
            entry["input"] = self.input
        return entry

    def answer(self) -> Answer:
        return Answer(self.status, {"detail": [self.entry()]}, {"x-fal-retryable": "false"})


class FileDownloadError(InputProblem):
    """The file behind a URL could not be fetched.

    ``fact`` says what is wrong with the URL, whatever it was given for; the message goes on with
    what can be done instead by who gave it for a picture.
    """

    type = "file_download_error"

    def __init__(self, fact: str, instead: str = "", *, loc: Loc = ()) -> None:
        super().__init__(f"{fact} {instead}".rstrip(), loc=loc)
        self.fact = fact


class DeadEnd(FileDownloadError):
    """The URL leads nowhere, and will not tomorrow: no such address or host can be."""


class NotPublic(DeadEnd):
    """The URL leads to a private address, and will tomorrow."""


class FileTooLarge(InputProblem):
    """The file has more bytes than the operator allows; ctx ``max_size`` in bytes."""

    type = "file_too_large"


class ImageLoadError(InputProblem):
    """The bytes are not a picture that can be decoded."""

    type = "image_load_error"


class ImageTooSmall(InputProblem):
    """The picture is too small; ctx ``min_height``, ``min_width`` in pixels."""

    type = "image_too_small"


class ImageTooLarge(InputProblem):
    """The picture is too large; ctx ``max_height``, ``max_width`` in pixels."""

    type = "image_too_large"


class UnsupportedImageFormat(InputProblem):
    """A picture, but not of a format we read; ctx ``supported_formats``."""

    type = "unsupported_image_format"


class InvalidArchive(InputProblem):
    """The file is no archive that can be opened; ctx ``supported_extensions`` of archives."""

    type = "invalid_archive"


class ArchiveTooFewFiles(InputProblem):
    """Fewer pictures than needed; ctx ``min_count``, ``provided_count``, ``supported_extensions``
    of the files that were counted."""

    type = "archive_file_count_below_minimum"


class ArchiveTooManyFiles(InputProblem):
    """More pictures than allowed; ctx ``max_count``, ``provided_count``, ``supported_extensions``
    of the files that were counted."""

    type = "archive_file_count_exceeds_maximum"


class FaceNotFound(InputProblem):
    """No face could be found in the picture, or not the one that was asked for.

    The message says what was tried, or which faces there are; ctx ``looked`` where a face was
    looked for, or ctx ``faces`` and ``face_count`` which were found.
    """

    type = "face_detection_error"


class FeatureNotSupported(InputProblem):
    """The field asks for something this engine cannot do."""

    type = "feature_not_supported"


class InvalidInput(CallersFault):
    """Several fields of the input cannot be used; ``entries`` are fal's ``detail`` entries."""

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        super().__init__("; ".join(str(entry.get("msg", "")) for entry in entries))
        self.entries = list(entries)

    def answer(self) -> Answer:
        return Answer(422, {"detail": self.entries}, {"x-fal-retryable": "false"})


class Refused(CallersFault):
    """The call itself is refused: unknown application, no key, too late, too many.

    ``status`` is the HTTP status, ``error_type`` fal's platform error type or None,
    ``body`` extra keys beside ``detail`` (fal's queue answers carry ``status``).
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        error_type: str | None = None,
        headers: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.error_type = error_type
        self.headers = headers or {}
        self.body = body or {}

    def answer(self) -> Answer:
        body = {**self.body, "detail": self.detail}
        headers = dict(self.headers)
        if self.error_type is not None:
            body["error_type"] = self.error_type
            headers["x-fal-error-type"] = self.error_type
        return Answer(self.status, body, headers)


def bad_request(detail: str) -> Refused:
    """A header, query or body of the call itself that cannot be understood: fal's 400."""
    return Refused(400, detail, error_type="bad_request")


class OurFault(LimnerError):
    """The caller did nothing wrong; the operator has something to look at."""


#: What a caller is told of any fault of ours (fal's own words); the rest is in our log.
OUR_FAULT = Answer(500, {"detail": "Internal Server Error"}, {"x-fal-retryable": "false"})


class NetworkMissing(OurFault):
    """A neural network's file is not there and could not be fetched."""


class NetworkUnfit(OurFault):
    """A neural network's file is there and is not the network that is needed."""


class BrokenPicture(OurFault):
    """A network answered with numbers that are no picture: not finite, or nothing but black."""


class ExportUnfit(OurFault):
    """A file for a platform does not keep to that platform's rules."""


class OutOfMemory(OurFault):
    """The device has too little memory for this request; the worker goes on.

    The message says what did not fit and what to ask for instead.
    """

    type: ClassVar[str] = "internal_server_error"

    def answer(self) -> Answer:
        """This fault in fal's words: a 500 that tells, and that the same request meets again."""
        entry = {"loc": ["body"], "msg": str(self), "type": self.type, "url": DOCS_URL + self.type}
        return Answer(500, {"detail": [entry]}, {"x-fal-retryable": "false"})


class EngineUnavailable(OurFault):
    """No engine on this machine can draw for this endpoint."""


class Misconfigured(LimnerError):
    """What the operator wrote cannot be used: a setting, ``limner.toml``, a command's argument.

    The message is for the operator: where it stands, what is wrong, what can be written instead.
    """


@contextmanager
def blame(*field: str | int) -> Generator[None]:
    """Put ``body`` + ``field`` as the place of any InputProblem raised inside that has none."""
    try:
        yield
    except InputProblem as problem:
        if not problem.loc:
            problem.loc = ("body", *field)
        raise


def whereabouts(fault: BaseException) -> str:
    """Type and place of a fault, innermost call last, for a log.

    Without its message or the values of its frames: those may hold a prompt or a picture.
    """
    frames = traceback.extract_tb(fault.__traceback__)[-6:]
    places = [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return " > ".join([type(fault).__name__, *places])
