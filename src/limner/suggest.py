"""The likeliest known word for one that is not known: every "did you mean" of Limner.

Knows words; knows no command, setting or field.
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean X?`` to put behind a sentence, or nothing when no known word is near."""
    from difflib import get_close_matches  # takes milliseconds that only a typing error should

    # Where cases and hyphens differ the letters are still near; the answer is spelled as known.
    spelled = {_letters(each): each for each in known}
    asked = _letters(word)
    begun = [letters for letters in spelled if asked and letters.startswith(asked)]
    near = begun or get_close_matches(asked, list(spelled), n=1, cutoff=0.6)
    return f" Did you mean {spelled[near[0]]}?" if near else ""


def _letters(word: str) -> str:
    return word.casefold().replace("-", "").replace("_", "")


def refusal(what: str, word: str, known: Iterable[str]) -> str:
    """A sentence for a word that is not one of the ``known`` ones: the likely one, or all."""
    names = list(known)
    hint = did_you_mean(word, names) or f" There are {', '.join(names)}."
    return f"{word} is no {what}.{hint}"
