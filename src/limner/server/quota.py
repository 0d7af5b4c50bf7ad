"""How many bytes one key may have kept, before it may upload no more.

What is kept is the tally's to say; what is on its way, and parts that wait to be joined, are known
here. Several servers, or a restart in the middle of an upload in parts, let a key have somewhat
more, never less. Knows the tally; knows no HTTP.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from limner.errors import Refused
from limner.files.disk import PARTS_LIFE
from limner.files.tally import Tally


@dataclass(slots=True)
class _Unjoined:
    """The parts of a file to be: number → bytes."""

    owner: str
    since: float
    sizes: dict[int, int] = field(default_factory=dict[int, int])


class UploadQuota:
    """The bytes of each key. Safe from several threads."""

    def __init__(
        self, tally: Tally, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``most``: bytes for one key, uploaded and drawn; 0 for any number."""
        self._tally = tally
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        #: Bytes that no tally knows: on their way, and of parts.
        self._pending: Counter[str] = Counter()
        self._unjoined: dict[str, _Unjoined] = {}

    def look(self, owner: str) -> None:
        """Is there room at all? Blocks while files are counted. Raises Refused 413."""
        if not self._most:
            return
        self._tally.look()
        self._forget_parts()
        self.add(owner, 0)

    def add(self, owner: str, size: int) -> None:
        """``size`` more bytes come for ``owner``. Raises Refused 413, and they do not count."""
        if not self._most:
            return
        with self._lock:
            whole = self._tally.kept(owner) + self._pending[owner] + size
            fits = whole <= self._most if size else whole < self._most
            if fits:
                self._pending[owner] += size
        if not fits:
            raise Refused(
                413,
                f"Your files would have {whole} bytes and may have {self._most}. Delete some "
                "(DELETE /limner/v1/files/{name}), or wait until they expire.",
            )

    def give_back(self, owner: str, size: int) -> None:
        """What came of a file that was then broken off is not kept."""
        if not self._most:
            return
        with self._lock:
            self._pending[owner] -= size

    def saved(self, owner: str, size: int) -> None:
        """A file came whole and is kept."""
        if not self._most:
            return
        self._tally.saved(owner, size)
        self.give_back(owner, size)

    def part(self, name: str, owner: str, number: int, size: int) -> None:
        """The part of a file came whole: it counts until it is joined or thrown away.

        A part that comes again replaces the one before it; ``size`` 0: it is about to come.
        """
        if not self._most:
            return
        with self._lock:
            file = self._unjoined.setdefault(name, _Unjoined(owner, self._clock()))
            self._pending[owner] -= file.sizes.get(number, 0)
            file.sizes[number] = size

    def joined(self, name: str) -> None:
        """The parts of a file became the file."""
        with self._lock:
            file = self._unjoined.pop(name, None)
        if file is not None:
            self.saved(file.owner, sum(file.sizes.values()))

    def _forget_parts(self) -> None:
        """Parts of uploads that nobody goes on with, as the sweep removes them."""
        with self._lock:
            old = self._clock() - PARTS_LIFE
            for name in [name for name, file in self._unjoined.items() if file.since < old]:
                file = self._unjoined.pop(name)
                self._pending[file.owner] -= sum(file.sizes.values())
