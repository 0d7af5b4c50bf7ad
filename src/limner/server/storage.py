"""fal's storage: three upload dialects, two multipart dialects, and reading back (wire.md 7).

The URL that a client puts a file to holds its *ticket* (``tickets.py``); its bytes are taken in by
``uploads.py``. Knows fal's storage words; knows nothing of pictures.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from limner.endpoints.accept import accept
from limner.errors import Refused
from limner.files.seals import SEALED, Seals
from limner.files.store import FileStore, reserve
from limner.server.body import read_json
from limner.server.downloads import file_response
from limner.server.keys import Gate
from limner.server.lifetimes import LIFECYCLE_HEADERS, wanted_life
from limner.server.quota import UploadQuota
from limner.server.tickets import Ticket, UploadAccess
from limner.server.uploads import Uploads

#: Largest JSON body of a storage call, bytes: names and lists of parts.
MOST_JSON = 4 * 1024 * 1024

DEFAULT_TYPE = "application/octet-stream"

#: A media type with parameters (RFC 9110, 8.3.1), and nothing that could end a header line.
MEDIA_TYPE = re.compile(r"[!-~]+/[!-~]+(;[ -~]*)?")


@dataclass(frozen=True, slots=True)
class StorageLimits:
    """The operator's limits for uploads."""

    #: Largest file in bytes.
    max_bytes: int
    #: Seconds an uploaded file is kept, and the most a caller may ask for.
    retention: float
    #: Most bytes kept for one key.
    quota: UploadQuota


class InitiateRequest(BaseModel):
    """What JavaScript (and Python's fallback) says before it uploads."""

    content_type: str = DEFAULT_TYPE
    file_name: str | None = None


class Part(BaseModel):
    """One part of a finished upload, as both clients list it; they need not be in order."""

    partNumber: int  # noqa: N815 - fal's word


class CompleteRequest(BaseModel):
    """The parts of a finished upload."""

    parts: list[Part]


class Storage:
    """fal's storage over one file store."""

    def __init__(
        self,
        files: FileStore,
        access: UploadAccess,
        seals: Seals,
        gate: Gate,
        limits: StorageLimits,
    ) -> None:
        self._files = files
        self._access = access
        self._seals = seals
        self._gate = gate
        self._limits = limits
        self._uploads = Uploads(files, limits.quota, limits.max_bytes)

    async def token(self, request: Request) -> Response:
        """Python asks once per client for a token to upload to the CDN."""
        token, ends = self._access.token(request.state.key_id)
        return JSONResponse(
            {
                "token": token,
                "token_type": "Bearer",
                "base_url": request.state.address.media,
                "expires_at": ends.isoformat(),
            }
        )

    async def initiate(self, request: Request) -> Response:
        """Where to PUT a whole file, and where it will be."""
        return await self._initiated(request, in_parts=False)

    async def initiate_multipart(self, request: Request) -> Response:
        """Where to PUT a file in parts, JavaScript's dialect, and where it will be."""
        return await self._initiated(request, in_parts=True)

    async def _initiated(self, request: Request, *, in_parts: bool) -> Response:
        said = accept(InitiateRequest, await read_json(request, MOST_JSON))
        ticket = self._ticket(request, said.content_type, said.file_name, request.state.key_id)
        media = request.state.address.media
        return JSONResponse(
            {
                "upload_url": f"{media}/uploads/{self._access.sign(ticket, in_parts=in_parts)}",
                "file_url": self._address(request, ticket),
            }
        )

    async def put(self, request: Request, ticket: str) -> Response:
        """A whole file for a ticket."""
        await self._uploads.save(request, await self._good(ticket))
        return Response(status_code=200)

    async def put_part(self, request: Request, ticket: str, number: str) -> Response:
        """A part, in JavaScript's dialect: the answer's JSON tells the ETag."""
        etag = await self._uploads.save_part(request, await self._good(ticket), number)
        told = {"partNumber": int(number), "etag": etag}
        return JSONResponse(told, headers={"etag": f'"{etag}"'})

    async def complete(self, request: Request, ticket: str) -> Response:
        """Join the parts, JavaScript's dialect."""
        return await self._join(request, await self._good(ticket))

    async def upload(self, request: Request) -> Response:
        """A whole file in one POST, Python's dialect."""
        owner = await self._check(request)
        ticket = self._ticket_from_headers(request, owner)
        await self._uploads.save(request, ticket)
        return JSONResponse({"access_url": self._address(request, ticket)})

    async def begin_multipart(self, request: Request) -> Response:
        """Begin a file in parts, Python's dialect: the upload's id is its ticket."""
        owner = await self._check(request)
        ticket = self._ticket_from_headers(request, owner)
        return JSONResponse(
            {
                "access_url": self._address(request, ticket),
                "uploadId": self._access.sign(ticket, in_parts=True),
            }
        )

    async def put_file_part(
        self, request: Request, name: str, upload: str, number: str
    ) -> Response:
        """A part, in Python's dialect: the ETag is a header."""
        etag = await self._uploads.save_part(request, await self._named(upload, name), number)
        return Response(headers={"etag": f'"{etag}"'})

    async def complete_file(self, request: Request, name: str, upload: str) -> Response:
        """Join the parts, Python's dialect."""
        return await self._join(request, await self._named(upload, name))

    async def read(self, request: Request, name: str, seal: str = "") -> Response:
        """A file, for anyone who knows its address: its name, and its seal where one is needed."""
        sealed = seal or request.state.address.files.endswith(SEALED)
        if sealed and not self._seals.holds(seal, name, time.time()):
            raise Refused(
                403,
                "The address of the file is not whole, was changed, or has ended",
                error_type="file_address_invalid",
            )
        return await anyio.to_thread.run_sync(self._read, request, name)

    def _read(self, request: Request, name: str) -> Response:
        """Find a file and open it: a store may be far away, and the event loop waits for none."""
        stored = self._files.find(name)
        if stored is None:
            raise Refused(404, "File not found")
        return file_response(request, self._files, stored)

    def _address(self, request: Request, ticket: Ticket) -> str:
        """Where the file of a ticket is read as long as it is kept."""
        return self._seals.address(request.state.address.files, ticket.name, ticket.expires_at)

    async def _check(self, request: Request) -> str:
        """Who uploads straight to the CDN. Raises Refused 401."""
        if await self._gate.is_open(request):
            return ""
        owner = self._access.check_token(request.headers.get("authorization", ""))
        await self._gate.check_again(owner)
        return owner

    async def _good(self, ticket: str) -> Ticket:
        """A ticket, as long as the key that got it is good. Raises Refused 401."""
        said = self._access.ticket(ticket)
        await self._gate.check_again(said.owner)
        return said

    async def _named(self, upload: str, name: str) -> Ticket:
        ticket = await self._good(upload)
        if ticket.name != name:
            raise Refused(401, "The upload is of another file")
        return ticket

    def _ticket(
        self, request: Request, content_type: str, file_name: str | None, owner: str
    ) -> Ticket:
        life = wanted_life(request.headers, LIFECYCLE_HEADERS) or self._limits.retention
        if not MEDIA_TYPE.fullmatch(content_type):
            content_type = DEFAULT_TYPE
        ends = time.time() + min(life, self._limits.retention)
        return Ticket(reserve(file_name), content_type, ends, owner)

    def _ticket_from_headers(self, request: Request, owner: str) -> Ticket:
        return self._ticket(
            request,
            request.headers.get("content-type", DEFAULT_TYPE),
            request.headers.get("x-fal-file-name"),
            owner,
        )

    async def _join(self, request: Request, ticket: Ticket) -> Response:
        said = accept(CompleteRequest, await read_json(request, MOST_JSON))
        await self._uploads.join(ticket, [part.partNumber for part in said.parts])
        return JSONResponse({"url": self._address(request, ticket)})


def storage_router(storage: Storage) -> APIRouter:
    """The routes of ``rest.fal.ai/storage`` and of the CDN."""
    router = APIRouter()
    rest, media = "/@rest/storage", "/@media"
    router.add_api_route(f"{rest}/auth/token", storage.token, methods=["POST"])
    router.add_api_route(f"{rest}/upload/initiate", storage.initiate, methods=["POST"])
    router.add_api_route(
        f"{rest}/upload/initiate-multipart", storage.initiate_multipart, methods=["POST"]
    )
    router.add_api_route(f"{media}/uploads/{{ticket}}", storage.put, methods=["PUT"])
    router.add_api_route(f"{media}/uploads/{{ticket}}/complete", storage.complete, methods=["POST"])
    router.add_api_route(
        f"{media}/uploads/{{ticket}}/{{number}}", storage.put_part, methods=["PUT"]
    )
    router.add_api_route(f"{media}/files/upload", storage.upload, methods=["POST"])
    router.add_api_route(
        f"{media}/files/upload/multipart", storage.begin_multipart, methods=["POST"]
    )
    for files in (f"{media}/files", f"{media}{SEALED}/{{seal}}/files"):
        part = f"{files}/{{name}}/multipart/{{upload}}"
        router.add_api_route(f"{part}/complete", storage.complete_file, methods=["POST"])
        router.add_api_route(f"{part}/{{number}}", storage.put_file_part, methods=["PUT"])
        router.add_api_route(f"{files}/{{name}}", storage.read, methods=["GET", "HEAD"])
    return router
