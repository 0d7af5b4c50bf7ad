"""``limner work``: one worker process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import typer

from limner.cli.house import (
    open_files,
    open_ledger,
    picture_signer,
    set_up_logging,
    settle,
    traced,
    workshop,
)
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint
from limner.settings import Settings
from limner.stages.fetch import Door
from limner.worker.engines import Engines
from limner.worker.loop import Worker, WorkerParts
from limner.worker.pictures import PictureRules, own_file_reader


def chosen(names: str | None) -> Sequence[Endpoint]:
    """The endpoints of a comma-separated list; all for None."""
    if names is None:
        return ENDPOINTS
    known = {endpoint.id: endpoint for endpoint in ENDPOINTS}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    strange = [name for name in wanted if name not in known]
    if strange or not wanted:
        raise typer.BadParameter(
            f"There is no endpoint {', '.join(strange) or names!r}; there are {', '.join(known)}"
        )
    return [known[name] for name in dict.fromkeys(wanted)]


def on_device(device: str | None) -> None:
    """Let this process see only the device ``cpu`` or ``cuda:N``, before torch looks for it."""
    if device is None:
        return
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise typer.BadParameter(f"The device is cpu or cuda:N, not {device}")
    if kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif number:
        # N of those that may be seen here: a cluster's scheduler may have hidden some already.
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        names = seen.split(",") if seen else []
        if names and int(number) >= len(names):
            raise typer.BadParameter(f"There is no {device}: {len(names)} can be seen here")
        os.environ["CUDA_VISIBLE_DEVICES"] = names[int(number)] if names else number


def work(
    *,
    until_eof: bool,
    endpoints: Sequence[Endpoint] = ENDPOINTS,
    device: str | None = None,
    warm: bool = True,
) -> None:
    """Build a worker from the settings and run it until SIGTERM, SIGINT or the end of stdin.

    ``device``: what it draws on, as it tells the others. ``warm``: open the engines at once, in the
    background, instead of with the first request.
    """
    settings = Settings()
    set_up_logging(settings)
    with open_worker(settings, endpoints, device=device or "auto", warm=warm) as worker:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: worker.stop())
        if until_eof:
            # The server holds the other end: when it dies, however it dies, so do we.
            threading.Thread(target=_stop_at_eof, args=(worker,), daemon=True).start()
        settle()
        worker.run()


@contextmanager
def open_worker(
    settings: Settings, endpoints: Sequence[Endpoint], *, device: str, warm: bool
) -> Generator[Worker]:
    """A worker with everything it needs open, to be run while the block lasts."""
    files = open_files(settings)
    engines = Engines(endpoints, settings.engine, workshop(settings))
    if warm:
        engines.warm_up()
    with traced() as tracing, open_ledger(settings) as ledger:
        yield Worker(
            WorkerParts(
                ledger=ledger,
                files=files,
                door=Door(
                    allow_private=settings.allow_private_urls,
                    max_bytes=settings.max_download_bytes,
                    timeout=settings.download_timeout,
                    own_file=own_file_reader(files),
                ),
                engines=engines,
                slots=settings.slots,
                lease=settings.lease,
                pictures=PictureRules(
                    settings.retention, settings.ai_mark, picture_signer(settings)
                ),
                device=device,
                tracing=tracing,
            )
        )


def _stop_at_eof(worker: Worker) -> None:
    """Stop the worker when standard input ends.

    Read below Python's buffer, whose lock a thread still waiting for it would hold when the process
    ends: the interpreter takes that for a fatal error.
    """
    while os.read(sys.stdin.fileno(), 4096):
        pass
    worker.stop()
