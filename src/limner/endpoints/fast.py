"""``x_fast``: faster ways to draw that change the picture, for whoever asks for them.

Knows the input; it knows no engine and no endpoint.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat
from pydantic_core import PydanticCustomError

from limner.endpoints.fields import FalModel, extension, order_properties

#: More noise than this has no sampler; Stable Diffusion begins at 14.6.
MOST_NOISE = 1000


def _rising(interval: list[float]) -> list[float]:
    if interval[0] < interval[1]:
        return interval
    raise PydanticCustomError(
        "value_error", "Not an interval. Give the smaller noise level first, as [0.28, 5.42]."
    )


Interval = Annotated[
    list[Annotated[FiniteFloat, Field(ge=0, le=MOST_NOISE)]],
    Field(min_length=2, max_length=2),
    AfterValidator(_rising),
]


class Fast(FalModel):
    """Which of the faster ways to take. What is not known here is refused: it would be slow."""

    model_config = ConfigDict(json_schema_extra=order_properties, frozen=True, extra="forbid")

    guidance_interval: Interval | None = Field(
        default=None,
        description="Noise levels between which guidance acts, as [0.28, 5.42]: above the first "
        "and up to the second. At the others a step costs half, and the negative prompt is not "
        "heard.",
    )

    @property
    def interval(self) -> tuple[float, float] | None:
        """``guidance_interval`` as the denoiser takes it."""
        given = self.guidance_interval
        return None if given is None else (given[0], given[1])


class FewSteps(Fast):
    """And the ways of what is drawn by one UNet alone."""

    lcm_steps: int | None = Field(
        default=None,
        ge=1,
        le=50,
        description="Draw in so few steps, 4 to 8, with an LCM-LoRA in place of "
        "num_inference_steps and guidance_scale, which are not read.",
    )
    lcm_guidance: FiniteFloat = Field(
        default=1.0,
        ge=1,
        le=2,
        description="The guidance of lcm_steps. At 1 the negative prompt is not heard and a step "
        "costs half.",
    )


#: What the sketch engine says of it.
NOT_FOLLOWED = "The sketch engine has no faster ways to draw and does not follow x_fast"

#: Nothing of it.
AS_USUAL = FewSteps()


def x_fast() -> Any:
    """The extra input for faster ways to draw."""
    return extension(
        description="Faster ways to draw that change the picture; left out, it is drawn as at "
        "fal. Not part of fal's API.",
    )
