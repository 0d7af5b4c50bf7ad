"""A data URI is what it holds, or is refused with what is wrong."""

from __future__ import annotations

import base64

import pytest

from limner.errors import FileTooLarge
from tests.stages.small_door import MOST, door, refusal


@pytest.mark.parametrize(
    ("uri", "content"),
    [
        ("data:image/png;base64,aGVsbG8=", b"hello"),
        ("DATA:image/png;BASE64,aGVsbG8=", b"hello"),
        ("data:;base64,", b""),
        ("data:image/png;name=a.png;base64,aGVsbG8=", b"hello"),
        ("data:,hello%20there", b"hello there"),
        ("data:text/plain,a,b", b"a,b"),
        ("data:image/png;base64,aGVsbG8%3D", b"hello"),
        ("data:image/png;base64,YStiL2M%2FZA==", b"a+b/c?d"),
    ],
)
def test_a_data_uri_is_what_it_holds(uri: str, content: bytes) -> None:
    assert door(allow_private=False).read(uri) == content


@pytest.mark.parametrize(
    "uri",
    [
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,aGVsbG8",
        "data:image/png;base64,aGVs*G8=",
        "data:image/png;base64,aGVsbG8=trailing",
        "data:image/png;base64,aG=VsbG8",
        "data:image/png;base64,é",
        "data:,100%",
        "data:,%zz",
        "data:http://127.0.0.1/",
    ],
)
def test_a_broken_data_uri_is_refused_with_what_is_wrong(uri: str) -> None:
    assert "data URI" in refusal(uri)


def test_a_data_uri_is_held_to_the_same_limit() -> None:
    fits = base64.b64encode(b"x" * MOST).decode()
    assert door().read(f"data:image/png;base64,{fits}") == b"x" * MOST
    over = base64.b64encode(b"x" * (MOST + 1)).decode()
    for uri in (f"data:image/png;base64,{over}", "data:," + "x" * (MOST + 1)):
        with pytest.raises(FileTooLarge):
            door().read(uri)
