"""The folder into which ``limner run`` puts pictures, and what a drawing reads there and here.

A picture is kept in memory until its drawing has ended well, then written as
``{photo}-{what it is}.png``; nothing that is there already is written over. Knows files and fal's
description of a picture; knows no endpoint.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from limner.endpoints.fields import Image
from limner.stages.fetch import Door
from limner.stages.provenance import Source

#: What stands for a picture that is not written yet.
KEPT = "kept:"

Place = tuple[str | int, ...]


class DrawingPictures:
    """The Pictures of one drawing."""

    def __init__(
        self, door: Door, *, marked: bool, sign: Callable[[bytes], bytes] | None = None
    ) -> None:
        """``door`` reads the photos that the request names, and addresses as a server does.

        ``marked``: do pictures say how they were made? ``sign``: signs a picture of an answer.
        """
        self._door = door
        self._marked = marked
        self._sign = sign
        #: Whoever runs the command.
        self.caller = ""
        self.kept: dict[str, bytes] = {}

    def mark(self, source: Source) -> Source | None:
        """See Pictures."""
        return source if self._marked else None

    def read(self, url: str) -> bytes:
        """See Pictures."""
        return self._door.read(url)

    def publish(self, encoded: bytes, *, width: int, height: int, format: str = "PNG") -> Image:
        """See Pictures. The address is a stand-in until the picture is written."""
        return self._keep(
            encoded if self._sign is None else self._sign(encoded),
            format.lower(),
            None,
            content_type=f"image/{format}",
            size=(width, height),
        )

    def publish_file(
        self, content: bytes, *, file_name: str, content_type: str, size: tuple[int, int]
    ) -> Image:
        """See Pictures."""
        ending = file_name.rpartition(".")[2]
        return self._keep(content, ending, file_name, content_type=content_type, size=size)

    def _keep(
        self,
        content: bytes,
        ending: str,
        file_name: str | None,
        *,
        content_type: str,
        size: tuple[int, int],
    ) -> Image:
        url = f"{KEPT}{len(self.kept)}.{ending}"
        self.kept[url] = content
        return Image(
            url=url,
            content_type=content_type,
            file_name=file_name or url,
            file_size=len(content),
            width=size[0],
            height=size[1],
        )


def photo_reader(photos: Mapping[str, Path]) -> Any:
    """What the door asks first: the bytes of a file that the command line named, and no other."""

    def read(url: str) -> bytes | None:
        path = photos.get(url)
        return None if path is None else path.read_bytes()

    return read


class OutFolder:
    """Where pictures go."""

    def __init__(self, path: Path) -> None:
        """Made when the first picture is written."""
        self.path = path

    def save(self, answer: dict[str, Any], kept: Mapping[str, bytes], stem: str) -> list[str]:
        """Write every kept picture that ``answer`` names, and name the file in it; the names."""
        roles = dict[str, str]()
        for place, image in _images(answer):
            role = "-".join(str(part) for part in place).replace("_", "-")
            if image.get("file_name") != image["url"]:
                role = Path(image["file_name"] or role).stem  # what its maker calls it
            # `sticker_image` says more than `images-0`, which is the same picture.
            if image["url"] in kept and (
                image["url"] not in roles or not any(isinstance(part, int) for part in place)
            ):
                roles[image["url"]] = f"{role}{Path(image['url']).suffix}"
        free = self._free_stem(stem, list(roles.values()))
        names = {url: f"{free}-{role}" for url, role in roles.items()}
        self.path.mkdir(parents=True, exist_ok=True)
        for url, name in names.items():
            self._write(name, kept[url])
        for _, image in _images(answer):
            if image["url"] in names:
                image["file_name"] = image["url"] = names[image["url"]]
        return list(names.values())

    def addressed(self, answer: Any) -> Any:
        """``answer`` with the full address of every file of this folder, for programs."""
        told = copy.deepcopy(answer)
        for _, image in _images(told):
            if image.get("file_name") == image["url"]:
                image["url"] = (self.path / image["url"]).absolute().as_uri()
        return told

    def names(self, answer: Any) -> list[str]:
        """The names of this folder's files in an answer, each once, in order."""
        found = (image for _, image in _images(answer) if image.get("file_name") == image["url"])
        return list(dict.fromkeys(str(image["url"]) for image in found))

    def _free_stem(self, stem: str, roles: list[str]) -> str:
        """``stem``, or with the first number under which no file of these is there."""
        number, free = 1, stem
        while any((self.path / f"{free}-{role}").exists() for role in roles):
            number += 1
            free = f"{stem}-{number}"
        return free

    def _write(self, name: str, content: bytes) -> None:
        """Durably, and all of it or nothing."""
        part = self.path / f".{name}.part"
        with part.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        part.rename(self.path / name)


def _images(value: Any, place: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every description of a picture in an answer, and where it stands."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        if isinstance(found.get("url"), str):
            yield place, found
        else:
            for key, part in found.items():
                yield from _images(part, (*place, key))
    elif isinstance(value, list):
        for number, part in enumerate(cast("list[Any]", value)):
            yield from _images(part, (*place, number))
