"""Deleting a request by hand, with its files: at once where the store can be reached, else soon.

What cannot be deleted now stays owed in the ledger, and the sweep of any server does it.
Waits for ledger and store: call it on a thread. Knows both; knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from limner.errors import whereabouts
from limner.files.store import FileStore, delete_own
from limner.requests.leaving import Leaving
from limner.requests.ledger import Ledger

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of a request's files; one that was not its key's own is in neither."""

    #: Names of those that are gone.
    gone: tuple[str, ...]
    #: Names of those that go as soon as the store can be reached.
    owed: tuple[str, ...]


def delete_request(ledger: Ledger, files: FileStore, request_id: str, owner: str) -> Deleted | None:
    """Forget an ended request and delete its files; None when it has not ended.

    ``owner``: the public part of the request's key.
    """
    names = ledger.delete(request_id).result()
    if names is None:
        return None
    gone: list[str] = []
    tried = 0
    try:
        for name in names:
            gone += delete_own(files, [name], owner)
            tried += 1
    except Exception as fault:  # noqa: BLE001 - a store in trouble; the sweep goes on
        log.warning("files_still_owed", request_id=request_id, fault=whereabouts(fault))
    going = [Leaving(name, owner) for name in names]
    if tried:
        ledger.left(going[:tried]).result()
    if tried < len(going):
        ledger.put_off(going[tried:], pause=0).result()
    return Deleted(tuple(gone), tuple(names[tried:]))
