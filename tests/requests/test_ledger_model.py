"""The ledger against a simple model, driven by hypothesis through everything that can happen.

The model is written from DESIGN section 4 and decision 0035, not from the code: a list in arrival
order and a few rules. After every rule, every position and status must agree, and no request has
two outcomes. The same on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Cancellation, Standing, StepTaken
from limner.requests.request import Outcome, Priority, Status, Submission
from limner.requests.tables import metadata, schema
from tests.rig.postgres import Postgres

LEASE, RETENTION, MOST_LOSSES = 10.0, 1000.0, 3
ENDPOINTS = ("a/one", "a/two")
KEYS = ("", "you", "two at most")
LIMITS = {"two at most": 2}


@dataclass
class Modelled:
    """What the model remembers of a request."""

    id: str
    endpoint: str
    low: bool
    no_retry: bool
    start_by: float | None
    webhook: bool
    key: str = ""
    #: Round robin between keys: decision 0035.
    turn: int = 0
    state: str = "queued"
    attempt: int = 0
    losses: int = 0
    lease_until: float = 0.0
    cancelled: bool = False
    ended_with: list[int] = field(default_factory=list[int])

    def end(self, status: int) -> None:
        self.state = "done"
        self.ended_with.append(status)


@dataclass(frozen=True)
class Held:
    """A claim that a worker believes in, rightly or not."""

    id: str
    attempt: int


class LedgerMachine(RuleBasedStateMachine):
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.ledger = Ledger(
            self.open(),
            lease=LEASE,
            retention=RETENTION,
            clock=lambda: self.now,
        )
        self.model: dict[str, Modelled] = {}
        self.ledger._database.write(limit_keys).result()  # pyright: ignore[reportPrivateUsage]

    def open(self) -> str:
        """The address of an empty database."""
        self.folder = tempfile.TemporaryDirectory()
        return f"sqlite:///{Path(self.folder.name) / 'ledger.db'}"

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def waiting(self, endpoint: str) -> list[Modelled]:
        """Those that wait, in the order in which they go: class, turn, arrival."""
        those = [r for r in self.model.values() if r.state == "queued" and r.endpoint == endpoint]
        return sorted(those, key=lambda r: (r.low, r.turn))  # stable: arrival order inside a turn

    def next_turn(self, endpoint: str, key: str, low: bool) -> int:
        """One after the key's last, or with whoever is in front."""
        those = [r for r in self.waiting(endpoint) if r.low == low and r.turn >= 0]
        own = [r.turn + 1 for r in those if r.key == key]
        return max(own) if own else min((r.turn for r in those), default=0)

    def claimable(self, endpoint: str, limit: int) -> list[Modelled]:
        """Of one key no more than its limit; of those that were lost before, one (0041)."""
        running = {
            key: sum(r.state == "running" and r.key == key for r in self.model.values())
            for key in KEYS
        }
        suspected = any(r.state == "running" and r.losses for r in self.model.values())
        chosen: list[Modelled] = []
        for r in self.waiting(endpoint):
            late = r.start_by is not None and r.start_by <= self.now
            if r.losses and suspected:
                continue
            if len(chosen) < limit and not late and running[r.key] < LIMITS.get(r.key, 99):
                chosen.append(r)
                suspected = suspected or r.losses > 0
                running[r.key] += 1
        return chosen

    @rule(
        endpoint=st.sampled_from(ENDPOINTS),
        key=st.sampled_from(KEYS),
        low=st.booleans(),
        no_retry=st.booleans(),
        start_within=st.none() | st.floats(1, 30),
        webhook=st.booleans(),
    )
    def submit(
        self,
        endpoint: str,
        key: str,
        low: bool,
        no_retry: bool,
        start_within: float | None,
        webhook: bool,
    ) -> None:
        start_by = None if start_within is None else self.now + start_within
        request = self.ledger.submit(
            Submission(
                endpoint=endpoint,
                input={"n": len(self.model)},
                key_id=key,
                priority=Priority.LOW if low else Priority.NORMAL,
                no_retry=no_retry,
                start_by=start_by,
                webhook_url="http://example.com/hook" if webhook else None,
            )
        ).result()
        turn = self.next_turn(endpoint, key, low)
        self.model[request.id] = Modelled(
            request.id, endpoint, low, no_retry, start_by, webhook, key, turn
        )

    @rule(target=held, endpoint=st.sampled_from(ENDPOINTS), limit=st.integers(1, 3))
    def claim(self, endpoint: str, limit: int):
        claimed = self.ledger.claim("worker", [endpoint], limit).result().requests
        expected = self.claimable(endpoint, limit)
        assert [request.id for request in claimed] == [r.id for r in expected]
        for r in expected:
            r.state, r.attempt, r.lease_until = "running", r.attempt + 1, self.now + LEASE
        assert [request.attempt for request in claimed] == [r.attempt for r in expected]
        return multiple(*(Held(r.id, r.attempt) for r in expected))

    def holds(self, claim: Held) -> bool:
        r = self.model[claim.id]
        return r.state == "running" and r.attempt == claim.attempt

    def standing(self, claim: Held) -> Standing:
        if not self.holds(claim):
            return Standing.LOST
        return Standing.CANCEL if self.model[claim.id].cancelled else Standing.ON

    @rule(claim=held)
    def step(self, claim: Held) -> None:
        told = self.ledger.step(claim.id, claim.attempt, StepTaken("a step", progress=0.5))
        assert told.result() is self.standing(claim)
        if self.holds(claim):
            self.model[claim.id].lease_until = self.now + LEASE

    @rule(claim=held)
    def heartbeat(self, claim: Held) -> None:
        told = self.ledger.heartbeat([(claim.id, claim.attempt)]).result()
        assert told == {claim.id: self.standing(claim)}
        if self.holds(claim):
            self.model[claim.id].lease_until = self.now + LEASE

    @rule(claim=consumes(held), status=st.sampled_from([200, 422, 500]))
    def finish(self, claim: Held, status: int) -> None:
        mine, r = self.holds(claim), self.model[claim.id]
        done = self.ledger.finish(claim.id, claim.attempt, Outcome(status, {"x": 1})).result()
        assert done is (mine and not r.cancelled)
        if mine:
            r.end(499 if r.cancelled else status)

    @rule(claim=consumes(held))
    def release(self, claim: Held) -> None:
        mine = self.holds(claim)
        assert self.ledger.release(claim.id, claim.attempt).result() is mine
        if mine:
            r = self.model[claim.id]
            if r.cancelled:
                r.end(499)
            else:
                r.state, r.turn = "queued", -1

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        r = self.model[data.draw(st.sampled_from(sorted(self.model)))]
        verdict = self.ledger.cancel(r.id).result()
        if r.state == "queued":
            assert verdict is Cancellation.REMOVED
            r.end(499)
        elif r.state == "running":
            assert verdict is Cancellation.REQUESTED
            r.cancelled = True
        else:
            assert verdict is Cancellation.ALREADY_DONE

    @rule(seconds=st.floats(0, 25))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def every_worker_is_lost(self) -> None:
        """Time passes and a reaping sees it: the way to a second attempt, made likely."""
        self.now += LEASE + 1
        self.reap()

    @rule()
    def add_up(self) -> None:
        self.ledger.compact().result()

    @rule()
    def reap(self) -> None:
        self.ledger.reap().result()
        for r in self.model.values():
            if r.state == "queued" and r.start_by is not None and r.start_by <= self.now:
                r.end(504)
            elif r.state == "running" and r.lease_until < self.now:
                r.losses += 1
                if r.cancelled:
                    r.end(499)
                elif r.no_retry or r.losses >= MOST_LOSSES:
                    r.end(503)
                else:
                    r.state, r.turn = "queued", -1

    @invariant()
    def every_position_is_exact(self) -> None:
        for endpoint in ENDPOINTS:
            for place, r in enumerate(self.waiting(endpoint)):
                assert self.ledger.position(r.id).result() == place
            assert self.ledger.waiting(endpoint).result() == len(self.waiting(endpoint))

    @invariant()
    def every_request_is_as_modelled(self) -> None:
        for r in self.model.values():
            request = self.ledger.get(r.id).result()
            assert request is not None
            assert request.status == Status(r.state)
            assert len(r.ended_with) <= 1
            assert (request.outcome is not None) == bool(r.ended_with)
            if request.outcome is not None:
                assert request.outcome.http_status == r.ended_with[0]
            owed = self.ledger.deliveries(r.id).result()
            assert len(owed) == (1 if r.webhook and r.ended_with else 0)


def limit_keys(connection: sa.Connection) -> None:
    keys = metadata.tables["keys"]
    for key, most in LIMITS.items():
        connection.execute(
            keys.insert().values(
                id=key, secret_hash=b"", scope="api", created_at=0, concurrency=most
            )
        )


def settled(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def test_on_sqlite_the_ledger_is_as_modelled() -> None:
    run_state_machine_as_test(LedgerMachine, settings=settled(40))


def test_on_postgresql_the_ledger_is_as_modelled(postgres: Postgres) -> None:
    class OnPostgres(LedgerMachine):
        url = postgres.new_database()

        def open(self) -> str:
            self.folder = tempfile.TemporaryDirectory()
            # The same database for every example, emptied: making one takes too long.
            with Ledger(self.url) as ledger:
                ledger._database.write(emptied).result()  # pyright: ignore[reportPrivateUsage]
            return self.url

    run_state_machine_as_test(OnPostgres, settings=settled(12))


def emptied(connection: sa.Connection) -> None:
    names = [table.name for table in metadata.sorted_tables if table is not schema]
    connection.exec_driver_sql(f"TRUNCATE {', '.join(names)}")
