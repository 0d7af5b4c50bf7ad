"""The one door for URLs that a caller gives: in for pictures, out for webhooks.

A data URI, a file of this very server, or http(s) to a checked address; bytes are capped while
they stream and seconds in all. Messages name a host, never a path, query or address.
Knows URLs and HTTP; knows nothing of pictures.
"""

from __future__ import annotations

import binascii
import re
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from urllib.parse import unquote_to_bytes

import httpcore2
import httpx2

from limner.errors import FileDownloadError, FileTooLarge
from limner.stages.addresses import Resolver, Target, resolve, system_resolver
from limner.stages.dial import Deadline, dial

#: Redirects followed before a download is given up.
MOST_REDIRECTS = 5

REDIRECTS = frozenset({301, 302, 303, 307, 308})

#: Some hosts refuse clients that do not say who they are.
USER_AGENT = "limner"

#: A percent sign that begins no escape.
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Door:
    """Fetches what callers name, and posts what they are owed. Safe from several threads.

    Proxies of the environment are never used: they would resolve the name once more, and undo
    the check of its addresses.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        max_bytes: int,
        timeout: float,
        own_file: Callable[[str], bytes | None] = lambda _: None,
        resolver: Resolver = system_resolver,
    ) -> None:
        """``timeout``: seconds for a whole download. ``own_file``: a URL's bytes if it is ours."""
        self._allow_private = allow_private
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._own_file = own_file
        self._resolver = resolver

    def read(self, url: str) -> bytes:
        """The bytes behind ``url``. Raises FileDownloadError, FileTooLarge (no field set)."""
        if url[:5].lower() == "data:":
            return self._inline(url)
        own = self._own_file(url)
        if own is not None:
            return self._capped(own)
        return self._download(url)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> int:
        """The receiver's status within ``timeout`` seconds; a redirect is a status like any other.

        Raises FileDownloadError when the receiver cannot or must not be reached.
        """
        deadline = Deadline(timeout)
        said = {"user-agent": USER_AGENT, **headers}
        with dial(
            self._resolve(url), "POST", said, deadline=deadline, tls=self._tls, body=body
        ) as answer:
            return answer.status

    def _inline(self, url: str) -> bytes:
        """A data URI (RFC 2397): its size is known before it is decoded."""
        head, comma, payload = url[5:].partition(",")
        if not comma:
            raise FileDownloadError(
                "The data URI has no comma. Write data:<type>;base64,<content>."
            )
        length = len(payload) - 2 * payload.count("%")
        encoded = head.lower().endswith(";base64")
        if (length * 3 // 4 - 2 if encoded else length) > self._max_bytes:
            raise self._too_large()
        if not payload.isascii() or BAD_ESCAPE.search(payload):
            raise FileDownloadError("The data URI's content is not percent-encoded as it should.")
        content = unquote_to_bytes(payload) if "%" in payload else payload.encode()
        if encoded:
            try:
                content = binascii.a2b_base64(content, strict_mode=True)
            except binascii.Error:
                raise FileDownloadError(
                    "The data URI's content is not valid base64. Encode the whole file again."
                ) from None
        return self._capped(content)

    def _capped(self, content: bytes) -> bytes:
        if len(content) > self._max_bytes:
            raise self._too_large()
        return content

    def _too_large(self) -> FileTooLarge:
        return FileTooLarge(
            f"The file is larger than {self._max_bytes} bytes. Send a smaller one.",
            ctx={"max_size": self._max_bytes},
        )

    def _download(self, url: str) -> bytes:
        deadline = Deadline(self._timeout)
        said = {"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": "identity"}
        for _ in range(MOST_REDIRECTS + 1):
            target = self._resolve(url)
            with dial(target, "GET", said, deadline=deadline, tls=self._tls) as answer:
                if answer.status not in REDIRECTS:
                    return self._content(answer, target.host)
                url = _next(target, answer)
        raise FileDownloadError(
            f"The URL was redirected more than {MOST_REDIRECTS} times. Give the last address."
        )

    def _content(self, answer: httpcore2.Response, host: str) -> bytes:
        if answer.status != 200:
            raise FileDownloadError(
                f"The host {host} answered {answer.status}. Check that the URL is public."
            )
        # What unpacks to a thousand times its size was never asked for.
        if _header(answer, b"content-encoding").lower() not in ("", "identity"):
            raise FileDownloadError(
                f"The host {host} sent compressed content that was not asked for. Upload the file."
            )
        declared = _header(answer, b"content-length")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise self._too_large()
        content = bytearray()
        for chunk in answer.iter_stream():
            content += chunk
            if len(content) > self._max_bytes:
                raise self._too_large()
        return bytes(content)

    def _resolve(self, url: str) -> Target:
        return resolve(url, allow_private=self._allow_private, resolver=self._resolver)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made when first needed: reading the certificates takes longer than a small download."""
        return httpx2.create_ssl_context(trust_env=False)


def _header(answer: httpcore2.Response, name: bytes) -> str:
    """All values of a header, joined as RFC 9110 joins them."""
    values = [value for key, value in answer.headers if key.lower() == name]
    return b", ".join(values).decode("latin-1").strip()


def _next(target: Target, answer: httpcore2.Response) -> str:
    """Where a redirect leads."""
    location = _header(answer, b"location")
    try:
        if location:
            return str(target.url.join(location))
    except (httpx2.InvalidURL, ValueError):
        pass
    raise FileDownloadError(f"The host {target.host} redirects to nowhere. Check the URL.")
