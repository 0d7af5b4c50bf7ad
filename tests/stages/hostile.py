"""A real HTTP server on a raw socket that misbehaves as a test tells it to."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

#: Gets the connection and the request's head (bytes up to the empty line).
Behaviour = Callable[[socket.socket, bytes], None]

#: How a TLS handshake begins (RFC 8446, 5.1), which a plain server takes for noise.
CLIENT_HELLO = b"\x16\x03"


class Hostile:
    """Listens on a loopback address; every connection gets the behaviour of its path."""

    def __init__(self, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.paths: dict[str, Behaviour] = {}
        #: The heads of all requests, as they came.
        self.asked: list[bytes] = []
        self._tls = tls
        self._stop = threading.Event()
        self._socket = socket.create_server((address, 0))
        self.port: int = self._socket.getsockname()[1]
        self.base = f"{'https' if tls else 'http'}://{address}:{self.port}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def says(self, path: str, answer: bytes) -> str:
        """Answer ``path`` with these bytes and hang up; its URL."""
        return self.does(path, lambda line, _: line.sendall(answer))

    def does(self, path: str, behaviour: Behaviour) -> str:
        """Give ``path`` a behaviour; its URL."""
        self.paths[path] = behaviour
        return self.base + path

    @property
    def stopped(self) -> bool:
        """Should endless behaviours end?"""
        return self._stop.is_set()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        answering: list[threading.Thread] = []
        while not self._stop.is_set():
            try:
                line, _ = self._socket.accept()
            except OSError:
                break
            answering.append(threading.Thread(target=self._answer, args=(line,)))
            answering[-1].start()
        for thread in answering:
            thread.join()

    def _answer(self, line: socket.socket) -> None:
        with suppress(OSError), line:
            if self._tls is not None:
                line = self._tls.wrap_socket(line, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head and (more := line.recv(65536)):
                head += more
                if head.startswith(CLIENT_HELLO):
                    break
            self.asked.append(head)
            path = head.split(b" ")[1].decode() if head[:1].isalpha() else ""
            self.paths.get(path, lambda line, _: line.sendall(response(b"", 404)))(line, head)
            line.close()


def response(body: bytes, status: int = 200, **headers: object) -> bytes:
    """An honest HTTP/1.1 answer, unless ``headers`` say otherwise."""
    said: dict[str, object] = {"Content-Length": len(body), "Connection": "close"}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in said.items()]
    return f"HTTP/1.1 {status} X\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + body
