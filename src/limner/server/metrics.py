"""``/metrics`` for Prometheus: the ledger in figures, and this server's own.

Queue, outcomes, webhooks and workers are of the whole installation, whichever server tells them:
take one server's, or the highest, never their sum. Knows Prometheus's words; knows no SQL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from limner.endpoints.base import Endpoint
from limner.files.room import Room
from limner.requests.figures import Figures
from limner.requests.fleet import Seen
from limner.requests.ledger import Ledger
from limner.server.desk.keys import admin
from limner.server.keys import Gate

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def metrics_router(
    gate: Gate,
    ledger: Ledger,
    endpoints: Sequence[Endpoint],
    room: Callable[[], Room] | None,
) -> APIRouter:
    """The route. It needs a key of scope admin as soon as any key exists.

    ``room``: looks at the disk where files lie; None where they lie on none.
    """
    router = APIRouter()
    began = time.time()

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Everything now, in Prometheus's text format. Raises Refused 401, 403."""
        await admin(gate, request)
        figures = await asyncio.wrap_future(ledger.figures())
        # Here, because a server that nobody scrapes need not load it.
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        told = [*_queue(figures, endpoints), *_workers(figures.workers), *_owed(figures)]
        if room is not None:
            told += _storage(await asyncio.to_thread(room))
        registry.register(_Snapshot(told))
        up = f"# TYPE limner_started_seconds gauge\nlimner_started_seconds {began}\n"
        return Response(generate_latest(registry) + up.encode(), media_type=CONTENT_TYPE_LATEST)

    return router


class _Snapshot:
    """What was measured once, as prometheus_client wants to collect it."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        return self._metrics


def _queue(figures: Figures, endpoints: Sequence[Endpoint]) -> list[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    waiting = GaugeMetricFamily(
        "limner_requests_waiting", "Requests that wait for a worker.", labels=["endpoint"]
    )
    running = GaugeMetricFamily(
        "limner_requests_running", "Requests that a worker holds.", labels=["endpoint"]
    )
    wait = GaugeMetricFamily(
        "limner_queue_head_wait_seconds",
        "How long the first request of the queue has waited.",
        labels=["endpoint"],
    )
    for name in sorted({*figures.census, *(endpoint.id for endpoint in endpoints)}):
        counts = figures.census.get(name, {})
        waiting.add_metric([name], counts.get("queued", 0))
        running.add_metric([name], counts.get("running", 0))
        wait.add_metric([name], figures.longest_wait.get(name, 0.0))
    ended = CounterMetricFamily(
        "limner_requests_ended", "Requests that have ended.", labels=["endpoint", "outcome"]
    )
    waited = CounterMetricFamily(
        "limner_requests_waited_seconds",
        "Seconds that ended requests had waited.",
        labels=["endpoint", "outcome"],
    )
    ran = CounterMetricFamily(
        "limner_requests_ran_seconds",
        "Seconds that ended requests had been in work.",
        labels=["endpoint", "outcome"],
    )
    for each in figures.ended:
        labels = [each.endpoint, each.outcome]
        ended.add_metric(labels, each.number)
        waited.add_metric(labels, each.waited)
        ran.add_metric(labels, each.ran)
    return [waiting, running, wait, ended, waited, ran]


def _workers(workers: Sequence[Seen]) -> list[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ["worker", "device"]
    slots = GaugeMetricFamily(
        "limner_worker_slots", "Requests a worker draws at once.", labels=labels
    )
    busy = GaugeMetricFamily(
        "limner_worker_busy_slots", "Requests a worker draws now.", labels=labels
    )
    memory = GaugeMetricFamily(
        "limner_worker_free_bytes", "Free memory of its device.", labels=labels
    )
    steps = CounterMetricFamily("limner_worker_steps", "Steps of its running batch.", labels=labels)
    seconds = CounterMetricFamily(
        "limner_worker_step_seconds", "Seconds that those steps took.", labels=labels
    )
    rows = CounterMetricFamily(
        "limner_worker_step_rows", "Rows that were computed for requests.", labels=labels
    )
    places = CounterMetricFamily(
        "limner_worker_step_places", "Rows that were computed, empty ones too.", labels=labels
    )
    for seen in workers:
        who, pace = [seen.presence.name, seen.presence.device], seen.presence.pace
        slots.add_metric(who, seen.presence.slots)
        busy.add_metric(who, seen.running)
        if seen.presence.free_bytes is not None:
            memory.add_metric(who, seen.presence.free_bytes)
        if pace is not None:
            steps.add_metric(who, pace.steps)
            seconds.add_metric(who, pace.seconds)
            rows.add_metric(who, pace.rows)
            places.add_metric(who, pace.places)
    return [slots, busy, memory, steps, seconds, rows, places]


def _owed(figures: Figures) -> list[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    return [
        GaugeMetricFamily(
            "limner_webhooks_owed", "Webhooks not delivered yet.", value=figures.webhooks_owed
        ),
        GaugeMetricFamily(
            "limner_webhooks_late_seconds",
            "How long the longest due webhook has been due.",
            value=figures.webhooks_late,
        ),
        GaugeMetricFamily("limner_ledger_bytes", "Size of the database.", value=figures.bytes),
    ]


def _storage(room: Room) -> list[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    figures = {
        "limner_storage_free_bytes": ("Free bytes where the files lie.", room.free),
        "limner_storage_total_bytes": ("Bytes of that disk in all.", room.total),
        "limner_storage_files": ("Files that are kept.", room.files),
        "limner_storage_kept_bytes": ("Their bytes.", room.kept),
    }
    return [GaugeMetricFamily(name, said, value=value) for name, (said, value) in figures.items()]
