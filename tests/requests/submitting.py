"""A request as the tests of the ledger submit it."""

from __future__ import annotations

from limner.requests.ledger import Ledger
from limner.requests.request import Request, Submission

ENDPOINT = "a/one"


def submit(ledger: Ledger, **said: object) -> Request:
    return ledger.submit(Submission(ENDPOINT, {"n": 0.1}, **said)).result()  # pyright: ignore
