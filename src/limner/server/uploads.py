"""The bytes of an upload, from the line into the store: whole or in parts, capped and counted.

The store writes on a thread of its own and pulls chunk by chunk, so a file is never all in memory.
Knows bodies, tickets and the quota; knows none of fal's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from fastapi import Request

from limner.errors import Refused, bad_request
from limner.files.store import MOST_PARTS, FileStore, StoredFile
from limner.server.numerals import declared_length, is_whole
from limner.server.quota import UploadQuota
from limner.server.tickets import Ticket

#: Uploads under way at once; more wait for one of them to end.
AT_ONCE = 100

#: Seconds in which nothing may come, after which an upload is given up.
PATIENCE = 60.0

Kept = TypeVar("Kept")


class Uploads:
    """Takes the files that tickets allow into one store."""

    def __init__(
        self, files: FileStore, quota: UploadQuota, max_bytes: int, patience: float = PATIENCE
    ) -> None:
        """``max_bytes``: of one file. ``patience``: seconds in which nothing may come."""
        self._files = files
        self._quota = quota
        self._max_bytes = max_bytes
        self._patience = patience
        # Not those that everybody else's waiting is done on: an upload holds its own until the
        # last byte has come, and a slow line must stop no reader.
        self._threads = anyio.CapacityLimiter(AT_ONCE)

    async def save(self, request: Request, ticket: Ticket) -> StoredFile:
        """Keep the body as the ticket's file. Raises Refused 408, 413."""
        await anyio.to_thread.run_sync(self._quota.look, ticket.owner)
        came = 0

        def count(size: int) -> int:
            nonlocal came
            self._quota.add(ticket.owner, size)
            came += size
            return came

        try:
            stored = await self._kept(
                request, count, lambda body: self._files.save(ticket.name, body, ticket.description)
            )
        except BaseException:
            self._quota.give_back(ticket.owner, came)
            raise
        self._quota.saved(ticket.owner, came)
        return stored

    async def save_part(self, request: Request, ticket: Ticket, number: str) -> str:
        """Keep the body as a part of the ticket's file; its ETag. Raises Refused 400, 408, 413."""
        if not is_whole(number, len(str(MOST_PARTS))):
            raise bad_request(f"A part's number is from 1 to {MOST_PARTS}")
        part, name, owner = int(number), ticket.name, ticket.owner
        if not self._quota.knows_part(name, part):
            await anyio.to_thread.run_sync(self._quota.look, owner)
        arrival = self._quota.begin_part(name, owner, part)
        kept = False
        try:
            etag = await self._kept(
                request,
                lambda size: self._quota.grow_part(arrival, size),
                lambda body: self._files.save_part(name, part, body),
            )
            kept = True
        except ValueError as fault:
            raise bad_request(str(fault)) from None
        finally:
            self._quota.end_part(arrival, kept=kept)
        return etag

    async def join(self, ticket: Ticket, numbers: Sequence[int]) -> StoredFile:
        """Make the ticket's file of its parts. Raises Refused 400 when one is missing, 413."""
        stored = None
        if all(1 <= number <= MOST_PARTS for number in numbers):
            stored = await anyio.to_thread.run_sync(
                lambda: self._files.join_parts(ticket.name, numbers, ticket.description)
            )
        if stored is None:
            raise bad_request("A part is missing; send it again")
        if stored.size > self._max_bytes:  # as far as another server took its parts
            await anyio.to_thread.run_sync(self._files.delete, stored.name)
            self._quota.joined(ticket.name, 0)
            raise self._too_large()
        self._quota.joined(ticket.name, stored.size)
        return stored

    async def _kept(
        self,
        request: Request,
        count: Callable[[int], int],
        keep: Callable[[Iterator[bytes]], Kept],
    ) -> Kept:
        """Have the store ``keep`` the body, on a thread.

        ``count`` takes the size of what comes and answers the bytes of the file so far.
        """
        body = self._capped(request, count)
        return await anyio.to_thread.run_sync(
            lambda: keep(self._pulled(body)), limiter=self._threads
        )

    async def _capped(self, request: Request, count: Callable[[int], int]) -> AsyncIterator[bytes]:
        if declared_length(request.headers) > self._max_bytes:
            raise self._too_large()
        async for chunk in request.stream():
            if chunk:
                if count(len(chunk)) > self._max_bytes:
                    raise self._too_large()
                yield chunk

    def _pulled(self, body: AsyncIterator[bytes]) -> Iterator[bytes]:
        """An asynchronous body read from the store's thread, chunk by chunk."""
        while True:
            try:
                yield anyio.from_thread.run(self._next, body)
            except StopAsyncIteration:
                return

    async def _next(self, body: AsyncIterator[bytes]) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                return await anext(body)
        except TimeoutError:
            raise Refused(408, f"Nothing came for {self._patience:g} seconds") from None

    def _too_large(self) -> Refused:
        return Refused(413, f"The file is larger than {self._max_bytes} bytes")
