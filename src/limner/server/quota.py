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


@dataclass(slots=True, eq=False)
class Arrival:
    """One body that comes as a part of a file; of one part there may be several at once."""

    name: str
    owner: str
    number: int
    size: int = 0
    #: Came another body of the same part meanwhile? Then either may be the one that stays.
    beside: bool = False


@dataclass(slots=True)
class _Part:
    """One part of a file to be. Sizes in bytes."""

    kept: int = 0
    coming: list[Arrival] = field(default_factory=list[Arrival])
    #: How much of the file's ``whole`` is this part's.
    counted: int = 0


@dataclass(slots=True)
class _Unjoined:
    """The parts of a file to be."""

    owner: str
    since: float
    parts: dict[int, _Part] = field(default_factory=dict[int, _Part])
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
        with self._lock:
            self._count(owner, size)

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

    def knows_part(self, name: str, number: int) -> bool:
        """Did this part come before? Then there is room for it to come again."""
        file = self._unjoined.get(name)
        return file is not None and number in file.parts

    def begin_part(self, name: str, owner: str, number: int) -> Arrival:
        """A body begins to come as a part of a file."""
        arrival = Arrival(name, owner, number)
        with self._lock:
            part = self._part(arrival)
            arrival.beside = bool(part.coming)
            for other in part.coming:
                other.beside = True
            part.coming.append(arrival)
        return arrival

    def grow_part(self, arrival: Arrival, size: int) -> int:
        """``size`` more bytes of it come; the bytes of all parts of its file.

        They count until the file is joined or its parts are thrown away: of one part what is kept
        or what comes, whichever is more, so that it can be sent again. Raises Refused 413.
        """
        with self._lock:
            part = self._part(arrival)
            coming = size + sum(other.size for other in {*part.coming, arrival})
            more = max(part.counted, coming) - part.counted
            if more:
                self._count(arrival.owner, more)
            arrival.size += size
            part.counted += more
            file = self._unjoined[arrival.name]
            file.whole += more
            return file.whole

    def end_part(self, arrival: Arrival, *, kept: bool) -> None:
        """It came whole and is the part now, or it broke off and is nothing."""
        with self._lock:
            part = self._part(arrival)
            part.coming = [other for other in part.coming if other is not arrival]
            if kept:
                part.kept = max(arrival.size, part.kept) if arrival.beside else arrival.size
            counted = max(part.kept, sum(other.size for other in part.coming))
            less, part.counted = part.counted - counted, counted
            file = self._unjoined[arrival.name]
            file.whole -= less
            if not (part.kept or part.coming):
                del file.parts[arrival.number]
            if not file.parts:
                del self._unjoined[arrival.name]
        self.give_back(arrival.owner, less)

    def _count(self, owner: str, size: int) -> None:
        """:meth:`add`, by who holds the lock."""
        if not self._most:
            return
        whole = self._tally.kept(owner) + self._pending[owner] + size
        if whole > self._most or (whole == self._most and not size):
            raise Refused(
                413,
                f"Your files would have {whole} bytes and may have {self._most}. Delete some "
                "(DELETE /limner/v1/files/{name}), or wait until they expire.",
            )
        self._pending[owner] += size

    def _part(self, arrival: Arrival) -> _Part:
        """The part that a body is of; a new one where the file was joined meanwhile."""
        file = self._unjoined.get(arrival.name)
        if file is None:
            file = self._unjoined[arrival.name] = _Unjoined(arrival.owner, self._clock())
        return file.parts.setdefault(arrival.number, _Part())

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
