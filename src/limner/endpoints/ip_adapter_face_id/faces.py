"""The faces a caller sends, from one photo and from an archive, and the one identity they make.

Knows the two fields that hold faces; nothing of how anything is drawn.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from limner.endpoints.base import Pictures, Step
from limner.endpoints.ip_adapter_face_id.schema import IpAdapterFaceIdInput
from limner.errors import FaceNotFound, InputProblem, blame
from limner.sketch.identity import Identity, averaged
from limner.sketch.stylizer import align
from limner.stages.archive import open_archive
from limner.stages.choice import choose
from limner.stages.face import Face, FaceDetector, Found
from limner.stages.lift import around
from limner.stages.limits import Limits
from limner.stages.picture import open_picture

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Sighting:
    """One face in one photo: the part of the photo around it, and what networks need of it."""

    #: RGB of the part; the first of ``faces`` is meant, in the part's pixels.
    rgb: Pixels
    faces: tuple[Face, ...]
    #: Of unit length; how many numbers depends on the engine's recogniser.
    embedding: Floats
    #: The aligned face, RGB [256, 256, 3].
    crop: Pixels


class Recognises(Protocol):
    """Turns a face in a picture into numbers of unit length."""

    def embed(self, rgb: Pixels, face: Face) -> Floats:
        """The face in ``rgb`` [h, w, 3] as a vector [d]."""
        ...


class Eyes(Protocol):
    """What an engine looks with: it finds faces as all engines do and measures them in its way."""

    @property
    def detector(self) -> FaceDetector: ...

    @property
    def recogniser(self) -> Recognises: ...


class Observer:
    """Looks for faces in what one request sends."""

    def __init__(
        self,
        input: IpAdapterFaceIdInput,
        pictures: Pictures,
        tools: Eyes,
        limits: Limits,
        *,
        mirrored: bool,
    ) -> None:
        """``mirrored``: an embedding is the mean of the face's and its mirror image's."""
        self._input, self._pictures = input, pictures
        self._tools, self._limits, self._mirrored = tools, limits, mirrored

    def look(self) -> Generator[Step, None, tuple[list[Sighting], Identity]]:
        """All faces and their identity. Raises InputProblem at the field at fault."""
        photo, archive = self._input.face_image_url, self._input.face_images_data_url
        if not photo and not archive:
            with blame("face_image_url"):
                raise InputProblem(
                    "No face was given. Send face_image_url (a photo), face_images_data_url "
                    "(a zip with photos of one person), or both."
                )
        seen: list[Sighting] = []
        if photo:
            with blame("face_image_url"):
                seen.append((yield from self._in_photo(photo)))
        elif (self._input.face_index, self._input.face_box) != (None, None):
            said = "face_index and face_box point into face_image_url, which was not sent: not used"
            yield Step(said, 0.03, "WARN")
        if archive:
            with blame("face_images_data_url"):
                seen += yield from self._in_archive(archive)
        identity = averaged([each.embedding for each in seen])
        yield from _told(identity, len(seen))
        return seen, identity

    def _in_photo(self, url: str) -> Generator[Step, None, Sighting]:
        photo = self._opened(self._pictures.read(url))
        yield Step(f"Photo read: {photo.shape[1]}×{photo.shape[0]} pixels", 0.03)
        index, box = self._input.face_index, self._input.face_box
        found = choose(self._found(photo), index, box)
        tries = "" if len(found.tried) == 1 else f"; tried: {', '.join(found.tried)}"
        number = len(found.faces)
        if index is not None or box is not None:
            yield Step(
                f"{number} face{'s' if number > 1 else ''} found; yours is taken{tries}", 0.1
            )
        elif found.rival is not None:
            said = f"{number} faces found, of nearly the same size: the largest is taken{tries}"
            yield Step(said, 0.1, "WARN")
        else:
            yield Step(f"{number} face{'s' if number > 1 else ''} found{tries}", 0.1)
        return self._sighted(found)

    def _in_archive(self, url: str) -> Generator[Step, None, list[Sighting]]:
        files = open_archive(self._pictures.read(url), self._limits.archive)
        yield Step(f"Archive read: {len(files)} photo{'s' if len(files) > 1 else ''}", 0.1)
        seen: list[Sighting] = []
        for number, file in enumerate(files, 1):
            try:
                found = self._found(self._opened(file.content))
            except FaceNotFound:
                yield Step(
                    f"Photo {number} of the archive is left out: no face found", None, "WARN"
                )
                continue
            except InputProblem as problem:
                problem.msg = f"{file.shown} in the archive: {problem.msg}"
                raise
            seen.append(self._sighted(found))
            yield Step(f"Face found in photo {number} of {len(files)}", None, "DEBUG")
        if not seen:
            raise FaceNotFound(
                f"Could not detect a face in any photo of the archive ({len(files)}). "
                "Use photos in which one face is large, well lit and seen from the front."
            )
        return seen

    def _opened(self, encoded: bytes) -> Pixels:
        limits = self._limits
        return open_picture(encoded, max_pixels=limits.max_pixels).rgb

    def _found(self, photo: Pixels) -> Found:
        return self._tools.detector.find(photo, self._input.face_id_det_size)

    def _sighted(self, found: Found) -> Sighting:
        """What is kept of a photo: the rest of it would only fill the memory."""
        face = found.face
        left, top, right, bottom = around(face.box, found.rgb.shape[1], found.rgb.shape[0])
        corner = np.array([left, top], np.float32)
        moved = tuple(
            Face((x - left, y - top, w, h), each.landmarks - corner, each.score)
            for each in found.faces
            for x, y, w, h in (each.box,)
        )
        crop, _ = align(found.rgb, face.landmarks)
        part = np.ascontiguousarray(found.rgb[top:bottom, left:right])
        return Sighting(part, moved, self._embedded(found.rgb, face), crop)

    def _embedded(self, rgb: Pixels, face: Face) -> Floats:
        recogniser = self._tools.recogniser
        embedding = recogniser.embed(rgb, face)
        if self._mirrored:
            turned, there = mirrored(rgb, face)
            embedding = embedding + recogniser.embed(turned, there)
        return (embedding / np.linalg.norm(embedding)).astype(np.float32)


def mirrored(rgb: Pixels, face: Face) -> tuple[Pixels, Face]:
    """The mirror image, and where the face is in it."""
    width = rgb.shape[1]
    landmarks = face.landmarks[[1, 0, 2, 4, 3]].copy()
    landmarks[:, 0] = width - 1 - landmarks[:, 0]
    x, y, w, h = face.box
    return np.ascontiguousarray(rgb[:, ::-1]), Face((width - x - w, y, w, h), landmarks, face.score)


def _told(identity: Identity, number: int) -> Iterator[Step]:
    for index, cosine in identity.outliers:
        yield Step(
            f"Face {index + 1} of {number} is left out: too unlike the others "
            f"(cosine {cosine:.2f} to their mean)",
            0.14,
            "WARN",
        )
    if number > 1:
        kept = len(identity.kept)
        yield Step(f"One identity of {kept} faces, drawn from face {identity.closest + 1}", 0.15)
