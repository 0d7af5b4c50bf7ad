"""Waking other processes when something in the ledger changed, so that nobody has to poll.

Every listener binds a Unix datagram socket in a private folder that belongs to the database;
whoever commits sends the topics to all of them. A lost ring is harmless: listeners look again
after half a second anyway. Where there are no such sockets, that look is all there is.

Topics: ``queued``, ``step:<id>``, ``done:<id>``, ``cancel:<id>``, ``moved`` (the
queue got shorter), ``outbox``.
Knows sockets; knows no request.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

#: Largest datagram; topics beyond it are left to the half-second look.
MOST_BYTES = 60_000

#: Bytes in the path of a socket, and of what is added to the folder for one: a process and 32 bits.
LONGEST, LONGEST_EAR = 103, 20


def bell_folder(url: str) -> Path | None:
    """A folder only this user can enter, the same for every process that opens ``url``.

    Under the system's temporary folder because a socket's path may have LONGEST bytes at most;
    under ``/tmp`` where that one's own name is too long. None where Unix sockets do not exist or
    the folder is somebody else's.
    """
    if not hasattr(socket, "AF_UNIX") or not hasattr(os, "getuid"):
        return None
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    under = f"limner-{os.getuid()}-{name}"
    folder = Path(tempfile.gettempdir()) / under
    if len(os.fsencode(folder)) + LONGEST_EAR > LONGEST:
        folder = Path("/tmp") / under
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    return folder if private and found.st_uid == os.getuid() else None


class Bell:
    """Rings for everybody who has the same database open."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._sender: socket.socket | None = None
        if folder is not None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)

    def ring(self, topics: Iterable[str]) -> None:
        """Tell every listener; never waits, never fails."""
        message = "\n".join(topics).encode()
        if self._folder is None or self._sender is None or not message:
            return
        try:
            ears = list(self._folder.iterdir())
        except OSError:
            return  # somebody swept the temporary folder: every listener looks by itself
        for ear in ears:
            try:
                self._sender.sendto(message[:MOST_BYTES], str(ear))
            except ConnectionRefusedError:
                ear.unlink(missing_ok=True)  # its process is gone
            except OSError:
                pass  # a full or vanished socket: that listener looks by itself

    @contextmanager
    def hear(self, heard: Callable[[str], None]) -> Generator[None]:
        """Call ``heard`` with each topic, on a thread of its own, while the block lasts."""
        if self._folder is None:
            yield
            return
        path = self._folder / f"{os.getpid()}-{os.urandom(4).hex()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(str(path))
            listener = threading.Thread(target=_listen, args=(ear, heard), daemon=True)
            listener.start()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
                ear.shutdown(socket.SHUT_RD)
                listener.join()

    def close(self) -> None:
        """Ring no more."""
        if self._sender is not None:
            self._sender.close()


def _listen(ear: socket.socket, heard: Callable[[str], None]) -> None:
    # An empty message is the shutdown.
    while message := ear.recv(MOST_BYTES):
        for topic in message.decode(errors="replace").split("\n"):
            heard(topic)
