"""HTTP/1.1 as uvicorn reads it with llhttp, and what Limner adds to that.

A request's head has a bound, which llhttp leaves to whoever uses it; and 499, which no standard
names, has a reason phrase, which fal's JavaScript client shows as the error's message (wire.md
3.4). Knows bytes on a line; knows no route.
"""

from __future__ import annotations

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Longest head of a request in bytes, with its first line: as much as h11 takes.
LONGEST_HEAD = 64 * 1024

_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


def name_client_closed_request() -> None:
    """Give 499 its phrase, where uvicorn looks phrases up: ASGI has no word for it."""
    httptools_impl.STATUS_LINE[499] = b"HTTP/1.1 499 Client Closed Request\r\n"


class Http11(HttpToolsProtocol):
    """One connection."""

    #: Bytes of the head that is being read; None while none is.
    _head: int | None = None

    def on_message_begin(self) -> None:
        """A head begins, perhaps in the middle of what was received."""
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read on; hang up on a head that has no end."""
        before = self._head
        super().data_received(data)
        if self._head is None or before is None or self.transport.is_closing():
            return
        self._head = before + len(data)
        if self._head > LONGEST_HEAD:
            self.transport.write(_TOO_LONG)
            self.transport.close()
