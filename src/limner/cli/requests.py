"""``limner requests``: the requests the ledger knows, and what is done to them.

Listed, shown, cancelled, submitted again, deleted; their webhooks sent once more. Reads and changes
the ledger beside a running server, which hears of it by the bell. Prints no input and no result:
those are the callers' own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import typer

from limner.cli.house import open_files, open_ledger
from limner.errors import Misconfigured, Refused
from limner.files.store import FileStore
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Cancellation
from limner.requests.outbox import Delivery
from limner.requests.register import STATES, Entry, Wanted
from limner.requests.request import Request
from limner.requests.retry import again
from limner.server.deleting import delete_request
from limner.settings import Settings
from limner.suggest import refusal


def show(state: str | None, limit: int, *, as_json: bool) -> None:
    """Print the newest requests, one a line. Raises Misconfigured."""
    if state is not None and state not in STATES:
        raise Misconfigured(refusal("state of a request", state, STATES))
    with open_ledger(Settings()) as ledger:
        for entry in ledger.search(Wanted(state=state, limit=limit)).result():
            typer.echo(json.dumps(asdict(entry)) if as_json else _line(entry))


def show_one(request_id: str) -> None:
    """Print how a request stands, its log, and every delivery of its webhook; exits with 1."""
    with open_ledger(Settings()) as ledger:
        request = ledger.get(request_id).result()
        if request is None:
            typer.echo(f"limner: {request_id}: {_no_such_request().detail}", err=True)
            raise typer.Exit(1)
        for name, value in _facts(request):
            typer.echo(f"{name:10} {value}")
        for line in ledger.logs(request_id).result():
            typer.echo(f"  {_clock(line.at.timestamp())} {line.level:5} {line.message}")
        for delivery in ledger.deliveries(request_id).result():
            typer.echo(f"webhook    {_delivery(delivery)}")


def redeliver(request_id: str) -> None:
    """Owe a request's webhooks again; exits with 1 when it has none."""
    with open_ledger(Settings()) as ledger:
        count = ledger.redeliver(request_id).result()
    if not count:
        typer.echo(f"No webhook is known for {request_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{count} webhook(s) of {request_id} will be sent again")


def cancel(request_ids: Sequence[str]) -> None:
    """End waiting requests now and running ones at their next step; exits with 1."""
    with open_ledger(Settings()) as ledger:
        each(request_ids, lambda request_id: _cancel(ledger, request_id))


def retry(request_ids: Sequence[str]) -> None:
    """Submit ended requests again and print their new ids; exits with 1."""
    settings = Settings()
    files = open_files(settings)
    with open_ledger(settings) as ledger:
        each(request_ids, lambda request_id: _retry(ledger, files, request_id))


def remove(request_ids: Sequence[str]) -> None:
    """Forget ended requests with everything they were given and made; exits with 1."""
    settings = Settings()
    files = open_files(settings)
    with open_ledger(settings) as ledger:
        each(request_ids, lambda request_id: _remove(ledger, files, request_id))


def each(request_ids: Sequence[str], act: Callable[[str], str]) -> None:
    """Do it to every request and say so; one that refuses stops no other. Exits with 1 then."""
    refused = False
    for request_id in request_ids:
        try:
            typer.echo(act(request_id))
        except Refused as refusal:
            refused = True
            typer.echo(f"limner: {request_id}: {refusal.detail}", err=True)
    if refused:
        raise typer.Exit(1)


def _cancel(ledger: Ledger, request_id: str) -> str:
    match ledger.cancel(request_id).result():
        case Cancellation.REMOVED:
            return f"{request_id} is cancelled"
        case Cancellation.REQUESTED:
            return f"{request_id} will stop at its next step"
        case Cancellation.ALREADY_DONE:
            raise Refused(409, "The request has ended already")
        case Cancellation.NOT_FOUND:
            raise _no_such_request()


def _retry(ledger: Ledger, files: FileStore, request_id: str) -> str:
    request = ledger.get(request_id).result()
    if request is None:
        raise _no_such_request()
    return ledger.submit(again(request, lambda name: files.find(name) is not None)).result().id


def _remove(ledger: Ledger, files: FileStore, request_id: str) -> str:
    request = ledger.get(request_id).result()
    if request is None:
        raise _no_such_request()
    deleted = delete_request(ledger, files, request_id, request.submission.key_id)
    if deleted is None:
        raise Refused(409, "The request has not ended; limner requests cancel ends it")
    told = f"{request_id} is deleted, with {len(deleted.gone)} file(s)"
    if deleted.owed:
        told += f"; {len(deleted.owed)} more as soon as a server reaches the file store"
    return told


def _no_such_request() -> Refused:
    return Refused(404, "There is no such request. limner requests list shows which there are")


def _line(entry: Entry) -> str:
    status = "" if entry.http_status is None else f" {entry.http_status}"
    return f"{entry.id}  {_clock(entry.created_at)}  {entry.endpoint}  {entry.state}{status}"


def _facts(request: Request) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("request", request.id),
        ("endpoint", request.submission.endpoint),
        ("key", request.submission.key_id or "none needed"),
        ("status", request.status),
        ("attempts", request.attempt),
        ("engine", request.engine or "not yet known"),
        ("accepted", _clock(request.created_at)),
    ]
    if request.started_at is not None:
        facts.append(("started", _clock(request.started_at)))
    if request.finished_at is not None:
        facts.append(("ended", _clock(request.finished_at)))
    if request.outcome is not None:
        facts.append(("answer", f"{request.outcome.http_status} {request.outcome.error or 'OK'}"))
    return facts


def _delivery(delivery: Delivery) -> str:
    tried = f"{delivery.attempts} attempt(s) to {delivery.url}"
    if delivery.delivered_at is not None:
        return f"{tried}: delivered {_clock(delivery.delivered_at)}, {delivery.last_status}"
    told = delivery.last_error or "not answered yet"
    if delivery.due_at is None:
        return f"{tried}: given up; {told}"
    return f"{tried}: {told}; next {_clock(delivery.due_at)}"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
