"""The extras of a sticker that both engines make alike: its finish, and files for platforms.

Comes last, when the cut-out is drawn, enlarged and found safe. Knows the request and the stages
that do the work; no engine.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from limner.endpoints.base import Pictures, Step
from limner.endpoints.face_to_sticker.schema import (
    Export,
    FaceToStickerInput,
    FaceToStickerOutput,
)
from limner.endpoints.fields import rgb_of
from limner.errors import InputProblem, blame
from limner.stages.export import export
from limner.stages.finish import Finish, piece_of
from limner.stages.provenance import Source
from limner.stages.see_through import Pixels

#: The share of the shorter side that outline and margin may take, on each of two sides.
_MOST = 0.25
#: A sticker made larger than this is visibly soft.
_SOFT = 1.25


def finish_of(input: FaceToStickerInput, canvas: tuple[int, int]) -> Finish:
    """What is wished for, in pixels of the answer: ``canvas`` (width, height), or twice that.

    Raises InputProblem at ``outline_width`` or ``margin`` if they leave too little to draw on.
    """
    taken, most = input.outline_width + input.margin, int(min(canvas) * _MOST)
    if taken > most:
        with blame("outline_width" if input.outline_width > most else "margin"):
            raise InputProblem(
                f"outline_width and margin take {taken} pixels on each side; a sticker of"
                f" {canvas[0]}×{canvas[1]} has at most {most} for both. Make them smaller, or"
                " image_size larger."
            )
    times = 2 if input.upscale else 1
    return Finish(
        outline=input.outline_width * times,
        color=rgb_of(input.outline_color),
        shadow=input.shadow,
        trim=input.trim,
        margin=input.margin * times,
    )


def with_exports(
    output: FaceToStickerOutput,
    platforms: Sequence[str] | None,
    made: tuple[Pixels, Finish, Source] | None,
    pictures: Pictures,
) -> Generator[Step, None, FaceToStickerOutput]:
    """The answer with a file for each platform, in the order asked for; as it is if none was.

    ``made``: the cut-out [h, w, 4] before its finish, the finish, and how it came to be; None if
    it is not safe.
    """
    if not platforms:
        return output
    piece = piece_of(*made[:2]) if made else None
    if made is None or piece is None:
        yield Step("There is nothing to export", 0.97, "WARN")
        return output.model_copy(update={"exports": []})
    files: list[Export] = []
    for name in dict.fromkeys(platforms):
        made_for = export(piece, name, pictures.mark(made[2]))
        if made_for.enlarged > _SOFT:
            said = f"For {name} the sticker was enlarged {made_for.enlarged:.1f} times and is soft"
            yield Step(f"{said}; ask for a larger image_size or upscale", 0.97, "WARN")
        kept = pictures.publish_file(
            made_for.content,
            file_name=made_for.file_name,
            content_type=made_for.content_type,
            size=made_for.size,
        )
        files.append(Export.model_validate({**kept.model_dump(), "platform": name}))
        yield Step(f"Exported for {name}: {len(made_for.content)} bytes", 0.97)
    return output.model_copy(update={"exports": files})
