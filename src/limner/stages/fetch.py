"""The one door for URLs that a caller gives: in for pictures, out for webhooks.

A data URI, a file of this very server, or http(s) to a checked address; bytes are capped while
they stream and seconds in all. Messages name a host, never a path, query or address.
Knows URLs and HTTP; knows nothing of pictures.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes, urljoin

import httpx2

from limner.errors import FileDownloadError, FileTooLarge
from limner.stages.addresses import Resolver, Target, resolve, system_resolver

#: Redirects followed before a download is given up.
MOST_REDIRECTS = 5

REDIRECTS = frozenset({301, 302, 303, 307, 308})

#: Some hosts refuse clients that do not say who they are.
USER_AGENT = "limner"


class Door:
    """Fetches what callers name, and posts what they are owed. Safe from several threads."""

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
        """The receiver's status; a redirect is a status like any other.

        Raises FileDownloadError when the receiver cannot or must not be reached.
        """
        target = self._resolve(url)
        with _told(target.host), self._client(timeout) as client:
            request = self._request(client, "POST", target, headers, body)
            answer = client.send(request, stream=True)
            answer.close()
            return answer.status_code

    def _inline(self, url: str) -> bytes:
        """A data URI (RFC 2397)."""
        head, comma, payload = url[5:].partition(",")
        if not comma:
            raise FileDownloadError(
                "The data URI has no comma. Write data:<type>;base64,<content>."
            )
        if len(payload) * 3 // 4 > self._max_bytes + 3:
            raise self._too_large()
        if not head.lower().endswith(";base64"):
            return self._capped(unquote_to_bytes(payload))
        try:
            text = unquote_to_bytes(payload) if "%" in payload else payload.encode()
            return self._capped(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            raise FileDownloadError("The data URI's content is not valid base64.") from None

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
        deadline = time.monotonic() + self._timeout
        with self._client(self._timeout) as client:
            for _ in range(MOST_REDIRECTS + 1):
                target = self._resolve(url)
                with _told(target.host):
                    request = self._request(client, "GET", target, {"accept": "*/*"}, None)
                    answer = client.send(request, stream=True)
                    try:
                        if answer.status_code not in REDIRECTS:
                            return self._content(answer, target.host, deadline)
                        url = urljoin(url, answer.headers.get("location", ""))
                    finally:
                        answer.close()
        raise FileDownloadError(f"The URL was redirected more than {MOST_REDIRECTS} times.")

    def _content(self, answer: httpx2.Response, host: str, deadline: float) -> bytes:
        if answer.status_code != 200:
            raise FileDownloadError(
                f"The host {host} answered {answer.status_code}. Check that the URL is public."
            )
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise FileDownloadError(
                f"The host {host} sent compressed content that was not asked for."
            )
        declared = answer.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise self._too_large()
        content = bytearray()
        for chunk in answer.iter_raw():
            content += chunk
            if len(content) > self._max_bytes:
                raise self._too_large()
            if time.monotonic() > deadline:
                raise FileDownloadError(
                    f"The host {host} took longer than {self._timeout:g} s. Upload the file."
                )
        return bytes(content)

    def _resolve(self, url: str) -> Target:
        return resolve(url, allow_private=self._allow_private, resolver=self._resolver)

    def _client(self, timeout: float) -> httpx2.Client:
        # No proxies or .netrc of the environment: they would undo the check of the address.
        return httpx2.Client(timeout=timeout, follow_redirects=False, trust_env=False)

    def _request(
        self,
        client: httpx2.Client,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> httpx2.Request:
        return client.build_request(
            method,
            target.pinned,
            headers={
                "user-agent": USER_AGENT,
                **headers,
                "host": target.host_header,
                "accept-encoding": "identity",
            },
            content=body,
            # The certificate must still be the name's, not the address's.
            extensions={"sni_hostname": target.host},
        )


@contextmanager
def _told(host: str) -> Generator[None]:
    """Any failure of the network as one that names the host and nothing else."""
    try:
        yield
    except httpx2.TimeoutException:
        raise FileDownloadError(f"The host {host} did not answer in time.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
        raise FileDownloadError(f"The host {host} could not be reached or broke off.") from None
