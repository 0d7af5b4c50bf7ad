"""Whole numbers as callers write them in addresses and headers. Knows digits."""

from __future__ import annotations

from collections.abc import Mapping

#: As many as the largest length has that llhttp reads, 64 bits.
_DIGITS = 20


def is_whole(text: str, digits: int) -> bool:
    """Is it a whole number of at most so many digits?

    Only these ten are digits to HTTP, while ``int`` takes other scripts' too, and ``isdigit`` what
    ``int`` does not; a number of very many takes long to read.
    """
    return text.isascii() and text.isdecimal() and len(text) <= digits


def declared_length(headers: Mapping[str, str]) -> int:
    """Bytes that a call says its body has; 0 where it says none, or what is no length."""
    said = headers.get("content-length", "")
    return int(said) if is_whole(said, _DIGITS) else 0
