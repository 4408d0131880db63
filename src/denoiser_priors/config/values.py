"""Kinds of values that the configuration is made of, each with its limits."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

LARGEST_BLUR = 20.0
"""Pixels. Training patches are cut with a margin of four times the blur on each side."""


def _from_zero(value: Any) -> Any:
    """Accept a single maximum as the range [0, maximum]."""
    return (0, value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _check(value: tuple[float, float], what: str, largest: float, scale: str) -> tuple[float, float]:
    low, high = value
    if low < 0 or high < 0:
        raise ValueError(f"a {what} range cannot be negative: [{low:g}, {high:g}]")
    if low > high:
        raise ValueError(f"a {what} range goes from low to high: [{low:g}, {high:g}] is reversed")
    if high > largest:
        raise ValueError(f"{scale}: {high:g} is too large")
    return value


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[^\W_][\w.+-]{0,99}", name):
        raise ValueError(
            "a name, which files are called by, is made of at most 100 letters, digits and . _ + -, and begins with a "
            "letter or digit"
        )
    return name


def _range_schema(largest: float) -> WithJsonSchema:
    number = {"type": "number", "minimum": 0, "maximum": largest}
    return WithJsonSchema({"anyOf": [number, {"type": "array", "items": number, "minItems": 2, "maxItems": 2}]})


NoiseRange = Annotated[
    tuple[float, float],
    BeforeValidator(_from_zero),
    AfterValidator(lambda value: _check(value, "noise", 255, "noise levels are on the [0, 255] scale")),
    _range_schema(255),
]
BlurRange = Annotated[
    tuple[float, float],
    BeforeValidator(_from_zero),
    AfterValidator(lambda value: _check(value, "blur", LARGEST_BLUR, f"blur is in pixels, at most {LARGEST_BLUR:g}")),
    _range_schema(LARGEST_BLUR),
]
Name = Annotated[str, AfterValidator(_check_name)]
Architecture = Literal["dncnn", "rcnn", "unet", "densenet", "ncsnv2"]
Recipe = Literal["paper", "released", "quick", "smoke"]
Noise = Literal["gaussian", "uniform"]
Channels = Literal[1, 3]
Transform = Literal["celeba", "lsun", "ffhq"]
Sigma = Annotated[float, Field(ge=0, le=255)]
Blur = Annotated[float, Field(ge=0, le=LARGEST_BLUR)]


class Model(BaseModel):
    """Base of all parts: unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
