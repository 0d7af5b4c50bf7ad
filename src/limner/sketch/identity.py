"""Who is to be drawn: one identity out of one photo or many.

Every photo's face is an embedding (unit vector) and a latent; a face too unlike the others is
left out, and the rest are averaged. Knows vectors; nothing of files, networks or drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: A face whose cosine to the mean of the others is below this is somebody else, or no use.
OUTLIER = 0.3


@dataclass(frozen=True, eq=False, slots=True)
class Identity:
    """One person, out of several faces."""

    #: The mean of the kept faces' embeddings, of unit length again.
    embedding: Floats
    #: Which faces were kept, and which left out with their cosine to the others, in given order.
    kept: tuple[int, ...]
    outliers: tuple[tuple[int, float], ...]
    #: The kept face that is most like the mean: the one to draw from.
    closest: int


def averaged(embeddings: Sequence[Floats]) -> Identity:
    """The identity of at least one face's embeddings [d], of any length but zero.

    Each is judged against the mean of the others: in a mean that it is part of, even a stranger
    among four finds himself again. If none were left, as with two strangers, all are kept: there
    is no telling which of them is meant.
    """
    units = np.stack([each / max(float(np.linalg.norm(each)), 1e-12) for each in embeddings])
    others = units.sum(axis=0) - units
    lengths = np.maximum(np.linalg.norm(others, axis=1), 1e-12)
    cosines = (units * others).sum(axis=1) / lengths if len(units) > 1 else np.ones(1)
    kept = [index for index, cosine in enumerate(cosines) if cosine >= OUTLIER]
    if not kept:
        kept = list(range(len(units)))
    embedding = _unit(units[kept].mean(axis=0))
    closest = max(kept, key=lambda index: float(units[index] @ embedding))
    left_out = tuple(
        (index, float(cosines[index])) for index in range(len(units)) if index not in kept
    )
    return Identity(embedding.astype(np.float32), tuple(kept), left_out, closest)


def _unit(vector: Floats) -> Floats:
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
