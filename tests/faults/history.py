"""What the clients of a server saw, and the proof from it that every request ended as it must.

Knows fal's words and the metronome's picture; knows no server, no fault but its name and time, and
never looks into the ledger: what no caller can see is no wrong here.

Times are one process's ``time.monotonic()``. The queue's order is that of one key and one class:
first in, first out, with what was given back in front (docs/decisions/0035).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

#: HTTP status of the outcome by the ending that was asked of the metronome.
OUTCOMES = {"well": 200, "no face": 422, "badly": 500}

#: HTTP status of the outcome of what was cancelled.
CANCELLED = 499

#: HTTP status of the outcome of what lost too many workers, and how many are too many.
DISCONNECTED, MOST_LOSSES = 503, 3

#: What the metronome writes into a picture: whose it is, and the process that drew it.
STAMP = re.compile(rb"picture of (\d+) by (\d+)")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asked for; ``number`` is stamped into its picture."""

    number: int
    ending: str
    steps: int
    #: Is a webhook to be delivered?
    hook: bool


@dataclass(frozen=True, slots=True)
class Look:
    """One answer to a status call."""

    asked: float
    answered: float
    status: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """An outcome, as a result call answered it or a webhook brought it."""

    at: float
    code: int
    body: Any


@dataclass(frozen=True, slots=True)
class Fault:
    """Something done to the server."""

    name: str
    began: float
    ended: float
    #: Processes that were ended by kill -9.
    killed: frozenset[int] = frozenset()
    #: HTTP statuses that outcomes may have by it.
    excuses: frozenset[int] = frozenset()
    #: May it leave a picture behind that no outcome names?
    strands: bool = False


@dataclass(slots=True)
class Account:
    """Everything that was seen of one accepted request."""

    wish: Wish
    #: When it was first submitted, and when the answer that accepted it was here.
    asked: float
    accepted: float
    #: All ids that its submits were answered with: those of one idempotency key are one request.
    ids: set[str]
    looks: list[Look] = field(default_factory=list[Look])
    results: list[End] = field(default_factory=list[End])
    #: Times and HTTP statuses of the answers to cancels.
    cancels: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    #: Was a cancel sent? Its answer may have been lost.
    cancel_sent: bool = False
    #: Webhooks that were answered 200, and those that were not.
    delivered: list[End] = field(default_factory=list[End])
    spurned: list[End] = field(default_factory=list[End])

    @property
    def name(self) -> str:
        """For people."""
        return f"request {self.wish.number} ({', '.join(sorted(self.ids))})"

    @property
    def seen_ended(self) -> float:
        """When it was first known to have ended."""
        times = [look.answered for look in self.looks if look.status == "COMPLETED"]
        times += [end.at for end in (*self.results, *self.delivered, *self.spurned)]
        times += [at for at, code in self.cancels if code in (200, 400)]
        return min(times, default=float("inf"))


@dataclass(slots=True)
class History:
    """A whole run."""

    #: Most requests drawn at once: what one fault can send back to the queue.
    capacity: int
    #: Seconds after a fault in which what was lost by it may still come back to the queue.
    notice: float
    accounts: list[Account] = field(default_factory=list[Account])
    faults: list[Fault] = field(default_factory=list[Fault])
    #: Answers that no call may get, in words: a 500, a 404 for what was accepted.
    odd: list[str] = field(default_factory=list[str])
    #: By URL: the bytes of every picture of an outcome; None when there are none.
    pictures: dict[str, bytes | None] = field(default_factory=dict[str, bytes | None])
    #: By name: every file that the server keeps when all has ended.
    kept: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def wrongs(self) -> list[str]:
        """Everything that must not have happened, in words; empty when all is well."""
        found = [wrong for account in self.accounts for wrong in self._of_one(account)]
        return [*self.odd, *found, *self._shared(), *self._spare(), *self._ahead()]

    def _of_one(self, account: Account) -> Iterator[str]:
        for wrong in (
            *one_outcome(account), *delivered(account), *monotonous(account),
            *as_asked(account, self._during(account)), *own_pictures(account, self.pictures),
            *self._grown(account),
        ):  # fmt: skip
            yield f"{account.name}: {wrong}"

    def _during(self, account: Account) -> list[Fault]:
        """The faults that can have hit a request: one may make itself felt a while after it."""
        return [
            fault
            for fault in self.faults
            if fault.began <= account.seen_ended and fault.ended + self.notice >= account.asked
        ]

    def _shared(self) -> Iterator[str]:
        """No id and no picture may belong to two requests."""
        owners: defaultdict[str, list[str]] = defaultdict(list)
        for account in self.accounts:
            for mark in account.ids | outcome_urls(account):
                owners[mark].append(account.name)
        for mark, names in owners.items():
            if len(names) > 1:
                yield f"{mark} belongs to {' and '.join(names)}"

    def _spare(self) -> Iterator[str]:
        """A file of no outcome may only be left by the killed, or by a lost database's workers."""
        stranded = {
            account.wish.number
            for account in self.accounts
            if any(fault.strands for fault in self._during(account))
        }
        named = {
            url.rpartition("/files/")[2] for each in self.accounts for url in outcome_urls(each)
        }
        killed = {pid for fault in self.faults for pid in fault.killed}
        for name in self.kept.keys() - named:
            stamp = STAMP.search(self.kept[name])
            if stamp is None or (int(stamp[2]) not in killed and int(stamp[1]) not in stranded):
                yield f"file {name} ({self.kept[name][:60]!r}) is of no outcome and was left behind"

    def _ahead(self) -> Iterator[str]:
        """A position counts at most those that can wait in front; so the next one's is 0.

        In front can be what was submitted before it was accepted, and was not known to have ended
        before the position was asked for.
        """
        ends = {id(account): account.seen_ended for account in self.accounts}
        for account in self.accounts:
            before = [
                ends[id(other)]
                for other in self.accounts
                if other is not account and other.asked < account.accepted
            ]
            for look in account.looks:
                most = sum(end >= look.asked for end in before)
                if look.position is not None and look.position > most:
                    yield f"{account.name}: position {look.position} with {most} in front at most"

    def _grown(self, account: Account) -> Iterator[str]:
        """Only a fault sends a request back, and others in front of it: as many as were drawn."""
        looks = sorted(account.looks, key=lambda look: look.asked)
        for before, after in pairwise(looks):
            if after.status != "IN_QUEUE" or after.asked < before.answered:
                continue
            reasons = [
                fault
                for fault in self.faults
                if fault.began <= after.answered and fault.ended + self.notice >= before.asked
            ]
            if before.status == "IN_PROGRESS" and not reasons:
                yield "was drawn and went back to the queue without a fault"
            if before.status == "IN_QUEUE":
                grown = (after.position or 0) - (before.position or 0)
                if grown > self.capacity * len(reasons):
                    yield (
                        f"position grew from {before.position} to {after.position}"
                        f" with {len(reasons)} faults"
                    )


def outcome_urls(account: Account) -> set[str]:
    """Every URL of a file in what a request ended with; an error's own URL leads to its words."""

    def within(body: Any) -> Iterator[str]:
        if isinstance(body, dict):
            for key, value in body.items():
                if key == "url" and isinstance(value, str) and "/files/" in value:
                    yield value
                yield from within(value)
        elif isinstance(body, list):
            for each in body:
                yield from within(each)

    ends = (*account.results, *account.delivered, *account.spurned)
    return {url for end in ends for url in within(end.body)}


def one_outcome(account: Account) -> Iterator[str]:
    """One id, one end, the same whenever and by whichever road it is read."""
    if len(account.ids) != 1:
        yield "one idempotency key made several requests"
    if not account.results:
        yield "has no outcome"
        return
    first = account.results[0]
    for end in account.results[1:]:
        if (end.code, end.body) != (first.code, first.body):
            yield f"two outcomes: {first.code} {first.body} and {end.code} {end.body}"
    for hook in (*account.delivered, *account.spurned):
        # A webhook says only whether it went well.
        if (hook.code == 200, hook.body) != (first.code == 200, first.body):
            yield f"the webhook brought {hook.body}, the outcome is {first.code} {first.body}"


def as_asked(account: Account, faults: Sequence[Fault]) -> Iterator[str]:
    """The end is the one that was asked for, a cancel's, or one that the faults excuse."""
    expected = OUTCOMES[account.wish.ending]
    for end in account.results[:1]:
        if end.code == CANCELLED:
            if not account.cancel_sent:
                yield "was cancelled by nobody"
        elif end.code == DISCONNECTED:
            if len(faults) < MOST_LOSSES:
                yield f"was given up after {len(faults)} faults: {end.body}"
        elif end.code != expected and any(end.code in fault.excuses for fault in faults):
            continue
        elif end.code != expected:
            yield f"ended with {end.code} instead of {expected}: {end.body}"
        elif accepted := {code for _, code in account.cancels} & {200, 202}:
            yield f"ended with {end.code} though its cancel was answered {accepted}"
        elif end.code == 200 and end.body.get("steps") != account.wish.steps:
            yield f"has the steps of another: {end.body}"


def delivered(account: Account) -> Iterator[str]:
    """A webhook that was asked for came, and no other did."""
    if account.wish.hook and not account.delivered:
        yield "its webhook was never delivered"
    if not account.wish.hook and (account.delivered or account.spurned):
        yield "a webhook came that nobody asked for"


def monotonous(account: Account) -> Iterator[str]:
    """What has ended stays ended; what waits has a position, and none is below 0."""
    ended = account.seen_ended
    for look in account.looks:
        if look.asked > ended and look.status != "COMPLETED":
            yield f"was {look.status} after its end"
        if look.status == "IN_QUEUE" and (look.position is None or look.position < 0):
            yield f"waits at position {look.position}"


def own_pictures(account: Account, pictures: Mapping[str, bytes | None]) -> Iterator[str]:
    """A good outcome has pictures, all there and its own; another has none."""
    urls = outcome_urls(account)
    good = any(end.code == 200 for end in account.results)
    if good and not urls:
        yield "ended well without a picture"
    if urls and not good:
        yield f"did not end well and has pictures: {sorted(urls)}"
    for url in urls:
        content = pictures.get(url)
        if content is None:
            yield f"{url} is not there"
        elif not (stamp := STAMP.fullmatch(content)) or int(stamp[1]) != account.wish.number:
            yield f"{url} holds {content[:60]!r}"
