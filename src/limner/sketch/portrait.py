"""Drawing a subject by a recipe: the hand of the sketch engine.

*toon* redraws the photo itself. *ink*, *pencil* and *oil* are drawn by a generator from the
face's latent, which words may move; features, hair and clothes are lent to its drawing by the
photo, hair not where words ask for another.
Knows subjects, recipes and networks; knows nothing of canvases' backgrounds or requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch import toon
from limner.sketch.directions import average, move
from limner.sketch.features import blob
from limner.sketch.instruments import Instruments
from limner.sketch.lending import as_red, clothed, lent
from limner.sketch.merging import Fit, edited, fit_of
from limner.sketch.recipe import Recipe
from limner.sketch.stylizer import SIZE, align
from limner.sketch.subject import Subject
from limner.stages.face import Face, FaceDetector
from limner.stages.lift import Person, lift
from limner.stages.silhouette import rounded_frame

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: First row of the latent's twelve that says colour rather than shape.
COLOUR_ROWS = 8
#: Directions that put on what does not bend as a face does.
STIFF = frozenset({"glasses", "sunglasses"})
#: Directions that show other teeth than the photo's.
TOOTHED = frozenset({"smile", "open_mouth"})
#: Directions that leave the skin its colour.
COLOURLESS = TOOTHED | {"angry"}


@dataclass(frozen=True, eq=False, slots=True)
class Aligned:
    """The photo's face as the networks want it: RGB [256, 256, 3], and what is known of it."""

    crop: Picture
    #: [5, 2] in pixels of the crop.
    landmarks: Floats
    #: Where the crop shows the person, [256, 256] 0…1.
    person: Floats


def draw_portrait(
    subject: Subject, recipe: Recipe, canvas: tuple[int, int], instruments: Instruments
) -> tuple[Picture, Person]:
    """The drawing, RGB [h, w, 3], and the person it shows, at the size for ``canvas``."""
    if recipe.style == "toon":
        person = _lifted(subject, canvas)
        return toon.draw(person.rgb, person.alpha, person.landmarks, recipe.toon), person
    imagined = imagine(subject, recipe, instruments)
    person = _lifted(imagined, canvas)
    # A generator's colours are strong enough: only what was asked for beyond the plain toon.
    asked = replace(recipe.toon, saturation=recipe.toon.saturation / toon.ToonStyle().saturation)
    return toon.to_rgb(toon.colored(toon.to_lab(person.rgb), asked)), person


def imagine(subject: Subject, recipe: Recipe, instruments: Instruments) -> Subject:
    """What the generator of the recipe's style draws of the subject, cut free again."""
    crop, affine = align(subject.rgb, subject.face.landmarks)
    own = subject.alpha * rounded_frame(subject.alpha.shape, 0.3 * subject.face.box[3])
    aligned = Aligned(
        crop, _mapped(subject.face, affine, 1).landmarks, _warped(own, affine, crop.shape[0])
    )
    upscaler = instruments.upscaler(4)
    large = upscaler(_drawn(aligned, recipe, instruments))
    face = _mapped(subject.face, affine, upscaler.scale)
    side = large.shape[0]
    photo = _warped(own, affine, side)
    if recipe.moves_hair:
        alpha = _within(instruments.matte(large), photo, face, recipe)
    else:
        # The hair that is drawn is the photo's, and ends where it does.
        alpha = _spread(photo, 0.008 * side)
    return Subject(large, alpha * _dome(side), face, ())


def _drawn(aligned: Aligned, recipe: Recipe, instruments: Instruments) -> Picture:
    """The face [256, 256, 3] in the recipe's style, with all that is the person's own."""
    crop = aligned.crop
    stylizer = instruments.stylizer(recipe.style)
    latent = stylizer.encode(crop)
    # Hair is the generator's own: bent after the photo's it would only swirl.
    inner = blob(crop.shape, (SIZE / 2, SIZE * 0.48), (SIZE * 0.29, SIZE * 0.37), soft=0.5)

    def imagined(moves: Mapping[str, float]) -> Picture:
        wanted = shaped(latent, replace(recipe, moves=moves))
        small = stylizer.draw(recipe.style, wanted, recipe.seed, recipe.grain)
        # The oil generator paints the painting's upper edge too.
        return _without_frame(small) if recipe.style == "oil" else small

    def fit(plain: Picture, drawn: Floats | None) -> Fit:
        return fit_of(plain, crop, drawn, aligned.landmarks, inner)

    drawing, kept = fitted(imagined, recipe.moves, fit, instruments.detector)
    featured = lent(drawing, crop, recipe.lent, kept)
    if recipe.style == "oil":
        featured = cleansed(featured, crop, aligned.landmarks, recipe.moves, kept)
    if recipe.moves_hair:
        return featured
    return clothed(featured, crop, aligned.person, recipe.worn, kept)


def cleansed(
    drawing: Picture,
    crop: Picture,
    landmarks: Floats,
    moves: Mapping[str, float],
    kept: Floats | None,
) -> Picture:
    """The oil generator's drawing [256, 256, 3] without its green, in skin and mouth.

    ``landmarks`` [5, 2] are the crop's; ``kept`` is where ``moves`` changed the drawing.
    """
    recoloured = None if COLOURLESS.issuperset(moves) else kept
    return as_red(drawing, crop, landmarks, recoloured, own_mouth=TOOTHED.isdisjoint(moves))


def fitted(
    imagined: Callable[[Mapping[str, float]], Picture],
    moves: Mapping[str, float],
    fit: Callable[[Picture, Floats | None], Fit],
    detector: FaceDetector,
) -> tuple[Picture, Floats | None]:
    """What is ``imagined`` with ``moves``, made to fit, and where they changed it (None: no moves).

    Only what is imagined without them tells the fit: it is given that drawing, and its landmarks
    [5, 2] where a face is found in it (decision 0052).
    """
    plain = imagined({})
    faces = detector.detect(plain, plain.shape[0])
    fits = fit(plain, faces[0].landmarks if faces else None)
    unmoved = fits(plain)
    if not moves:
        return unmoved, None
    drawn = imagined(moves)
    moved = fits(drawn)
    changed = edited(moved, unmoved)
    if STIFF.isdisjoint(moves):
        return moved, changed
    # Along the flow of a face that is turned, a frame would come out crooked.
    stiff = fits.stiff(changed)
    worn = stiff(drawn)
    changed = edited(worn, stiff(plain))
    ours, theirs = toon.to_lab(unmoved), toon.to_lab(worn)
    laid = (ours + changed[..., None] * (theirs - ours)).astype(np.float32)
    return toon.to_rgb(laid), changed


def shaped(latent: Floats, recipe: Recipe) -> Floats:
    """The latent [12, 512] truncated, jittered and moved as the recipe says."""
    middle = average()
    own = latent - middle
    kept = np.full((len(latent), 1), recipe.truncation, np.float32)
    kept[COLOUR_ROWS:] = recipe.colour_truncation
    chance = np.random.default_rng(recipe.seed).standard_normal(latent.shape, np.float32)
    # Shape is left alone: a jittered shape is another person.
    chance[:4] = 0
    spread = recipe.jitter * np.sqrt((own * own).mean(axis=1, keepdims=True))
    return move((middle + kept * own + spread * chance).astype(np.float32), recipe.moves)


def _lifted(subject: Subject, canvas: tuple[int, int]) -> Person:
    face = subject.face
    return lift(subject.rgb, subject.alpha, face.box, face.landmarks, canvas, subject.others)


def _mapped(face: Face, affine: Floats, scale: int) -> Face:
    """The face in pixels of the enlarged aligned picture; its box turned upright."""
    landmarks = (face.landmarks @ affine[:, :2].T + affine[:, 2]) * scale
    grown = float(np.hypot(affine[0, 0], affine[0, 1])) * scale
    x, y, width, height = face.box
    middle = np.array([x + width / 2, y + height / 2], np.float32)
    centre = (affine[:, :2] @ middle + affine[:, 2]) * scale
    width, height = width * grown, height * grown
    box = (float(centre[0] - width / 2), float(centre[1] - height / 2), width, height)
    return Face(box, landmarks.astype(np.float32), face.score)


def _warped(alpha: Floats, affine: Floats, side: int) -> Floats:
    """The photo's matte in the aligned picture of ``side`` pixels."""
    scale = side / SIZE
    placed = cv2.warpAffine(alpha, affine * np.float32(scale), (side, side), flags=cv2.INTER_AREA)
    return np.asarray(placed, np.float32)


def _within(alpha: Floats, photo: Floats, face: Face, recipe: Recipe) -> Floats:
    """The drawing's matte corrected by the photo's: the drawing keeps the photo's pose.

    What is well inside the head in the photo is head; what is far outside the person is not.
    """
    side = alpha.shape[0]
    if recipe.style == "oil":
        # The matting network takes painted skies for hair.
        return _spread(photo, 0.008 * side)
    reach = 0.02 + 0.09 * max(0.0, recipe.moves.get("long_hair", 0.0))
    x, y, width, height = face.box
    middle, radii = (x + width / 2, y + 0.4 * height), (0.6 * width, 0.75 * height)
    surely = (1 - _spread(1 - photo, 0.035 * side)) * blob(alpha.shape, middle, radii, soft=0.2)
    return np.maximum(alpha * _spread(photo, reach * side), surely)


def _spread(alpha: Floats, reach: float) -> Floats:
    """The matte grown by ``reach`` pixels, with a soft border."""
    radius = max(1, round(reach))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.GaussianBlur(cv2.dilate(alpha, disc), (0, 0), reach / 4), np.float32)


def _dome(side: int) -> Floats:
    """Where a head cut off by the picture's upper edge is rounded, [side, side] 0…1."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side
    edge = 0.004 + 0.95 * np.abs(columns - 0.5) ** 2.2
    return np.clip((rows - edge) * side / 3, 0, 1).astype(np.float32)


def _without_frame(picture: Picture) -> Picture:
    """The top rows replaced by the mirror image of what is below them."""
    rows = picture.shape[0] // 18
    inner = np.ascontiguousarray(picture[rows:])
    return np.asarray(cv2.copyMakeBorder(inner, rows, 0, 0, 0, cv2.BORDER_REFLECT), dtype=np.uint8)
