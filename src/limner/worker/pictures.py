"""How one request's engine reads pictures and hands over those it made.

Knows the safe door and the file store; knows no engine.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from limner.endpoints.fields import Image
from limner.errors import FileDownloadError
from limner.files.seals import SEALED, Seals
from limner.files.store import Description, FileStore, named_by, read, reserve
from limner.requests.request import Submission
from limner.stages.fetch import Door
from limner.stages.provenance import Source


def own_file_reader(files: FileStore) -> Callable[[str], bytes | None]:
    """What the safe door asks first: the bytes of a URL that names a file of this server."""

    def own_file(url: str) -> bytes | None:
        name = named_by(url)
        return None if name is None else read(files, name)

    return own_file


@dataclass(frozen=True, slots=True)
class PictureRules:
    """The operator's rules for pictures that are made."""

    #: Seconds a picture is kept when the caller does not want it gone sooner.
    retention: float
    #: Do pictures say how they were made?
    marked: bool = True
    #: Signs an encoded picture of an answer (``stages.credentials``).
    sign: Callable[[bytes], bytes] | None = None


class RequestPictures:
    """The Pictures of one request; remembers what it kept, so that it can be thrown away."""

    def __init__(
        self,
        submission: Submission,
        door: Door,
        files: FileStore,
        seals: Seals,
        rules: PictureRules,
    ) -> None:
        self._seals = seals
        self._submission = submission
        self._door = door
        self._files = files
        self._marked = rules.marked
        self._sign = rules.sign
        # Not longer than the request itself, with which its pictures go.
        self._life = min(submission.file_lifetime or rules.retention, rules.retention)
        self.published: list[str] = []

    @property
    def caller(self) -> str:
        """Public part of the key that submitted the request."""
        return self._submission.key_id

    def mark(self, source: Source) -> Source | None:
        """See Pictures."""
        return source if self._marked else None

    def read(self, url: str) -> bytes:
        """The bytes behind ``url``. Raises FileDownloadError, FileTooLarge.

        A file of ours is read by the address by which its caller would have to read it.
        """
        name = named_by(url) if self._submission.files_base.endswith(SEALED) else None
        if name is not None and self._files.find(name) and not self._seals.opens(url, time.time()):
            raise FileDownloadError(
                "The address of the file is not whole, was changed, or has ended. Upload it again."
            )
        return self._door.read(url)

    def publish(self, encoded: bytes, *, width: int, height: int, format: str = "PNG") -> Image:
        """Keep a picture; type and name are as fal's are (``image/PNG``, 32 hex digits)."""
        return self.publish_file(
            encoded if self._sign is None else self._sign(encoded),
            file_name=f"{uuid.uuid4().hex}.{format.lower()}",
            content_type=f"image/{format}",
            size=(width, height),
        )

    def publish_file(
        self, content: bytes, *, file_name: str, content_type: str, size: tuple[int, int]
    ) -> Image:
        """Keep a file as it is named; only its URL cannot be guessed."""
        ends = time.time() + self._life
        said = Description(content_type, ends, self._submission.key_id)
        stored = self._files.save(reserve(file_name), [content], said)
        self.published.append(stored.name)
        return Image(
            url=self._seals.address(self._submission.files_base, stored.name, ends),
            content_type=content_type,
            file_name=file_name,
            file_size=stored.size,
            width=size[0],
            height=size[1],
        )

    def discard(self) -> None:
        """Throw away what was published: nobody will ever be told of it."""
        for name in self.published:
            self._files.delete(name)
        self.published.clear()
