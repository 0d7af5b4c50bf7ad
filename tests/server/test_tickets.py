"""A ticket opens its own place, a token its owner's; neither is the other, and neither lasts."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from limner.errors import Refused
from limner.server.tickets import TICKET_LIFE, Ticket, UploadAccess

KEY = bytes(range(32))
ACCESS = UploadAccess(KEY)
TICKET = Ticket("name.png", "image/png", 1_900_000_000.5, "somebody")


def refused(read: Callable[[], object]) -> int:
    with pytest.raises(Refused) as fault:
        read()
    return fault.value.status


def forged(claims: dict[str, Any], key: bytes = KEY) -> str:
    return jwt.encode(claims, key, algorithm="HS256")


def test_a_ticket_and_a_token_come_back_as_they_were_made() -> None:
    assert ACCESS.ticket(ACCESS.sign(TICKET)) == TICKET
    nobodys = Ticket("name.png", "image/png", 1.0)
    assert ACCESS.ticket(ACCESS.sign(nobodys)) == nobodys
    assert (TICKET.description.owner, nobodys.owner) == ("somebody", "")
    token, ends = ACCESS.token("somebody")
    assert ACCESS.check_token(f"Bearer {token}") == "somebody"
    assert ends.tzinfo is UTC
    claims = jwt.decode(token, options={"verify_signature": False})
    assert datetime.fromtimestamp(claims["exp"], UTC) == ends


@pytest.mark.parametrize(
    ("make", "hours"),
    [
        (lambda: ACCESS.token("me")[0], 1),
        (lambda: ACCESS.sign(TICKET), 1),
        (lambda: ACCESS.sign(TICKET, in_parts=True), 24),
    ],
)
def test_either_is_good_for_an_hour_and_one_for_parts_for_a_day(
    make: Callable[[], str], hours: int
) -> None:
    claims = jwt.decode(make(), options={"verify_signature": False})
    assert claims["exp"] == pytest.approx(time.time() + hours * 3600, abs=60)
    assert TICKET_LIFE == 3600


def test_a_ticket_is_no_token_and_a_token_is_no_ticket() -> None:
    token, _ = ACCESS.token("somebody")
    assert refused(lambda: ACCESS.check_token(f"Bearer {ACCESS.sign(TICKET)}")) == 401
    assert refused(lambda: ACCESS.ticket(token)) == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"use": "upload", "key": "me", "name": "n", "type": "t", "until": 1.0, "exp": -1.0},
        {"use": "upload", "key": "me", "name": "n", "type": "t", "until": 1.0},
    ],
    ids=["late", "without an end"],
)
def test_what_is_over_or_would_never_be_opens_nothing(claims: dict[str, Any]) -> None:
    text = forged({**claims, **({"exp": time.time() - 1} if "exp" in claims else {})})
    assert refused(lambda: ACCESS.check_token(f"Bearer {text}")) == 401
    assert refused(lambda: ACCESS.ticket(text)) == 401


def test_what_another_signed_opens_nothing() -> None:
    claims = {"use": "upload", "name": "n", "type": "t", "until": 1.0, "exp": time.time() + 60}
    assert (
        ACCESS.check_token(f"Bearer {forged(claims)}") == ACCESS.ticket(forged(claims)).owner == ""
    )
    for text in (forged(claims, bytes(32)), jwt.encode(claims, "", algorithm="none"), "", "a.b.c"):
        assert refused(lambda text=text: ACCESS.check_token(f"Bearer {text}")) == 401
        assert refused(lambda text=text: ACCESS.ticket(text)) == 401
