"""Looking at requests: all that are asked for in one turn of the event loop are read together.

When a batch ends, everybody who waited for one of it looks at the same moment. Knows the ledger;
knows no caller, and not whose a request is.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from limner.requests.ledger import Ledger
from limner.requests.request import Request
from limner.server.crossing import Crossing

#: An id, and who waits for the request.
_Asked = list[tuple[str, "asyncio.Future[Request | None]"]]


class Looks:
    """Looks at the requests of one ledger, on one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._asked: _Asked = []
        self._crossing: Crossing[tuple[_Asked, Future[list[Request | None]]]] = Crossing(_tell)

    async def get(self, request_id: str) -> Request | None:
        """A request as it is now, or None. Raises Unreachable."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._look, loop)
        waiting: asyncio.Future[Request | None] = loop.create_future()
        self._asked.append((request_id, waiting))
        return await waiting

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        asked, self._asked = self._asked, []
        found = self._ledger.get_all([request_id for request_id, _ in asked])
        found.add_done_callback(lambda _: self._crossing.put(loop, (asked, found)))


def _tell(answered: tuple[_Asked, Future[list[Request | None]]]) -> None:
    asked, found = answered
    fault = found.exception()
    requests = found.result() if fault is None else [None] * len(asked)
    for (_, waiting), request in zip(asked, requests, strict=True):
        if waiting.done():  # nobody waits any more
            continue
        if fault is None:
            waiting.set_result(request)
        else:
            waiting.set_exception(fault)
