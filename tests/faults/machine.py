"""The parts of a machine that can be spoilt for a server alone: a disk of its own, and its clock.

The disk is a real one, ext4 on a loop device, and needs root; the clock is a library loaded before
libc, and needs a C compiler. Where they cannot be had, ``can`` says so and their faults are left
out. Knows disks and clocks; knows no server.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.rig.process import eventually

SOURCE = Path(__file__).parent / "clock.c"

#: Bytes of a disk: a ledger, its log and some thousand small pictures.
ROOM = 96 << 20


class Disk:
    """A small disk, mounted on a folder; close it."""

    def __init__(self, folder: Path, room: int = ROOM) -> None:
        self._folder = folder
        self._image = folder.with_name(folder.name + ".disk")
        self._ballast = folder / "ballast"
        with self._image.open("wb") as image:
            image.truncate(room)
        # Without blocks that only root may use: a server is not root's everywhere.
        _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        folder.mkdir(parents=True, exist_ok=True)
        self._mount()

    @staticmethod
    @cache
    def can() -> bool:
        """Can a disk be made and mounted here?"""
        if os.geteuid() != 0:
            return False
        with tempfile.TemporaryDirectory() as folder:
            try:
                Disk(Path(folder) / "tried").close()
            except (OSError, subprocess.CalledProcessError):
                return False
        return True

    @contextmanager
    def full(self) -> Generator[None]:
        """Leave no room while the block lasts."""
        try:
            with suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
                for size in (1 << 20, 4096):
                    with suppress(OSError):
                        while True:
                            ballast.write(bytes(size))
                os.fsync(ballast.fileno())
            yield
        finally:
            self._ballast.unlink(missing_ok=True)

    def spoil(self, users: Collection[int]) -> None:
        """Let nothing be written any more, as the kernel does when a disk gives false answers.

        ``users``: process groups of those who write to it. No fsync of theirs is under way then,
        because ext4 answers yes to one that is, and keeps nothing (docs/decisions/0055).
        """
        with at_rest(users):
            _run("mount", "-o", "remount,abort", str(self._folder))

    def mend(self) -> None:
        """Mount it anew; whoever has a file of it open must have been killed."""
        self._unmount()
        self._mount()

    def close(self) -> None:
        """Throw it away."""
        self._unmount()
        self._image.unlink()

    def _unmount(self) -> None:
        def unmounted() -> bool:
            told = subprocess.run(["umount", self._folder], capture_output=True, check=False)
            return told.returncode == 0

        eventually(unmounted)  # whoever was killed closes its files when it is gone already

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self._folder))


class WallClock:
    """The time of day of every process that has ``env``."""

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        _run("cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE))
        self._ahead = folder / "clock-ahead"
        self.set(0)
        self.env = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(self._ahead)}

    @staticmethod
    def can() -> bool:
        """Is there a compiler, and a loader that takes what it makes?"""
        return os.uname().sysname == "Linux" and shutil.which("cc") is not None

    def set(self, ahead: int) -> None:
        """``ahead``: seconds before or behind the machine's own clock."""
        with self._ahead.open("r+b" if self._ahead.exists() else "w+b") as file:
            file.write(struct.pack("q", ahead))


@contextmanager
def at_rest(groups: Collection[int]) -> Generator[None]:
    """No thread of these process groups is in a call to the kernel while the block lasts."""
    try:
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGSTOP)
        # Whoever waits for a disk stops only when its call has come back.
        eventually(lambda: set(_states(groups)) <= set("TtZX"))
        yield
    finally:
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGCONT)


def _states(groups: Collection[int]) -> Iterator[str]:
    """The state of every thread of these process groups (proc(5), ``stat``)."""
    for stat in Path("/proc").glob("[0-9]*/task/*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) in groups:
                yield state


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
