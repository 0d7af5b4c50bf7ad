"""``limner work --ray``: the workers of ``limner work``, placed by Ray as actors.

An actor is a worker and nothing else: it claims from the ledger and answers to its leases. Ray
finds it a place, starts it anew when it dies, and takes it away; how many there should be is read
from the ledger here. Between this process and the actors goes what they are made with, their names
and the word to end.
Knows settings and Ray, which is imported when it is asked for; knows no request.
"""

from __future__ import annotations

import importlib
import math
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from limner.cli.house import PIP_INDEX, open_ledger, set_up_logging
from limner.cli.work import on_device, open_worker
from limner.endpoints.base import Endpoint
from limner.errors import Misconfigured, whereabouts
from limner.requests.connections import is_sqlite
from limner.requests.ledger import Ledger
from limner.settings import Settings
from limner.settings_file import CONFIG_VARIABLE, PREFIX
from limner.worker.loop import Worker
from limner.worker.scaling import Bounds, Scale

log = structlog.get_logger(__name__)

#: Seconds between looks at the ledger.
LOOK_EVERY = 1.0

#: Seconds for which fewer workers must have done before there are fewer, as deploy's KEDA has it.
PATIENCE = 300.0

#: Seconds an actor gets to answer; to finish or give back what it holds.
ANSWER, FAREWELL = 1.0, 15.0

#: Seconds after which an actor whose worker failed ends, for Ray to start it anew.
PAUSE = 3.0


class RayWorker:
    """The actor: a worker in a thread, for as long as the process lives."""

    def __init__(
        self, endpoints: Sequence[Endpoint], gpu: bool, warm: bool, variables: Mapping[str, str]
    ) -> None:
        """``variables``: of the environment that placed it; this machine's own go before."""
        for name, value in variables.items():
            os.environ.setdefault(name, value)
        if gpu:
            device = f"cuda:{_ray().get_gpu_ids()[0]}"
        else:
            on_device(device := "cpu")
        self._worker: Worker | None = None
        self._ending = threading.Event()
        self._life = threading.Thread(target=self._live, args=(endpoints, device, warm))
        self._life.start()

    def name(self) -> str | None:
        """What its worker is called in the ledger; None until it is open."""
        return self._worker.name if self._worker is not None else None

    def end(self) -> None:
        """Claim no more, finish or give back what is held, and take leave."""
        self._ending.set()
        if self._worker is not None:
            self._worker.stop()
        self._life.join()

    def _live(self, endpoints: Sequence[Endpoint], device: str, warm: bool) -> None:
        try:
            settings = Settings()
            set_up_logging(settings)
            with open_worker(settings, endpoints, device=device, warm=warm) as self._worker:
                if not self._ending.is_set():
                    self._worker.run()
        except Exception as fault:  # noqa: BLE001 - Ray restarts what ends, not what fails to open
            log.error("worker_failed", fault=whereabouts(fault))
        if not self._ending.wait(PAUSE):
            os._exit(1)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the operator wants the workers placed."""

    endpoints: Sequence[Endpoint]
    #: ``cpu``, or None and ``cuda`` for a GPU each. Raises Misconfigured for anything else.
    device: str | None = None
    fewest: int = 1
    #: None: as many as there is room for in the cluster.
    most: int | None = None
    patience: float = PATIENCE
    #: Open the engines at once instead of with the first request.
    warm: bool = True

    def __post_init__(self) -> None:
        if self.device not in (None, "cpu", "cuda"):
            raise Misconfigured(f"Ray chooses the GPU: --device cpu or cuda, not {self.device}")
        if self.most is not None and self.most < self.fewest:
            raise Misconfigured("--ray-max is less than --ray-min")


@dataclass(eq=False, slots=True)
class _Seat:
    """An actor, and what it is called."""

    actor: Any
    #: The answer to the question for its name, while it is awaited.
    asked: Any = None
    name: str | None = None
    #: It has been somewhere; before, it only waits for a place.
    placed: bool = False
    #: It was somewhere and does not work now.
    down: bool = False


def place(wishes: Wishes) -> None:
    """Keep as many workers on Ray's cluster as the queue wants, until SIGTERM or SIGINT.

    The cluster is that of ``RAY_ADDRESS``, or this machine's. Raises Misconfigured.
    """
    settings = Settings()
    set_up_logging(settings)
    _refuse_what_is_not_shared(settings)
    ray = _connected()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with open_ledger(settings) as ledger:
        actors = _Actors(ray, wishes, settings, ledger)
        while not stop.is_set():
            actors.look()
            stop.wait(LOOK_EVERY)
        actors.end()
    ray.shutdown()


class _Actors:
    """The actors that there are."""

    def __init__(self, ray: Any, wishes: Wishes, settings: Settings, ledger: Ledger) -> None:
        self._ray = ray
        self._wishes = wishes
        self._ledger = ledger
        self._scale = Scale(settings.slots, wishes.patience)
        self._seats: list[_Seat] = []
        #: How many there may have been at the last look.
        self._most: int | None = None
        gpu = wishes.device != "cpu"
        self._needs = {"GPU": 1, "CPU": 1} if gpu else {"CPU": settings.threads}
        self._made_with = (wishes.endpoints, gpu, wishes.warm, _handed_down())

    def look(self) -> None:
        """Have as many as are wanted now."""
        self._hear()
        try:
            census = self._ledger.census().result()
            holders = {
                each.presence.name for each in self._ledger.workers().result() if each.running
            }
        except Exception as fault:  # noqa: BLE001 - a database in trouble; look again
            log.error("look_failed", fault=whereabouts(fault))
            return
        there = len(self._seats)
        mine = [census.get(endpoint.id, {}) for endpoint in self._wishes.endpoints]
        most = self._room() if self._wishes.most is None else self._wishes.most
        bounds = Bounds(self._wishes.fewest, most)
        requests = sum(sum(counts.values()) for counts in mine)
        wanted = self._scale.wanted(requests, there, bounds, time.monotonic())
        for _ in range(wanted - there):
            self._seats.append(_Seat(self._made()))
        if wanted < there:
            # Who draws is left alone: there are fewer when it is done.
            idle = [seat for seat in self._seats if not seat.placed]
            idle += [seat for seat in self._seats if seat.name and seat.name not in holders]
            self._let_go(idle[: there - wanted])
        if (len(self._seats), most) != (there, self._most):
            log.info("ray_workers", number=len(self._seats), requests=requests, room=most)
        self._most = most

    def end(self) -> None:
        """Let all of them go."""
        self._let_go(list(self._seats))

    def _made(self) -> Any:
        """A new actor, which Ray starts anew whenever it dies."""
        remote = self._ray.remote(
            num_gpus=self._needs.get("GPU", 0),
            num_cpus=self._needs["CPU"],
            max_restarts=-1,
            scheduling_strategy="SPREAD",
        )
        return remote(RayWorker).remote(*self._made_with)

    def _room(self) -> int:
        """How many there is room for in the cluster as it is now, with nothing else on it."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(
            min(math.floor(node.get(kind, 0) / need) for kind, need in self._needs.items())
            for node in nodes
        )

    def _hear(self) -> None:
        """Learn what they are called now, and forget those that are gone for good."""
        for seat in self._seats:
            seat.name = None
            seat.asked = seat.asked or seat.actor.name.remote()
        asked = [seat.asked for seat in self._seats]
        answered: set[Any] = set()
        if asked:
            answered.update(self._ray.wait(asked, num_returns=len(asked), timeout=ANSWER)[0])
        for seat in [seat for seat in self._seats if seat.asked in answered]:
            try:
                seat.name = self._ray.get(seat.asked)
            except self._ray.exceptions.ActorDiedError:
                # Somebody has ended it; what it held is given to another after its lease.
                self._seats.remove(seat)
            except self._ray.exceptions.RayActorError:
                pass  # it is being started anew
            if seat.placed and seat.name is None and not seat.down:
                log.warning("ray_worker_down", number=len(self._seats))
            seat.asked, seat.placed, seat.down = None, True, seat.name is None

    def _let_go(self, seats: Sequence[_Seat]) -> None:
        """End actors: those that are somewhere get to finish or give back what they hold."""
        told = [seat.actor.end.remote() for seat in seats if seat.placed]
        if told:
            self._ray.wait(told, num_returns=len(told), timeout=FAREWELL)
        for seat in seats:
            self._ray.kill(seat.actor)
            self._seats.remove(seat)


def _refuse_what_is_not_shared(settings: Settings) -> None:
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    if not url or is_sqlite(url) or not settings.files_url:
        raise Misconfigured(
            "Workers on other machines share a PostgreSQL and an S3 store with the server:"
            " --ray needs LIMNER_DATABASE_URL and LIMNER_FILES_URL"
        )


def _handed_down() -> dict[str, str]:
    """The variables that an actor is made with: Limner's, and those that say where S3, a
    collector of traces and a package index are.

    Not by Ray's runtime_env, which its dashboard shows. Files are every machine's own.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith((PREFIX, "AWS_", "OTEL_", PIP_INDEX)) and name != CONFIG_VARIABLE
    }


def _ray() -> Any:
    """Ray, by name: it is an extra, and nothing else here knows of it."""
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise Misconfigured("--ray needs the ray package: pip install 'limner[ray]'") from None


def _connected() -> Any:
    """Ray, connected to its cluster. Raises Misconfigured when there is none."""
    # Limner tells nobody anything; the cluster itself is its operator's.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = _ray()
    try:
        ray.init(
            address=os.environ.get("RAY_ADDRESS", "auto"),
            namespace="limner",
            # What workers log lies in Ray's files: here it would be interleaved, and its JSON cut.
            log_to_driver=False,
            logging_level="WARNING",
        )
    except (ConnectionError, RuntimeError, ValueError) as fault:
        raise Misconfigured(
            f"There is no Ray cluster to connect to ({fault}); start one with"
            " `ray start --head --disable-usage-stats`, or say where it is in RAY_ADDRESS"
        ) from None
    return ray
