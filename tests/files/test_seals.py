"""A seal opens one file until its end, and no change to it goes unnoticed."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode

import pytest

from limner.files.seals import SEALED, Seals
from limner.files.store import named_by, reserve

KEY, NOW = bytes(range(32)), 1_000_000.0
NAME = reserve("face.png")
BASE = f"https://here/v3.fal.media{SEALED}"


def test_an_address_is_sealed_as_rfc_2104_says() -> None:
    mac = hmac.new(KEY, f"1000060\n{NAME}".encode(), hashlib.sha256).digest()
    seal = urlsafe_b64encode(mac[:16]).decode().rstrip("=")
    address = Seals(KEY).address(BASE, NAME, NOW + 59.5)  # the whole of the last second
    assert address == f"{BASE}/1000060-{seal}/files/{NAME}"
    assert named_by(address) == NAME


def test_a_base_that_wants_no_seal_gets_none() -> None:
    assert Seals(KEY).address("http://here", NAME, NOW) == f"http://here/files/{NAME}"


def test_a_seal_opens_its_file_by_any_host_until_it_ends() -> None:
    seals = Seals(KEY)
    address = seals.address(BASE, NAME, NOW + 60)
    assert seals.opens(address, NOW)
    assert seals.opens(address.replace("https://here", "http://there:8000/prefix"), NOW + 59)
    assert not seals.opens(address, NOW + 60)


def test_nothing_else_opens_it() -> None:
    seals = Seals(KEY)
    address = seals.address(BASE, NAME, NOW + 60)
    head, _, tail = address.partition(f"{SEALED}/")
    seal, _, rest = tail.partition("/")
    ends, mac = seal.split("-", 1)
    # Every character of the code, in turn, for another.
    forged = [mac[:at] + ("B" if mac[at] == "A" else "A") + mac[at + 1 :] for at in range(21)]
    others = [f"{ends}-{each}" for each in [*forged, "", mac[:-1], mac + "A"]]
    others += [
        f"{int(ends) + 1}-{mac}",
        f"9{ends}-{mac}",
        f"0{ends}-{mac}",
        f"{ends}-{mac}=",
        f"-{mac}",
        "",
    ]
    assert not any(seals.opens(f"{head}{SEALED}/{each}/{rest}", NOW) for each in others)
    assert not seals.opens(address.replace(NAME, reserve("face.png")), NOW)
    assert not seals.opens(f"{head}/files/{NAME}", NOW)
    assert not Seals(bytes(32)).opens(address, NOW)


@pytest.mark.parametrize("url", ["", "data:,x", "http://[", f"{BASE}/x/files/{'a' * 9000}", "\0"])
def test_what_is_no_address_opens_nothing(url: str) -> None:
    assert not Seals(KEY).opens(url, NOW)
