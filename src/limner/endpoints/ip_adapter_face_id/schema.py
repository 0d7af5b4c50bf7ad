"""The input and output of ``fal-ai/ip-adapter-face-id``, in fal's own words, order and defaults.

The texts are fal's published ones to the letter. fal publishes no bounds; ours are what the
engines can draw. Knows no engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat
from pydantic_core import PydanticCustomError

from limner.endpoints.base import Endpoint
from limner.endpoints.fast import FewSteps, x_fast
from limner.endpoints.fields import (
    MAX_SEED,
    FalModel,
    Image,
    extension,
    face_box,
    face_index,
    order_properties,
)

ModelType = Literal[
    "1_5-v1", "1_5-v1-plus", "1_5-v2-plus", "SDXL-v1", "SDXL-v2-plus", "1_5-auraface-v1"
]

NEGATIVE_PROMPT = (
    "blurry, low resolution, bad, ugly, low quality, pixelated, interpolated, "
    "compression artifacts, noisey, grainy"
)

#: ``owner/name`` with an optional ``@revision``, as Hugging Face allows them.
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,100})?", re.ASCII)
_HUB = re.compile(
    r"https://(huggingface\.co|hf\.co)/[\w.-]{1,96}/[\w.-]{1,96}"
    r"(/(tree|blob|resolve)/[\w./%-]{1,300})?/?(\?download=true)?",
    re.ASCII,
)
_FILE = re.compile(
    r"https://[A-Za-z0-9.-]+(:\d+)?/[^\s?#]*\.safetensors([?#]\S*)?", re.ASCII | re.IGNORECASE
)


def _base_model(name: str) -> str:
    """A name under which a base model can be found; what can run code is none."""
    if len(name) <= 2000 and ".." not in name:
        for form in (_REPO, _HUB, _FILE):
            if form.fullmatch(name):
                return name
    raise PydanticCustomError(
        "value_error",
        "Not the name of a base model. Give a Hugging Face id (owner/name or owner/name@revision),"
        " its huggingface.co URL, or an https URL of a .safetensors file.",
    )


BaseModelRepo = Annotated[str, AfterValidator(_base_model)]


class IpAdapterFaceIdInput(FalModel):
    """What a caller may ask of ip-adapter-face-id."""

    model_config = ConfigDict(
        title="IpAdapterFaceIdInput",
        json_schema_extra=order_properties,
        frozen=True,
        protected_namespaces=(),  # fal's field is called model_type
    )

    model_type: ModelType = Field(
        "1_5-v1",
        description="The model type to use. 1_5 is the default and is recommended for most use "
        "cases.",
    )
    prompt: str = Field(
        description="The prompt to use for generating the image. "
        "Be as descriptive as possible for best results.",
    )
    face_image_url: str | None = Field(
        None,
        description="An image of a face to match. If an image with a size of 640x640 is not "
        "provided, it will be scaled and cropped to that size.",
        json_schema_extra={"ui": {"field": "image"}},
    )
    face_images_data_url: str | None = Field(
        None,
        description="URL to zip archive with images of faces. The images embedding will be "
        "averaged to create a more accurate face id.",
    )
    negative_prompt: str = Field(
        NEGATIVE_PROMPT,
        description="The negative prompt to use.Use it to address details that you don't want\n"
        "in the image. This could be colors, objects, scenery and even the small details\n"
        "(e.g. moustache, blurry, low resolution).",
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=MAX_SEED,
        description="The same seed and the same prompt given to the same version of Stable "
        "Diffusion will output the same image every time.",
    )
    guidance_scale: FiniteFloat = Field(
        7.5,
        ge=0,
        le=20,
        description="The CFG (Classifier Free Guidance) scale is a measure of how close you want"
        "\nthe model to stick to your prompt when looking for a related image to show you.",
    )
    num_inference_steps: int = Field(
        50,
        ge=1,
        le=200,
        description="The number of inference steps to use for generating the image. The more "
        "steps\nthe better the image will be but it will also take longer to generate.",
    )
    num_samples: int = Field(
        4,
        ge=1,
        le=16,
        description="The number of samples for face id. The more samples the better the image "
        "will\nbe but it will also take longer to generate. Default is 4.",
    )
    width: int = Field(512, ge=64, le=2048, description="The width of the generated image.")
    height: int = Field(512, ge=64, le=2048, description="The height of the generated image.")
    face_id_det_size: int = Field(
        640,
        ge=1,
        le=4096,
        description="The size of the face detection model. The higher the number the more "
        "accurate\nthe detection will be but it will also take longer to run. The higher the "
        "number the more\nlikely it will fail to find a face as well. Lower it if you are having "
        "trouble\nfinding a face in the image.",
    )
    base_1_5_model_repo: BaseModelRepo = Field(
        "SG161222/Realistic_Vision_V4.0_noVAE",
        description="The URL to the base 1.5 model. Default is "
        "SG161222/Realistic_Vision_V4.0_noVAE",
    )
    base_sdxl_model_repo: BaseModelRepo = Field(
        "SG161222/RealVisXL_V3.0",
        description="The URL to the base SDXL model. Default is SG161222/RealVisXL_V3.0",
    )
    face_index: int | None = face_index()
    face_box: list[FiniteFloat] | None = face_box()
    return_samples: bool = extension(
        False,
        description="Whether to answer with every sample and its similarity too. "
        "Not part of fal's API.",
    )
    return_scores: bool = extension(
        False,
        description="Whether to answer with how alike the image and the face are. "
        "Not part of fal's API.",
    )
    x_fast: FewSteps | None = x_fast()


class Sample(FalModel):
    """One of the pictures that were drawn to choose from."""

    image: Image = Field(description="The sample's picture.")
    seed: int = Field(description="The seed that draws it.")
    similarity: float = Field(
        description="How alike its face and the given one are: cosine of their SFace embeddings."
    )


class Scores(FalModel):
    """How alike the answer and the given face are."""

    similarity: float = Field(
        description="Cosine of the SFace embeddings of the image and the given face, -1…1."
    )
    samples: list[float] = Field(description="The same of every sample, in the order drawn.")
    recogniser: str = Field(description="Which network measured.")


class IpAdapterFaceIdOutput(FalModel):
    """What ip-adapter-face-id answers."""

    image: Image = Field(description="The generated image file info.")
    seed: int = Field(
        description="Seed of the generated Image. It will be the same value of the one passed in "
        "the input or the randomly generated that was used in case none was passed."
    )
    samples: list[Sample] | None = extension(
        description="Every sample, if return_samples asked for them. Not part of fal's API."
    )
    scores: Scores | None = extension(
        description="How alike they are, if return_scores asked for it. Not part of fal's API."
    )


_WEIGHED = ("model_type", "base_1_5_model_repo", "base_sdxl_model_repo")


def weighed_by(asked: Mapping[str, Any]) -> list[str]:
    """The type, the bases, and whether an LCM-LoRA is in them: an interval needs no other weights,
    nor do more steps or fewer."""
    named = [str(asked.get(name)) for name in _WEIGHED]
    fast = asked.get("x_fast")
    few = isinstance(fast, dict) and cast("dict[str, Any]", fast).get("lcm_steps") is not None
    return [*named, "lcm"] if few else named


IP_ADAPTER_FACE_ID = Endpoint(
    id="fal-ai/ip-adapter-face-id",
    title="IP Adapter Face ID",
    category="image-to-image",
    description="Generate images of a person from photos of the face.",
    input=IpAdapterFaceIdInput,
    output=IpAdapterFaceIdOutput,
    engines={
        "sketch": "limner.endpoints.ip_adapter_face_id.sketch:open_engine",
        "diffusion": "limner.endpoints.ip_adapter_face_id.diffusion:open_engine",
    },
    weighed_by=weighed_by,
    example={
        "model_type": "1_5-v1",
        "prompt": "Man cyberpunk, synthwave night city, futuristic, high quality, highly "
        "detailed, high resolution, sharp, hyper realistic, extremely detailed",
        "face_image_url": "https://storage.googleapis.com/falserverless/model_tests/upscale/image%20(8).png",
        "negative_prompt": NEGATIVE_PROMPT,
        "seed": 42,
        "guidance_scale": 7.5,
        "num_inference_steps": 50,
        "num_samples": 4,
        "width": 512,
        "height": 512,
        "face_id_det_size": 640,
        "base_1_5_model_repo": "SG161222/Realistic_Vision_V4.0_noVAE",
        "base_sdxl_model_repo": "SG161222/RealVisXL_V3.0",
    },
)
