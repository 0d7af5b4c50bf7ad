"""What a client really sends: a relay on the wire that writes down every request passing through.

It parses with h11 and so knows nothing of how Limner reads the same bytes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass

import h11


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it came over the wire; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Recorder:
    """Relays connections to ``port`` of this machine and keeps the requests in ``sent``."""

    def __init__(self, port: int) -> None:
        self.sent: list[Sent] = []
        self._port = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Hang up on everybody: clients keep connections open for a call that never comes."""
        for sock in (self._listener, *self._open):
            _hang_up(sock)
        for thread in self._threads:
            thread.join(10)
        for sock in (self._listener, *self._open):
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._open += [client, server]
            for work, source, sink in (
                (self._record, client, server),
                (_relay, server, client),
            ):
                thread = threading.Thread(target=work, args=(source, sink), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _record(self, client: socket.socket, server: socket.socket) -> None:
        """Client to server, parsed on the way until it becomes something else than HTTP."""
        parser = h11.Connection(h11.SERVER)
        request: h11.Request | None = None
        body = b""
        while chunk := _receive(client):
            server.sendall(chunk)
            if request is not None and "upgrade" in _sent(request, b"").headers:
                continue
            parser.receive_data(chunk)
            while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Request):
                    request, body = event, b""
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage) and request is not None:
                    self.sent.append(_sent(request, body))
                    # The answer goes its own way; here its place is only marked.
                    parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                    parser.send(h11.EndOfMessage())
                    if "upgrade" not in self.sent[-1].headers:
                        parser.start_next_cycle()
        _hang_up(server)


def _sent(request: h11.Request, body: bytes) -> Sent:
    headers = {name.decode(): value.decode() for name, value in request.headers}
    return Sent(request.method.decode(), request.target.decode(), headers, body)


def _relay(source: socket.socket, sink: socket.socket) -> None:
    while chunk := _receive(source):
        with contextlib.suppress(OSError):
            sink.sendall(chunk)
    _hang_up(sink)


def _hang_up(sock: socket.socket) -> None:
    """Wake whoever reads it; closing alone would not."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except OSError:
        return b""
