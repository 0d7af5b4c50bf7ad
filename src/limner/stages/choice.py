"""Which of a picture's faces is meant: the largest, or the one a caller points at.

Knows faces and boxes; knows nothing of networks, requests or what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from limner.errors import FaceNotFound, InputProblem, blame
from limner.stages.face import Face, Found

#: x, y, width, height in pixels.
Box = tuple[float, float, float, float]

#: Faces that a message lists; a crowd has more.
_LISTED = 10


def choose(found: Found, index: int | None = None, box: Sequence[float] | None = None) -> Found:
    """``found`` with the meant face first and the others behind it, by size.

    ``index``: 0 is the largest, 1 the next. ``box``: x, y, width, height in pixels of the picture
    as it was given to the detector, before it was turned; the face with the best overlap
    (intersection over union) is taken. Neither: ``found`` as it is.

    Raises FaceNotFound at ``face_index`` or ``face_box``, whose message and ctx ``faces`` say
    which faces there are; InputProblem when both are given.
    """
    if index is not None and box is not None:
        with blame("face_box"):
            raise InputProblem("Give face_index or face_box, not both: each names one face.")
    if index is not None:
        with blame("face_index"):
            return _first(found, _by_index(found, index))
    if box is not None:
        with blame("face_box"):
            return _first(found, _by_box(found, box))
    return found


def boxes(found: Found) -> list[Box]:
    """Where the faces are in the picture as it was before it was turned, in ``found``'s order."""
    return [_unturned(found, face.box) for face in found.faces]


def _first(found: Found, chosen: Face) -> Found:
    others = (face for face in found.faces if face is not chosen)
    return replace(found, faces=(chosen, *others))


def _by_index(found: Found, index: int) -> Face:
    if index < len(found.faces):
        return found.faces[index]
    number = len(found.faces)
    said = "is 1 face" if number == 1 else f"are {number} faces"
    raise _not_found(
        found, f"There {said} in the photo, so face_index must be below {number}; {index} is not."
    )


def _by_box(found: Found, box: Sequence[float]) -> Face:
    overlaps = [_overlap(each, box) for each in boxes(found)]
    best = max(overlaps)
    if best > 0:
        return found.faces[overlaps.index(best)]
    raise _not_found(found, "No face overlaps face_box.")


def _not_found(found: Found, why: str) -> FaceNotFound:
    places = [[round(number) for number in box] for box in boxes(found)]
    listed = ", ".join(str(place) for place in places[:_LISTED])
    more = f" and {len(places) - _LISTED} more" if len(places) > _LISTED else ""
    return FaceNotFound(
        f"{why} Faces were found at {listed}{more} ([x, y, width, height] in pixels).",
        ctx={"faces": places[:_LISTED], "face_count": len(places)},
    )


def _unturned(found: Found, box: Box) -> Box:
    """``box`` of the turned picture in pixels of the picture before the turn."""
    height, width = found.rgb.shape[:2]
    x, y, w, h = box
    match found.turned:
        case 90:
            return (y, width - x - w, h, w)
        case 180:
            return (width - x - w, height - y - h, w, h)
        case 270:
            return (height - y - h, x, h, w)
        case _:
            return box


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes; 0 for a box without an area."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
