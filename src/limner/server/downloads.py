"""A stored file as an HTTP answer: Range, ETag, HEAD (RFC 9110), and no power over a browser.

Knows HTTP; knows no store but the contract.
"""

from __future__ import annotations

import re
import time

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from limner.errors import Refused
from limner.files.store import FileStore, StoredFile

#: One range; several, or a position beyond any file, are answered with the whole.
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

#: Types a browser may show by itself; everything else is handed over as a download.
SHOWN = re.compile(r"(image/(?!svg)|video/|audio/|text/plain)", re.IGNORECASE)


def file_response(request: Request, files: FileStore, stored: StoredFile) -> Response:
    """Answer GET or HEAD for a file that is there. Raises Refused 416."""
    etag = f'"{stored.sha256}"'
    headers = {
        "etag": etag,
        "accept-ranges": "bytes",
        "content-type": stored.content_type,
        # What somebody uploaded must never run as a page of ours.
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "content-disposition": "inline" if SHOWN.match(stored.content_type) else "attachment",
        "cache-control": _freshness(stored),
    }
    known = request.headers.get("if-none-match", "")
    if etag in known or known.strip() == "*":
        return Response(status_code=304, headers=headers)
    start, stop, status = 0, stored.size, 200
    wanted = _wanted(request, etag)
    if wanted is not None:
        start, stop = _bounds(wanted, stored.size)
        status = 206
        headers["content-range"] = f"bytes {start}-{stop - 1}/{stored.size}"
    headers["content-length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(
        files.stream(stored.name, start, stop), status_code=status, headers=headers
    )


def _wanted(request: Request, etag: str) -> re.Match[str] | None:
    """The range asked for, if it may be: by GET, understood, and of the file that is here."""
    wanted = RANGE.fullmatch(request.headers.get("range", ""))
    if request.method != "GET" or wanted is None or not any(wanted.groups()):
        return None
    first, last = wanted.groups()
    if first and last and int(last) < int(first):
        return None  # not a range at all (RFC 9110, 14.1.1)
    return wanted if request.headers.get("if-range", etag) == etag else None


def _bounds(wanted: re.Match[str], size: int) -> tuple[int, int]:
    """First byte and the one after the last. Raises Refused 416."""
    first, last = wanted.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise Refused(416, "Range not satisfiable", headers={"content-range": f"bytes */{size}"})
    return start, stop


def _freshness(stored: StoredFile) -> str:
    """A name never changes its content, but a copy must not outlive the original."""
    left = 31_536_000 if stored.expires_at is None else stored.expires_at - time.time()
    return f"public, max-age={max(0, int(left))}, immutable"
