"""Moves a face's W+ latent so that the drawing gains glasses, smiles, has red hair, ….

Each direction is the mean change that painting the attribute onto a few aligned faces makes to
the encoder's answer (``tools/learn_directions.py``): learnt from ten public-domain or Apache-2.0
faces, no labelled data set. Checked by eye on faces that were left out. What was tried and did
not visibly work is not here: younger, wrinkles alone, bald; and feminine or masculine, which
came out as heavier brows and long hair, for which there is ``makeup`` and ``long_hair``.

Knows latents only; nothing of prompts, faces or networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: Direction → what strength 1 draws, and what -1 does where that is good for something.
DIRECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "glasses": "glasses with a dark frame",
        "sunglasses": "dark sunglasses",
        "smile": "a broad smile with teeth; -1 a serious, closed mouth",
        "open_mouth": "a wide open, laughing mouth; -1 closes it",
        "angry": "slanted, lowered brows",
        "older": "white hair and a more lined face",
        "beard": "a full beard; faint on faces with long hair",
        "moustache": "a moustache; faint on faces with long hair and in color-ink",
        "makeup": "red lips and dark lashes",
        "long_hair": "hair down to the shoulders; -1 shorter hair",
        "blond_hair": "light hair",
        "dark_hair": "dark hair; hardly visible in color-ink, whose hair is always dark",
        "red_hair": "red hair",
        "grey_hair": "grey hair",
    }
)

#: Beyond this the drawings fall apart.
STRONGEST = 2.0


def move(wplus: Floats, strengths: Mapping[str, float]) -> Floats:
    """The latent [12, 512] moved along the named directions; a new array.

    A strength of 1 is plainly visible, 0 nothing, negative the opposite; they are cut off at
    ±``STRONGEST``. Directions add up. Raises KeyError for a name not in ``DIRECTIONS``.
    """
    moved = wplus.astype(np.float32)
    learnt = _learnt()
    for name, strength in strengths.items():
        kept = np.float32(min(max(strength, -STRONGEST), STRONGEST))
        # Three vectors: coarse, middle and fine rows, four of the latent's twelve each.
        moved += kept * np.repeat(learnt[name], 4, axis=0)
    return moved


def average() -> Floats:
    """The mean latent [12, 512] of the faces the directions were learnt from: nobody."""
    return _learnt()["average"]


@cache
def _learnt() -> Mapping[str, Floats]:
    """Direction → [3, 512] and the average, read once from the file beside this module."""
    with files("limner.sketch").joinpath("directions.npz").open("rb") as opened:
        stored = cast("Mapping[str, npt.NDArray[np.float16]]", np.load(opened))
        return {name: stored[name].astype(np.float32) for name in (*DIRECTIONS, "average")}
