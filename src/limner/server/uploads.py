"""The bytes of an upload, from the line into the store: whole or in parts, capped and counted.

The store writes on a thread of its own and pulls chunk by chunk, so a file is never all in memory.
Knows bodies, tickets and the quota; knows none of fal's words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

import anyio.from_thread
import anyio.to_thread
from fastapi import Request

from limner.errors import Refused, bad_request
from limner.files.store import MOST_PARTS, FileStore, StoredFile
from limner.server.quota import UploadQuota
from limner.server.tickets import Ticket


class Uploads:
    """Takes the files that tickets allow into one store."""

    def __init__(self, files: FileStore, quota: UploadQuota, max_bytes: int) -> None:
        """``max_bytes``: of one file."""
        self._files = files
        self._quota = quota
        self._max_bytes = max_bytes

    async def save(self, request: Request, ticket: Ticket) -> StoredFile:
        """Keep the body as the ticket's file. Raises Refused 413."""
        await anyio.to_thread.run_sync(self._quota.look, ticket.owner)
        body = self._capped(request, ticket.owner)
        stored = await anyio.to_thread.run_sync(
            lambda: self._files.save(ticket.name, pulled(body), ticket.description)
        )
        self._quota.saved(ticket.owner, stored.size)
        return stored

    async def save_part(self, request: Request, ticket: Ticket, number: str) -> str:
        """Keep the body as a part of the ticket's file; its ETag. Raises Refused 400, 413."""
        if not (number.isascii() and number.isdecimal() and len(number) <= len(str(MOST_PARTS))):
            raise bad_request(f"A part's number is from 1 to {MOST_PARTS}")
        self._quota.part(ticket.name, ticket.owner, int(number), 0)
        await anyio.to_thread.run_sync(self._quota.look, ticket.owner)
        size = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in self._capped(request, ticket.owner):
                size += len(chunk)
                yield chunk

        try:
            etag = await anyio.to_thread.run_sync(
                lambda: self._files.save_part(ticket.name, int(number), pulled(counted()))
            )
        except ValueError as error:
            raise bad_request(str(error)) from None
        self._quota.part(ticket.name, ticket.owner, int(number), size)
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
        self._quota.joined(ticket.name)
        if stored.size > self._max_bytes:
            await anyio.to_thread.run_sync(self._files.delete, stored.name)
            raise self._too_large()
        return stored

    async def _capped(self, request: Request, owner: str) -> AsyncIterator[bytes]:
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise self._too_large()
        size = counted = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size > self._max_bytes:
                    raise self._too_large()
                if chunk:
                    self._quota.add(owner, len(chunk))
                    counted = size
                    yield chunk
        except BaseException:
            self._quota.give_back(owner, counted)
            raise

    def _too_large(self) -> Refused:
        return Refused(413, f"The file is larger than {self._max_bytes} bytes")


def pulled(body: AsyncIterator[bytes]) -> Iterator[bytes]:
    """An asynchronous body read from a worker thread, chunk by chunk, never all at once."""
    while True:
        try:
            yield anyio.from_thread.run(_next, body)
        except StopAsyncIteration:
            return


async def _next(body: AsyncIterator[bytes]) -> bytes:
    return await anext(body)
