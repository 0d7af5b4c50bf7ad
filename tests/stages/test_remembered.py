"""An answer is found again by the content it is of, and the oldest is forgotten."""

from __future__ import annotations

import pytest

from limner.stages.remembered import Remembered


def test_the_same_content_is_asked_for_once_and_other_content_for_itself() -> None:
    asked: list[bytes] = []

    def ask(content: bytes) -> int:
        asked.append(content)
        return len(asked)

    known: Remembered[int] = Remembered(4)
    answers = [known.of(each, lambda each=each: ask(each)) for each in (b"a", b"b", b"a", b"b")]
    assert answers == [1, 2, 1, 2]
    assert asked == [b"a", b"b"]


def test_what_was_used_least_lately_is_forgotten() -> None:
    known: Remembered[str] = Remembered(2)
    for content in (b"a", b"b", b"a", b"c"):
        known.of(content, lambda: "first")
    assert [known.of(each, lambda: "again") for each in (b"a", b"c", b"b")] == [
        "first",
        "first",
        "again",
    ]


def test_a_fault_is_not_remembered() -> None:
    known: Remembered[float] = Remembered(2)
    with pytest.raises(ZeroDivisionError):
        known.of(b"a", lambda: 1 / 0)
    assert known.of(b"a", lambda: 1.0) == 1.0


def test_an_answer_that_is_somebodys_serves_nobody_else() -> None:
    known: Remembered[str] = Remembered(4)
    for whose in ("", "a", "b"):
        known.of(b"content", lambda whose=whose: f"{whose}'s", whose)
    again = [known.of(b"content", lambda: "asked again", whose) for whose in ("a", "b", "", "c")]
    assert again == ["a's", "b's", "'s", "asked again"]
