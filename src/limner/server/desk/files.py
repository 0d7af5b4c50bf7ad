"""The files that are kept: how many, how large, until when; and letting go of them at once.

A caller sees and deletes what was uploaded or drawn with its own key, an admin everything.
Knows the store's contract; opens no file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from limner.errors import Refused
from limner.files.seals import Seals
from limner.files.store import FileStore, StoredFile
from limner.server.keys import Caller, Gate

#: Seconds for which the address of a file holds that is kept for ever; the list tells a new one.
UNENDING = 3600.0

#: Most files in one answer.
MOST = 500

#: The caller's own files, or everybody's: for admins.
Whose = Literal["mine", "all"]


def add_files(
    router: APIRouter, gate: Gate, files: FileStore, seals: Seals, kept: Mapping[str, float]
) -> None:
    """Add the routes; ``kept``: seconds for which results and uploads stay."""

    async def asked(request: Request, whose: Whose) -> tuple[Caller, list[StoredFile]]:
        """Who asks, and the files that are meant. Raises Refused 403."""
        caller = await gate.caller(request)
        if whose == "all" and not caller.admin:
            raise Refused(403, "Everybody's files need a key of scope admin")
        owner = caller.key_id if whose == "mine" else None
        return caller, await asyncio.to_thread(_belonging, files, owner)

    @router.get("/files")
    async def listed(
        request: Request,
        whose: Whose = "mine",
        skip: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> dict[str, Any]:
        """The newest first, with how many there are and their bytes in all."""
        caller, found = await asked(request, whose)
        found.sort(key=lambda file: file.created_at, reverse=True)
        base = request.state.address.files
        return {
            "count": len(found),
            "bytes": sum(file.size for file in found),
            "kept": dict(kept),
            "files": [
                _body(file, address(seals, base, file), mine=file.owner == caller.key_id)
                for file in found[skip : skip + limit]
            ],
        }

    @router.delete("/files")
    async def delete_all(request: Request, whose: Whose = "mine") -> dict[str, Any]:
        """Delete every file of the caller's, or of everybody; how many went, and their bytes."""
        _, found = await asked(request, whose)
        gone = [file for file in found if await asyncio.to_thread(files.delete, file.name)]
        return {"deleted": len(gone), "bytes": sum(file.size for file in gone)}

    @router.delete("/files/{name}")
    async def delete(request: Request, name: str) -> dict[str, Any]:
        """Delete one file. Raises Refused 404, also for somebody else's."""
        caller = await gate.caller(request)
        file = await asyncio.to_thread(files.find, name)
        if file is None or not (caller.admin or file.owner == caller.key_id):
            raise Refused(404, "File not found")
        await asyncio.to_thread(files.delete, name)
        return {"deleted": 1, "bytes": file.size}


def address(seals: Seals, base: str, file: StoredFile) -> str:
    """Where a file is read as long as it is kept; one that is kept for ever: for an hour."""
    ends = time.time() + UNENDING if file.expires_at is None else file.expires_at
    return seals.address(base, file.name, ends)


def _belonging(files: FileStore, owner: str | None) -> list[StoredFile]:
    return [file for file in files.listing() if owner is None or file.owner == owner]


def _body(file: StoredFile, url: str, *, mine: bool) -> dict[str, Any]:
    return {
        "name": file.name,
        "url": url,
        "content_type": file.content_type,
        "size": file.size,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "owner": file.owner or None,
        "mine": mine,
    }
