"""Looking at what the diffusion engine drew before anybody gets it.

By the published network where it is on this server; otherwise by open_nsfw, which is installed with
Limner, and the log says so: a picture is never called safe that nothing looked at.

Knows both classifiers; knows no endpoint.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from limner.diffusion.safety import Safety
from limner.endpoints.base import Step
from limner.sketch.instruments import Instruments

Pixels = npt.NDArray[np.uint8]


def unsafe(
    pictures: list[Pixels], safety: Safety, instruments: Instruments
) -> Generator[Step, None, bool]:
    """Whether any of ``pictures`` [h, w, 3 or 4] is not safe for work; all are looked at.

    A cut-out is looked at on white. Raises NetworkUnfit, NetworkMissing where nothing can look.
    """
    published = safety.classifier()
    if published is None:
        yield Step(f"Looked at by open_nsfw alone: {safety.lacking}", level="WARN")
    checker = instruments.safety if published is None else published
    verdicts = [checker.unsafe(on_white(picture)) for picture in pictures]
    return any(verdicts)


def on_white(picture: Pixels) -> Pixels:
    """[h, w, 3] as it is; [h, w, 4] with straight alpha over white."""
    if picture.shape[2] == 3:
        return picture
    share = picture[..., 3:].astype(np.float32) / 255
    return (picture[..., :3] * share + 255 * (1 - share)).round().astype(np.uint8)
