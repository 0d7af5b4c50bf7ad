"""What both engines of face-to-sticker make of a request before they draw.

Knows the input's size and the faces that were found; knows no engine.
"""

from __future__ import annotations

from limner.endpoints.base import Step
from limner.endpoints.face_to_sticker.schema import FaceToStickerInput
from limner.endpoints.fields import pixels
from limner.errors import FeatureNotSupported, blame
from limner.stages.face import Found


def canvas_of(input: FaceToStickerInput, max_pixels: int, grid: int = 1) -> tuple[int, int]:
    """(width, height) in pixels to draw on, sides in multiples of ``grid``.

    Raises FeatureNotSupported at ``image_size`` for more than ``max_pixels``, enlarged or not.
    """
    width, height = (max(grid, round(side / grid) * grid) for side in pixels(input.image_size))
    scale = 2 if input.upscale else 1
    if width * height * scale**2 > max_pixels:
        with blame("image_size"):
            raise FeatureNotSupported(
                f"{width}×{height}{', upscaled twice,' if input.upscale else ''} is more than"
                f" {max_pixels / 1e6:g} megapixels. Ask for a smaller image_size."
            )
    return width, height


def faces_told(input: FaceToStickerInput, found: Found, progress: float) -> Step:
    """How many faces there are and which is taken; a warning where another may be meant."""
    tries = "" if len(found.tried) == 1 else f"; tried: {', '.join(found.tried)}"
    number = len(found.faces)
    chosen = (input.face_index, input.face_box) != (None, None)
    if found.rival is not None and not chosen:
        said = f"{number} faces found, of nearly the same size: the largest is taken{tries}"
        return Step(said, progress, "WARN")
    yours = "; yours is taken" if chosen else ""
    return Step(f"{number} face{'s' if number > 1 else ''} found{yours}{tries}", progress)
