"""One HTTP call to addresses that were checked, with one deadline for all of it.

httpx2's timeouts are for one read each: a host that drips a byte at a time never meets them. So
httpcore2, which carries httpx2, gets a network whose every step has only the time that is left,
and which connects to the checked addresses whatever the host's name means by now.
Knows sockets and HTTP; knows no policy.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import httpcore2

from limner.errors import FileDownloadError
from limner.stages.addresses import Target

#: Addresses of one host that are tried; a host with more has enough that work.
MOST_ADDRESSES = 4

#: Bytes sent between two looks at the deadline.
PIECE = 1 << 14

#: Everything that httpcore2 raises when a call fails.
_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    OSError,
    ValueError,
)


class Deadline:
    """A moment at which all must be over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left. Raises httpcore2.ReadTimeout when there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout
        return left


@contextmanager
def dial(
    target: Target,
    method: str,
    headers: Mapping[str, str],
    *,
    deadline: Deadline,
    tls: ssl.SSLContext,
    body: bytes | None = None,
) -> Generator[httpcore2.Response]:
    """Call ``target`` and hold the line while its answer is read; never follows a redirect.

    Raises FileDownloadError, which names the host and nothing else.
    """
    network = _Network(target.addresses, deadline)
    said = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    try:
        with (
            httpcore2.ConnectionPool(ssl_context=tls, network_backend=network) as pool,
            pool.stream(method, str(target.url), headers=said, content=body) as answer,
        ):
            yield answer
    except httpcore2.TimeoutException:
        raise FileDownloadError(
            f"The host {target.host} took longer than {deadline.seconds:g} s.", "Upload the file."
        ) from None
    except _FAILURES:
        raise FileDownloadError(
            f"The host {target.host} could not be reached or broke off.", "Check the URL."
        ) from None


class _Network(httpcore2.NetworkBackend):
    """Connects to the first checked address that answers."""

    def __init__(self, addresses: tuple[str, ...], deadline: Deadline) -> None:
        self._addresses = addresses[:MOST_ADDRESSES]
        self._deadline = deadline
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for tried, address in enumerate(self._addresses):
            # A share of the time each, so that one dead address does not use it up.
            share = self._deadline.left() / (len(self._addresses) - tried)
            try:
                stream = self._inner.connect_tcp(address, port, share, None, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure


class _Stream(httpcore2.NetworkStream):
    """A connection of which every step has only the time that is left."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces: the time is for each send, and a slow reader makes many of one buffer.
        for start in range(0, len(buffer), PIECE):
            self._inner.write(buffer[start : start + PIECE], self._deadline.left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            left = self._deadline.left()
        except httpcore2.ReadTimeout:
            self.close()
            raise
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
