"""``limner work``: one worker process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence

from limner.cli.house import open_files, open_ledger, set_up_logging, workshop
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint
from limner.settings import Settings
from limner.stages.fetch import Door
from limner.worker.engines import Engines
from limner.worker.loop import Worker, WorkerParts
from limner.worker.pictures import own_file_reader


def work(*, until_eof: bool, endpoints: Sequence[Endpoint] = ENDPOINTS, warm: bool = True) -> None:
    """Build a worker from the settings and run it until SIGTERM, SIGINT or the end of stdin.

    ``warm``: open the engines at once, in the background, instead of with the first request.
    """
    settings = Settings()
    set_up_logging(settings)
    files = open_files(settings)
    engines = Engines(endpoints, settings.engine, workshop(settings))
    if warm:
        engines.warm_up()
    with open_ledger(settings) as ledger:
        worker = Worker(
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
                retention=settings.retention,
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: worker.stop())
        if until_eof:
            # The server holds the other end: when it dies, however it dies, so do we.
            threading.Thread(target=_stop_at_eof, args=(worker,), daemon=True).start()
        worker.run()


def _stop_at_eof(worker: Worker) -> None:
    """Stop the worker when standard input ends.

    Read below Python's buffer, whose lock a thread still waiting for it would hold when the process
    ends: the interpreter takes that for a fatal error.
    """
    while os.read(sys.stdin.fileno(), 4096):
        pass
    worker.stop()
