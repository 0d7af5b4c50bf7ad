"""One port for plain HTTP, TLS, and fal's names through ``CONNECT``.

A program told ``HTTPS_PROXY=http://here:port`` opens a tunnel to ``queue.fal.run:443`` and speaks
TLS inside. The first byte of a connection tells what it is: a TLS handshake, a CONNECT, or plain
HTTP. It is looked at without being taken (``MSG_PEEK``), so each connection is then handed, as it
came, to the same HTTP protocol. A tunnel to one of fal's names ends here, at our own
certificate; any other is refused, and nothing is ever forwarded.
Knows sockets and the first line of a request; knows no path, key or endpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import cast

import structlog
import uvicorn

from limner.server.hosts import part_of

log = structlog.get_logger(__name__)

#: First byte of a TLS handshake record (RFC 8446, 5.1).
HANDSHAKE = b"\x16"

#: First byte of CONNECT; no other method that anybody here answers begins with it.
CONNECT = b"C"

#: Seconds that a connection gets to say what it is, and to finish its TLS handshake.
PATIENCE = 30.0

#: Longest head of a CONNECT in bytes; one read takes all of it.
LONGEST_HEAD = 8192

#: Seconds to wait when the process has no file descriptor left for another connection.
BREATH = 0.1

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Front:
    """Accepts connections on a listening socket until closed."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext,
    ) -> None:
        """``protocol`` makes the HTTP protocol of one connection, plain or decrypted."""
        self._sock = sock
        self._protocol = protocol
        self._tls = tls
        self._arriving: set[asyncio.Task[None]] = set()
        sock.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Take no more connections; those that were handed on live on."""
        self._accepting.cancel()
        for task in self._arriving:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until what :meth:`close` stopped has stopped."""
        await asyncio.gather(self._accepting, *self._arriving, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._sock)
            except OSError as error:
                log.warning("accept_failed", error=error.strerror)
                await asyncio.sleep(BREATH)
                continue
            task = asyncio.create_task(self._arrive(sock))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _arrive(self, sock: socket.socket) -> None:
        """Find out what a connection is and hand it on; whatever goes wrong is its own end."""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handed_on = False
        try:
            # A peer that hangs up, says nothing, or speaks broken TLS is nobody's fault here.
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    said = await _peek(sock)
                    if said == CONNECT:
                        said = await self._tunnel(sock)
                    if said:
                        handed_on = True
                        await asyncio.get_running_loop().connect_accepted_socket(
                            self._protocol,
                            sock,
                            ssl=self._tls if said == HANDSHAKE else None,
                        )
        finally:
            if not handed_on:
                sock.close()

    async def _tunnel(self, sock: socket.socket) -> bytes:
        """Open the tunnel or refuse it; the first byte inside, nothing when it was refused."""
        loop = asyncio.get_running_loop()
        method, _, rest = (await _read_head(sock)).partition(b" ")
        target = rest.partition(b" ")[0].decode("latin-1")
        if method != b"CONNECT" or part_of(target) is None:
            await loop.sock_sendall(sock, _refusal(target))
            return b""
        await loop.sock_sendall(sock, OPENED)
        return await _peek(sock)


class FrontServer(uvicorn.Server):
    """uvicorn with a :class:`Front` instead of its own listener."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext) -> None:
        super().__init__(config)
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application; listen with a Front on each of ``sockets``."""
        await super().startup(sockets=[])

        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        protocol = partial(
            make,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self._fronts = [Front(sock, protocol, self._tls) for sock in sockets or []]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the Fronts, then everything else as uvicorn does."""
        for front in self._fronts:
            front.close()
            await front.wait_closed()
        await super().shutdown(sockets=sockets)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(sock)


async def _peek(sock: socket.socket) -> bytes:
    """The first byte, left where it is; nothing when the peer has hung up."""
    await _readable(sock)
    return sock.recv(1, socket.MSG_PEEK)


async def _read_head(sock: socket.socket) -> bytes:
    """The head of a CONNECT. A client sends nothing behind it before it has the answer."""
    loop = asyncio.get_running_loop()
    head = b""
    while b"\r\n\r\n" not in head:
        more = await loop.sock_recv(sock, LONGEST_HEAD)
        if not more or len(head) > LONGEST_HEAD:
            return b""
        head += more
    return head


def _refusal(target: str) -> bytes:
    text = (
        f"Limner answers for fal's names and forwards nothing: {target!a} is not one of them. "
        "Put other hosts in NO_PROXY.\n"
    ).encode()
    return (
        b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(text), text)
    )
