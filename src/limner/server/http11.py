"""HTTP/1.1 as uvicorn reads it with llhttp, and what Limner adds to that.

A request's head and the fields behind a body have a bound, which llhttp leaves to whoever uses it;
an upgrade to what nobody here speaks is not heard, and its call read like any other (decision
0077); and 499, which no standard names, has a reason phrase, which fal's JavaScript client shows as
the error's message (wire.md 3.4). Knows bytes on a line; knows no route.
"""

from __future__ import annotations

import httptools
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

    #: Is a head being read? What comes as fields at other times are trailers.
    _in_head = False

    #: Bytes that were received since anything came of them: of a head, a trailer, a chunk's name.
    _idle = 0

    #: Does the head that is whole ask for an upgrade that is not heard? It is read once more then.
    _unheard = False

    def on_message_begin(self) -> None:
        """A head begins, perhaps in the middle of what was received."""
        self._in_head, self._idle = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of a head; one behind a body is nobody's here, and too late to be a header."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head, self._idle = False, 0
        # CONNECT leads elsewhere by itself; there is nothing here to read it without.
        if (
            self.parser.should_upgrade()
            and not self._should_upgrade()
            and self.parser.get_method() != b"CONNECT"
        ):
            self._unheard = True
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of a body."""
        self._idle = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A call is whole."""
        self._idle = 0
        if not self._unheard:
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Read on; hang up on a head, or a trailer, that has no end."""
        self._idle += len(data)
        self._read(data)
        # What begins in the middle of ``data`` is counted from the next on.
        if self._idle <= LONGEST_HEAD or self.transport.is_closing():
            return
        # There is no cycle before the first call, whatever its type says.
        if self._in_head or not getattr(self.cycle, "response_started", False):
            self.transport.write(_TOO_LONG)
        self.transport.close()

    def _should_upgrade(self) -> bool:
        """Does a websocket begin here? Only by GET (RFC 6455, 4.1)."""
        return super()._should_upgrade() and self.parser.get_method() == b"GET"

    def _read(self, data: bytes) -> None:
        """As uvicorn reads, but for upgrades that are not heard."""
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._read_some(rest) :]
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")

    def _read_some(self, data: memoryview) -> int:
        """Read up to the end of a head with an upgrade, or all; how many bytes."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif self._unheard:
                self._read_head_again()
                return upgrade.args[0]
        return len(data)

    def _read_head_again(self) -> None:
        """The same head without its upgrade, for a parser that has not seen it.

        The one that has takes the call to have no body, and the body for the next call.
        """
        fields = [field for field in self.headers if field[0] != b"upgrade"]
        version = self.parser.get_http_version().encode()
        head = self.parser.get_method() + b" " + self.url + b" HTTP/" + version + b"\r\n"
        head += b"".join(name + b": " + value + b"\r\n" for name, value in fields)
        self._unheard = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(head + b"\r\n")
