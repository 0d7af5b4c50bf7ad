"""fal's storage: three upload dialects, two multipart dialects, and reading back (wire.md 7).

Clients are told a file's URL before they send it, so a *ticket* travels in the upload URL: the
reserved name, the content type and the expiry, signed. It is the authority to put that one file
there, needs no table, and holds for any server with the same key.
Knows fal's storage words; knows nothing of pictures.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import jwt
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from limner.endpoints.accept import accept
from limner.errors import Refused
from limner.files.store import Description, FileStore, StoredFile, reserve
from limner.server.body import read_json
from limner.server.downloads import file_response
from limner.server.lifecycle import wanted_life

#: Seconds an upload may begin after its ticket was made.
TICKET_LIFE = 3600

#: Largest JSON body of a storage call, bytes: names and lists of parts.
MOST_JSON = 4 * 1024 * 1024

DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class StorageLimits:
    """The operator's limits for uploads."""

    #: Largest file in bytes.
    max_bytes: int
    #: Seconds an uploaded file is kept, and the most a caller may ask for.
    retention: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to put one file in its place."""

    name: str
    content_type: str
    expires_at: float

    @property
    def description(self) -> Description:
        """What the store is told of the file."""
        return Description(self.content_type, self.expires_at)


class UploadAccess:
    """Signs and reads tickets and upload tokens."""

    def __init__(self, key: bytes, *, required: bool) -> None:
        """``required``: direct uploads to the CDN need a token; not on a keyless loopback."""
        self.required = required
        self._key = key

    def token(self) -> tuple[str, datetime]:
        """A token for direct uploads, and when it ends."""
        ends = time.time() + TICKET_LIFE
        token = jwt.encode({"use": "upload", "exp": ends}, self._key, algorithm="HS256")
        return token, datetime.fromtimestamp(ends, UTC)

    def check_token(self, authorization: str) -> None:
        """Raises Refused 401."""
        if self.required and self._claims(authorization.partition(" ")[2]).get("use") != "upload":
            raise Refused(401, "Unauthorized")

    def sign(self, ticket: Ticket) -> str:
        """A ticket as it travels in a URL."""
        claims = {
            "name": ticket.name,
            "type": ticket.content_type,
            "until": ticket.expires_at,
            "exp": time.time() + TICKET_LIFE,
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def ticket(self, text: str) -> Ticket:
        """The ticket in a URL. Raises Refused 401 when it is forged or late."""
        claims = self._claims(text)
        if "name" not in claims:
            raise Refused(401, "Unauthorized")
        return Ticket(claims["name"], claims["type"], claims["until"])

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._key, algorithms=["HS256"], options={"require": ["exp"]})
        except jwt.InvalidTokenError:
            raise Refused(401, "The upload URL or token is not valid or has expired") from None


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

    def __init__(self, files: FileStore, access: UploadAccess, limits: StorageLimits) -> None:
        self._files = files
        self._access = access
        self._limits = limits

    async def token(self, request: Request) -> Response:
        """Python asks once per client for a token to upload to the CDN."""
        token, ends = self._access.token()
        return JSONResponse(
            {
                "token": token,
                "token_type": "Bearer",
                "base_url": request.state.address.media,
                "expires_at": ends.isoformat(),
            }
        )

    async def initiate(self, request: Request) -> Response:
        """Where to PUT a file, whole or in parts, and where it will be."""
        said = accept(InitiateRequest, await read_json(request, MOST_JSON))
        ticket = self._ticket(request, said.content_type, said.file_name)
        media = request.state.address.media
        return JSONResponse(
            {
                "upload_url": f"{media}/uploads/{self._access.sign(ticket)}",
                "file_url": f"{media}/files/{ticket.name}",
            }
        )

    async def put(self, request: Request, ticket: str) -> Response:
        """A whole file for a ticket."""
        await self._save(request, self._access.ticket(ticket))
        return Response(status_code=200)

    async def put_part(self, request: Request, ticket: str, number: int) -> Response:
        """A part, in JavaScript's dialect: the answer's JSON tells the ETag."""
        etag = await self._save_part(request, self._access.ticket(ticket).name, number)
        return JSONResponse({"partNumber": number, "etag": etag}, headers={"etag": f'"{etag}"'})

    async def complete(self, request: Request, ticket: str) -> Response:
        """Join the parts, JavaScript's dialect."""
        return await self._join(request, self._access.ticket(ticket))

    async def upload(self, request: Request) -> Response:
        """A whole file in one POST, Python's dialect."""
        self._access.check_token(request.headers.get("authorization", ""))
        stored = await self._save(request, self._ticket_from_headers(request))
        return JSONResponse({"access_url": f"{request.state.address.media}/files/{stored.name}"})

    async def begin_multipart(self, request: Request) -> Response:
        """Begin a file in parts, Python's dialect: the upload's id is its ticket."""
        self._access.check_token(request.headers.get("authorization", ""))
        ticket = self._ticket_from_headers(request)
        return JSONResponse(
            {
                "access_url": f"{request.state.address.media}/files/{ticket.name}",
                "uploadId": self._access.sign(ticket),
            }
        )

    async def put_file_part(
        self, request: Request, name: str, upload: str, number: int
    ) -> Response:
        """A part, in Python's dialect: the ETag is a header."""
        etag = await self._save_part(request, self._named(upload, name).name, number)
        return Response(headers={"etag": f'"{etag}"'})

    async def complete_file(self, request: Request, name: str, upload: str) -> Response:
        """Join the parts, Python's dialect."""
        return await self._join(request, self._named(upload, name))

    async def read(self, request: Request, name: str) -> Response:
        """A file, for anyone who knows its name."""
        stored = await anyio.to_thread.run_sync(self._files.find, name)
        if stored is None:
            raise Refused(404, "File not found")
        return file_response(request, self._files, stored)

    def _named(self, upload: str, name: str) -> Ticket:
        ticket = self._access.ticket(upload)
        if ticket.name != name:
            raise Refused(401, "The upload is of another file")
        return ticket

    def _ticket(self, request: Request, content_type: str, file_name: str | None) -> Ticket:
        wanted = request.headers.get("x-fal-object-lifecycle") or request.headers.get(
            "x-fal-object-lifecycle-preference"
        )
        usual = self._limits.retention
        life = min(wanted_life(wanted, "X-Fal-Object-Lifecycle") or usual, usual)
        return Ticket(reserve(file_name), content_type or DEFAULT_TYPE, time.time() + life)

    def _ticket_from_headers(self, request: Request) -> Ticket:
        return self._ticket(
            request,
            request.headers.get("content-type", DEFAULT_TYPE),
            request.headers.get("x-fal-file-name"),
        )

    async def _save(self, request: Request, ticket: Ticket) -> StoredFile:
        body = self._capped(request)
        return await anyio.to_thread.run_sync(
            lambda: self._files.save(ticket.name, pulled(body), ticket.description)
        )

    async def _save_part(self, request: Request, name: str, number: int) -> str:
        body = self._capped(request)
        try:
            return await anyio.to_thread.run_sync(
                lambda: self._files.save_part(name, number, pulled(body))
            )
        except ValueError as error:
            raise Refused(400, str(error), error_type="bad_request") from None

    async def _join(self, request: Request, ticket: Ticket) -> Response:
        said = accept(CompleteRequest, await read_json(request, MOST_JSON))
        numbers = [part.partNumber for part in said.parts]
        stored = await anyio.to_thread.run_sync(
            lambda: self._files.join_parts(ticket.name, numbers, ticket.description)
        )
        if stored is None:
            raise Refused(400, "A part is missing; send it again", error_type="bad_request")
        if stored.size > self._limits.max_bytes:
            await anyio.to_thread.run_sync(self._files.delete, stored.name)
            raise self._too_large()
        return JSONResponse({"url": f"{request.state.address.media}/files/{stored.name}"})

    async def _capped(self, request: Request) -> AsyncIterator[bytes]:
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._limits.max_bytes:
            raise self._too_large()
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._limits.max_bytes:
                raise self._too_large()
            if chunk:
                yield chunk

    def _too_large(self) -> Refused:
        return Refused(413, f"The file is larger than {self._limits.max_bytes} bytes")


def pulled(body: AsyncIterator[bytes]) -> Iterator[bytes]:
    """An asynchronous body read from a worker thread, chunk by chunk, never all at once."""
    while True:
        try:
            yield anyio.from_thread.run(_next, body)
        except StopAsyncIteration:
            return


async def _next(body: AsyncIterator[bytes]) -> bytes:
    return await anext(body)


def storage_router(files: FileStore, access: UploadAccess, limits: StorageLimits) -> APIRouter:
    """The routes of ``rest.fal.ai/storage`` and of the CDN."""
    storage = Storage(files, access, limits)
    router = APIRouter()
    rest, media = "/@rest/storage", "/@media"
    router.add_api_route(f"{rest}/auth/token", storage.token, methods=["POST"])
    for name in ("initiate", "initiate-multipart"):
        router.add_api_route(f"{rest}/upload/{name}", storage.initiate, methods=["POST"])
    router.add_api_route(f"{media}/uploads/{{ticket}}", storage.put, methods=["PUT"])
    router.add_api_route(f"{media}/uploads/{{ticket}}/complete", storage.complete, methods=["POST"])
    router.add_api_route(
        f"{media}/uploads/{{ticket}}/{{number}}", storage.put_part, methods=["PUT"]
    )
    router.add_api_route(f"{media}/files/upload", storage.upload, methods=["POST"])
    router.add_api_route(
        f"{media}/files/upload/multipart", storage.begin_multipart, methods=["POST"]
    )
    part = f"{media}/files/{{name}}/multipart/{{upload}}"
    router.add_api_route(f"{part}/complete", storage.complete_file, methods=["POST"])
    router.add_api_route(f"{part}/{{number}}", storage.put_file_part, methods=["PUT"])
    router.add_api_route(f"{media}/files/{{name}}", storage.read, methods=["GET", "HEAD"])
    return router
