"""The input and output of ``fal-ai/face-to-sticker``, in fal's own words, order and defaults.

The texts are fal's published ones to the letter, its slips included (``image_url``: "URL of the
video."): a client generated from fal's document must see no difference. Knows no engine.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, FiniteFloat

from limner.endpoints.base import Endpoint
from limner.endpoints.fast import Fast, x_fast
from limner.endpoints.fields import (
    COLOR_SCHEMA,
    MAX_SEED,
    FalModel,
    HexColor,
    Image,
    ImageSizeInput,
    extension,
    face_box,
    face_index,
    order_properties,
)

#: Where a sticker may be going; what each asks of a file is in ``stages.platforms``.
PlatformName = Literal[
    "whatsapp", "telegram", "signal", "imessage", "discord", "line", "slack", "print"
]


class FaceToStickerInput(FalModel):
    """What a caller may ask of face-to-sticker."""

    model_config = ConfigDict(
        title="FaceToStickerInput", json_schema_extra=order_properties, frozen=True
    )

    prompt: str = Field(
        description="The prompt to use for generating the image. "
        "Be as descriptive as possible for best results.",
    )
    image_url: str = Field(
        description="URL of the video.", json_schema_extra={"ui": {"field": "image"}}
    )
    negative_prompt: str = Field(
        "",
        description="The negative prompt to use. Use it to address details that you don't want\n"
        "in the image. This could be colors, objects, scenery and even the small details\n"
        "(e.g. moustache, blurry, low resolution).",
    )
    image_size: ImageSizeInput = Field("square_hd", description="The size of the generated image.")
    num_inference_steps: int = Field(
        20,
        ge=1,
        le=100,
        description="Increasing the amount of steps tells Stable Diffusion that it should take "
        "more steps\nto generate your final result which can increase the amount of detail in "
        "your image.",
    )
    guidance_scale: float = Field(
        4.5,
        ge=0,
        le=20,
        description="The CFG (Classifier Free Guidance) scale is a measure of how close you want"
        "\nthe model to stick to your prompt when looking for a related image to show you.",
    )
    instant_id_strength: float = Field(
        0.7, ge=0, le=1, description="The strength of the instant ID."
    )
    ip_adapter_weight: float = Field(0.2, ge=0, le=1, description="The weight of the IP adapter.")
    ip_adapter_noise: float = Field(
        0.5, ge=0, le=1, description="The amount of noise to add to the IP adapter."
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=MAX_SEED,
        description="The same seed and the same prompt given to the same version of Stable "
        "Diffusion will output the same image every time.",
    )
    upscale: bool = Field(False, description="Whether to upscale the image 2x.")
    upscale_steps: int = Field(
        10,
        ge=1,
        le=100,
        description="The number of steps to use for upscaling. Only used if upscale is true.",
    )
    enable_safety_checker: bool = Field(
        True, description="If set to false, the safety checker will be disabled."
    )
    face_index: int | None = face_index()
    face_box: list[FiniteFloat] | None = face_box()
    return_scores: bool = extension(
        False,
        description="Whether to answer with how alike the sticker and the photo are. "
        "Not part of fal's API.",
    )
    outline_width: int = extension(
        0,
        ge=0,
        le=128,
        description="Width of an outline around the cut-out, in pixels of image_size; 0 is none. "
        "WhatsApp recommends 16 for a square_hd sticker. Not part of fal's API.",
    )
    outline_color: HexColor = extension(
        "#ffffff",
        schema=COLOR_SCHEMA,
        description="Colour of the outline, as CSS writes it: #fff or #ffffff. "
        "Not part of fal's API.",
    )
    shadow: bool = extension(
        False,
        description="Whether the cut-out casts a soft shadow. Not part of fal's API.",
    )
    trim: bool = extension(
        False,
        description="Whether to crop the cut-out to the sticker, its shadow included. "
        "Not part of fal's API.",
    )
    margin: int = extension(
        0,
        ge=0,
        le=256,
        description="Clear space to keep around the cut-out's sticker, in pixels of image_size. "
        "Not part of fal's API.",
    )
    exports: list[PlatformName] | None = extension(
        max_length=8,
        description="Platforms to make a file of the cut-out for, each by its rules for size, "
        "format and bytes; print is a PDF with a CutContour path. Not part of fal's API.",
    )
    x_fast: Fast | None = x_fast()


class Scores(FalModel):
    """How alike the sticker and the photo are."""

    similarity: float | None = Field(
        description="Cosine of the SFace embeddings of the sticker and the photo, -1…1; "
        "null where no face is recognised in the drawing.",
    )
    recogniser: str = Field(description="Which network measured.")


class Export(Image):
    """The sticker as one platform wants it."""

    platform: PlatformName = Field(description="The platform whose rules the file obeys.")


class FaceToStickerOutput(FalModel):
    """What face-to-sticker answers."""

    images: list[Image] = Field(description="The generated images.")
    sticker_image: Image = Field(description="The generated face sticker image.")
    sticker_image_background_removed: Image = Field(
        description="The generated face sticker image with the background removed."
    )
    seed: int = Field(description="Seed used during the inference.")
    has_nsfw_concepts: dict[str, bool] = Field(
        description="Whether the generated images contain NSFW concepts. "
        "The key is the image type and the value is a boolean.",
    )
    scores: Scores | None = extension(
        description="How alike they are, if return_scores asked for it. Not part of fal's API."
    )
    exports: list[Export] | None = extension(
        description="The files that exports asked for, in its order; none of a sticker that is "
        "not safe. Not part of fal's API.",
    )


FACE_TO_STICKER = Endpoint(
    id="fal-ai/face-to-sticker",
    title="Face to Sticker",
    category="image-to-image",
    description="Create stickers from faces.",
    input=FaceToStickerInput,
    output=FaceToStickerOutput,
    engines={
        "sketch": "limner.endpoints.face_to_sticker.sketch:open_engine",
        "diffusion": "limner.endpoints.face_to_sticker.diffusion:open_engine",
    },
    example={
        "image_url": "https://storage.googleapis.com/falserverless/model_tests/face_to_sticker/elon.jpg",
        "prompt": "a person",
        "num_inference_steps": 20,
        "guidance_scale": 4.5,
        "instant_id_strength": 0.7,
        "ip_adapter_weight": 0.2,
        "ip_adapter_noise": 0.5,
        "image_size": "square_hd",
        "upscale_steps": 10,
        "enable_safety_checker": True,
    },
)
