"""How one request's engine reads pictures and hands over those it made.

Knows the safe door and the file store; knows no engine.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from limner.endpoints.fields import Image
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


class RequestPictures:
    """The Pictures of one request; remembers what it kept, so that it can be thrown away."""

    def __init__(
        self,
        submission: Submission,
        door: Door,
        files: FileStore,
        retention: float,
        *,
        marked: bool,
    ) -> None:
        """``retention``: seconds a picture is kept when the caller does not want it gone sooner.

        ``marked``: do pictures say how they were made?
        """
        self._submission = submission
        self._door = door
        self._files = files
        self._marked = marked
        # Not longer than the request itself, with which its pictures go.
        self._life = min(submission.file_lifetime or retention, retention)
        self.published: list[str] = []

    @property
    def caller(self) -> str:
        """Public part of the key that submitted the request."""
        return self._submission.key_id

    def mark(self, source: Source) -> Source | None:
        """See Pictures."""
        return source if self._marked else None

    def read(self, url: str) -> bytes:
        """The bytes behind ``url``. Raises FileDownloadError, FileTooLarge."""
        return self._door.read(url)

    def publish(self, encoded: bytes, *, width: int, height: int, format: str = "PNG") -> Image:
        """Keep a picture; type and name are as fal's are (``image/PNG``, 32 hex digits)."""
        return self.publish_file(
            encoded,
            file_name=f"{uuid.uuid4().hex}.{format.lower()}",
            content_type=f"image/{format}",
            size=(width, height),
        )

    def publish_file(
        self, content: bytes, *, file_name: str, content_type: str, size: tuple[int, int]
    ) -> Image:
        """Keep a file as it is named; only its URL cannot be guessed."""
        stored = self._files.save(
            reserve(file_name),
            [content],
            Description(content_type, time.time() + self._life, self._submission.key_id),
        )
        self.published.append(stored.name)
        return Image(
            url=f"{self._submission.files_base}/files/{stored.name}",
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
