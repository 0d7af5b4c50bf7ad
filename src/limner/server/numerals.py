"""Whole numbers as callers write them in addresses and headers. Knows digits; knows no field."""

from __future__ import annotations


def is_whole(text: str, digits: int) -> bool:
    """Is it a whole number of at most so many digits?

    Only these ten are digits to HTTP, while ``int`` takes other scripts' too, and ``isdigit`` what
    ``int`` does not; a number of very many takes long to read.
    """
    return text.isascii() and text.isdecimal() and len(text) <= digits
