"""A client at random: submits, looks, cancels and hangs up, and writes down what it was answered.

It knows that its server may be gone at any time, and asks again; knows no fault.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from urllib.parse import urlencode

import httpx2

from tests.faults.history import Account, End, History, Look, Wish

QUEUE = "/queue.fal.run/limner/metronome"

#: Requests of one client that have not ended, at most.
OPEN = 4

#: Seconds after which a server that is killed and started again must have answered, and after which
#: all that waits must have ended when no fault comes any more.
PATIENCE = 60.0


class Caller:
    """Calls on one address; a server that is away is no error."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self.base = f"http://{self.host}"
        # No line is kept: servers come and go here. No certificate is read: it takes its time.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._client = httpx2.Client(timeout=30, limits=limits, verify=False)

    def __call__(self, method: str, url: str, **options: object) -> httpx2.Response | None:
        """The answer; None when there is none, or one that says to ask again.

        Such is a 503 without a type of error; with one it is an outcome, of a request that was lost
        too often.
        """
        address = url if url.startswith("http") else self.base + url
        try:
            answer = self._client.request(method, address, **options)  # pyright: ignore
        except httpx2.TransportError:
            return None
        away = answer.status_code == 503 and "retry-after" in answer.headers
        return None if away and "x-fal-error-type" not in answer.headers else answer

    def insist(self, method: str, url: str, **options: object) -> httpx2.Response:
        """The answer, however often it takes."""
        deadline = time.monotonic() + PATIENCE
        while (answer := self(method, url, **options)) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{method} {url} was not answered within {PATIENCE} s")
            time.sleep(0.1)
        return answer

    def hang_up(self, call: bytes, after: int) -> None:
        """Send a call and cut the line when ``after`` bytes of the answer are here."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as line:
            # Closed with a reset, as by a process that was killed.
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.sendall(call)
            if after:
                line.recv(after)


class Client:
    """One of several; ``numbers`` are shared by all of a run."""

    def __init__(
        self,
        caller: Caller,
        history: History,
        numbers: Iterator[int],
        chance: random.Random,
        hook_url: Callable[[int], str],
    ) -> None:
        self._call = caller
        self._history = history
        self._numbers = numbers
        self._chance = chance
        self._hook_url = hook_url
        self._keys = count()
        self._open: list[Account] = []

    def run(self, enough: threading.Event) -> None:
        """Go on until it is enough, and then until all that was accepted has ended.

        What has not ended in its time by then is left to the proof.
        """
        deadline = float("inf")
        while not enough.is_set() or self._open:
            if enough.is_set():
                deadline = min(deadline, time.monotonic() + PATIENCE)
            if time.monotonic() > deadline:
                return
            if not enough.is_set() and len(self._open) < OPEN:
                self._open.append(self._submit())
            account = self._chance.choice(self._open)
            self._act(account)
            if account.results:
                self._open.remove(account)
            time.sleep(self._chance.uniform(0.01, 0.15))

    def _submit(self) -> Account:
        chance = self._chance
        wish = Wish(
            next(self._numbers),
            chance.choices(["well", "no face", "badly"], [8, 1, 1])[0],
            steps=chance.randint(0, 8),
            hook=chance.random() < 0.5,
        )
        said = {
            "steps": wish.steps, "pause": 0.08, "ending": wish.ending, "stamp": wish.number,
        }  # fmt: skip
        path = QUEUE
        if wish.hook:
            path += "?" + urlencode({"fal_webhook": self._hook_url(wish.number)})
        key = {"idempotency-key": f"{wish.number}"}
        asked = time.monotonic()
        if chance.random() < 0.15:
            self._call.hang_up(
                posted(path, json.dumps(said), {"host": self._call.host, **key}),
                chance.choice([0, 1, 40]),
            )
        answer = self._call.insist("POST", path, json=said, headers=key)
        account = Account(wish, asked, time.monotonic(), set())
        self._accepted(account, answer)
        self._history.accounts.append(account)
        if chance.random() < 0.1:
            self._accepted(account, self._call.insist("POST", path, json=said, headers=key))
        return account

    def _accepted(self, account: Account, answer: httpx2.Response) -> None:
        if answer.status_code != 200:
            raise AssertionError(f"a submit was answered {answer.status_code} {answer.text}")
        account.ids.add(answer.json()["request_id"])

    def _act(self, account: Account) -> None:
        """One call about a request: mostly a look."""
        path = f"{QUEUE}/requests/{min(account.ids)}"
        lot = self._chance.random()
        if lot < 0.01:
            account.cancel_sent = True
            answer = self._call("PUT", f"{path}/cancel")
            answer = self._expected(answer, f"the cancel of {account.name}", 200, 202, 400)
            if answer is not None:
                account.cancels.append((time.monotonic(), answer.status_code))
        elif lot < 0.06:
            call = f"GET {path}/status/stream HTTP/1.1\r\nhost: {self._call.host}\r\n\r\n"
            self._call.hang_up(call.encode(), self._chance.choice([1, 40, 400]))
        elif self.look(account, path) == "COMPLETED":
            read_result(self._call, self._history, account)

    def look(self, account: Account, path: str) -> str | None:
        """A status call; the status that was answered."""
        asked = time.monotonic()
        answer = self._call("GET", f"{path}/status")
        answer = self._expected(answer, f"the status of {account.name}", 200, 202)
        if answer is None:
            return None
        body = answer.json()
        seen = Look(asked, time.monotonic(), body["status"], body.get("queue_position"))
        account.looks.append(seen)
        return seen.status

    def _expected(
        self, answer: httpx2.Response | None, what: str, *codes: int
    ) -> httpx2.Response | None:
        """An answer that may be; what may not be is written down."""
        if answer is None or answer.status_code in codes:
            return answer
        self._history.odd.append(f"{what} was answered {answer.status_code} {answer.text}")
        return None


def read_result(call: Caller, history: History, account: Account) -> None:
    """Read and write down the outcome of a request that has ended."""
    answer = call("GET", f"{QUEUE}/requests/{min(account.ids)}")
    if answer is None:
        return
    if answer.status_code in (400, 404):
        history.odd.append(f"the result of {account.name} was answered {answer.status_code}")
        return
    account.results.append(End(time.monotonic(), answer.status_code, answer.json()))


def posted(path: str, body: str, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the line."""
    lines = [f"POST {path} HTTP/1.1", "content-type: application/json"]
    lines += [
        f"content-length: {len(body)}",
        *(f"{key}: {value}" for key, value in headers.items()),
    ]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()
