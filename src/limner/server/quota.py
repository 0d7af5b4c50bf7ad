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
    """The parts of a file to be."""

    owner: str
    since: float
    #: Number → bytes, and all of them added up.
    sizes: dict[int, int] = field(default_factory=dict[int, int])
    whole: int = 0


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
        #: Bytes that no tally knows: on their way, and of parts. None where there is no quota.
        self._pending: Counter[str] = Counter()
        self._unjoined: dict[str, _Unjoined] = {}

    def look(self, owner: str) -> None:
        """Is there room at all? Blocks while files are counted. Raises Refused 413."""
        self._forget_parts()
        if not self._most:
            return
        self._tally.look()
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
        """``size`` bytes came whole and are kept as a file."""
        if not self._most:
            return
        self._tally.saved(owner, size)
        self.give_back(owner, size)

    def grow_part(self, name: str, owner: str, number: int, size: int) -> int:
        """``size`` more bytes of a part come; the bytes of all parts of its file.

        They count until the file is joined or its parts are thrown away. Raises Refused 413.
        """
        self.add(owner, size)
        with self._lock:
            file = self._unjoined.setdefault(name, _Unjoined(owner, self._clock()))
            file.sizes[number] = file.sizes.get(number, 0) + size
            file.whole += size
            return file.whole

    def drop_part(self, name: str, number: int) -> None:
        """A part is broken off, or comes anew."""
        with self._lock:
            file = self._unjoined.get(name)
            size = file.sizes.pop(number, 0) if file is not None else 0
            if file is None:
                return
            file.whole -= size
        self.give_back(file.owner, size)

    def joined(self, name: str, size: int) -> None:
        """The parts of a file became the file, of ``size`` bytes; 0: they were thrown away."""
        with self._lock:
            file = self._unjoined.pop(name, None)
        if file is not None:
            self.give_back(file.owner, file.whole)
            if size:
                self._tally.saved(file.owner, size)

    def _forget_parts(self) -> None:
        """Parts of uploads that nobody goes on with, as the sweep removes them."""
        old = self._clock() - PARTS_LIFE
        while True:
            with self._lock:
                first = next(iter(self._unjoined.items()), None)  # the eldest
                if first is None or first[1].since >= old:
                    return
                name, file = first
                del self._unjoined[name]
            self.give_back(file.owner, file.whole)
