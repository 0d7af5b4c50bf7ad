"""Every parser against the corpus, and against what a few changes make of it.

`make fuzz` is the long form, guided by coverage; what it found lies in the corpus as ``found-…``
and must never raise again. Here the changes are always the same: a run tells of the code alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.parsers import PARSERS

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns of what it then refuses
EACH = pytest.mark.parametrize("name", PARSERS)

#: Where it hurts: the ends of number ranges, openings without an end, what is read as a length.
PIECES = [
    b"", b"\x00", b"\xff", b"\xff" * 8, b"\x7f\xff\xff\xff", b"[" * 300, b'{"a":' * 300,
    b"9" * 5000, b"1e999", b"NaN", b"..", b"://[", b"%", b"\r\n", b'"\\ud800"', "٣".encode(),
    b"\x81" * 300,
]  # fmt: skip


def kept(name: str) -> list[Path]:
    """The corpus of a parser."""
    return sorted(path for path in (CORPUS / name).iterdir())


@EACH
def test_what_is_in_the_corpus_raises_nothing(name: str) -> None:
    for path in kept(name):
        PARSERS[name](path.read_bytes())


@EACH
def test_what_a_few_changes_make_of_the_corpus_raises_nothing(name: str) -> None:
    seeds = [path.read_bytes() for path in kept(name)]

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(
        st.sampled_from(seeds) | st.binary(max_size=60),
        st.lists(
            st.tuples(
                st.integers(0, 5000),
                st.integers(0, 20),
                st.sampled_from(PIECES) | st.binary(max_size=4),
            ),
            max_size=4,
        ),
    )
    def change(seed: bytes, edits: Sequence[tuple[int, int, bytes]]) -> None:
        for place, taken, put in edits:
            at = place % (len(seed) + 1)
            seed = seed[:at] + put + seed[at + taken :]
        PARSERS[name](seed)

    change()


def test_the_corpus_is_small_and_belongs_to_the_parsers() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} - {"corpus"} == set(PARSERS)
    assert sum(path.stat().st_size for path in files) < 300_000
