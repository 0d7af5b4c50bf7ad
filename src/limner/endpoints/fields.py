"""Field types that more than one endpoint uses, with fal's own names, texts and limits.

Knows fal's toolkit types (wire.md 9.2); knows no endpoint.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

#: fal's largest width or height of an ImageSize, in pixels.
MAX_SIDE = 14142

#: The largest seed; numpy and torch both take 32 bits, as fal's example seeds do.
MAX_SEED = 2**32 - 1

PresetName = Literal[
    "square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"
]

#: Width and height in pixels of fal's named sizes.
PRESETS: dict[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}


#: Marks, in a field's JSON schema, an input that fal does not have.
EXTENSION = "x-extension"


def extension(
    default: Any = None,
    *,
    description: str,
    schema: Mapping[str, Any] | None = None,
    **constraints: Any,
) -> Any:
    """A pydantic Field for an optional input of Limner's that fal does not have.

    Left out, the answer is fal's to the letter; a strict server refuses it as unknown.
    ``constraints`` are Field's own (``ge``, ``max_length`` …); ``schema`` is told in the JSON
    schema besides.
    """
    marks = {EXTENSION: True, **(schema or {})}
    return Field(default, description=description, json_schema_extra=marks, **constraints)


def is_extension(field: FieldInfo) -> bool:
    """Was this field declared with :func:`extension`?"""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and EXTENSION in cast("dict[str, Any]", extra)


#: fal's key for the fields in the order in which they are declared.
ORDER = "x-fal-order-properties"


def order_properties(schema: dict[str, Any]) -> None:
    """Add fal's order of the fields to a model's JSON schema."""
    schema[ORDER] = list(schema.get("properties", {}))


class FalModel(BaseModel):
    """A model whose JSON schema says its field order as fal's does; unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra=order_properties, frozen=True)


class ImageSize(FalModel):
    """A size in pixels. A missing side is 512."""

    width: int = Field(512, gt=0, le=MAX_SIDE, description="The width of the generated image.")
    height: int = Field(512, gt=0, le=MAX_SIDE, description="The height of the generated image.")


ImageSizeInput = Annotated[ImageSize | PresetName, Field(title="Image Size")]


def seed_of(given: int | None) -> int:
    """The seed to draw with: the caller's, 0 too, or one by chance, which the answer tells."""
    return secrets.randbelow(MAX_SEED + 1) if given is None else given


def pixels(size: ImageSize | str) -> tuple[int, int]:
    """(width, height) in pixels of an ImageSize or a preset's name."""
    return PRESETS[size] if isinstance(size, str) else (size.width, size.height)


def face_index() -> Any:
    """The extra input that says which face is meant, by size."""
    return extension(
        ge=0,
        le=999,
        description="Which face to take when there are several: 0 is the largest, 1 the next. "
        "Not part of fal's API.",
    )


def face_box() -> Any:
    """The extra input that says which face is meant, by place: four numbers."""
    return extension(
        min_length=4,
        max_length=4,
        description="Where the face to take is: [x, y, width, height] in pixels of the upright "
        "photo (after its EXIF turn). The face that overlaps it best is taken. "
        "Not part of fal's API.",
    )


_COLOR = "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"


def _color(written: str) -> str:
    # JSON Schema's $ is the very end; Python's also stands before a last line feed.
    if re.match(_COLOR, written) and not written.endswith("\n"):
        return written
    raise PydanticCustomError(
        "string_pattern_mismatch",
        "Not a colour. Write it as CSS does: # and three or six hexadecimal digits, as #fff"
        " or #ffcc00.",
        {"pattern": _COLOR},
    )


#: A colour as CSS writes it in hexadecimal: ``#rgb`` or ``#rrggbb``.
HexColor = Annotated[str, AfterValidator(_color)]

#: What the JSON schema says of a HexColor: its form, and that a colour picker suits it.
COLOR_SCHEMA: dict[str, Any] = {"pattern": _COLOR, "ui": {"field": "color"}}


def rgb_of(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0…255, of a HexColor."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


class Image(FalModel):
    """fal's description of a picture that can be fetched."""

    url: str = Field(description="The URL where the file can be downloaded from.")
    content_type: str | None = Field(None, description="The mime type of the file.")
    file_name: str | None = Field(
        None,
        description="The name of the file. It will be auto-generated if not provided.",
    )
    file_size: int | None = Field(None, description="The size of the file in bytes.")
    width: int | None = Field(None, description="The width of the image in pixels.")
    height: int | None = Field(None, description="The height of the image in pixels.")
