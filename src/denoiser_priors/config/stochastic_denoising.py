"""Settings of the experiments of stochastic_denoising (Kawar, Vaksman & Elad 2021)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from denoiser_priors.config.values import Channels, Model, Name

GRIDS = ("celeba", "lsun", "lsun-bedroom", "lsun-tower", "lsun-church", "ffhq", "cifar10")
"""The grids of NCSNv2 that noise levels can be taken from, by their dataset."""

SCHEDULES = ("reverse", "snr", "geometric", *GRIDS)

Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=16)]
Level = Annotated[float, Field(gt=0, le=10)]


class Levels(Model):
    """Noise levels and steps of the sampler."""

    name: Literal[SCHEDULES] = Field(  # type: ignore[valid-type]
        "reverse",
        description="reverse: a diffusion run backwards in few steps; snr: Langevin dynamics with few levels, by "
        "signal-to-noise ratio; geometric; or the document's, a grid of NCSNv2",
    )
    count: Annotated[int, Field(ge=2)] = Field(
        100, description="reverse and snr: levels below sigma_0; geometric: all levels"
    )
    lowest: Level = Field(0.01, description="reverse, snr and geometric: the last level, [0, 1] scale")
    highest: Level = Field(1, description="geometric, and inpainting: the first level, [0, 1] scale")
    first: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.95, description="snr: the first level below sigma_0 over sigma_0"
    )
    rate: Annotated[float, Field(gt=0, lt=2)] = Field(0.5, description="snr: how much a step contracts")
    steps_per_level: Count | None = Field(None, description="T of the document; null: the schedule's own")
    epsilon: Annotated[float, Field(gt=0)] | None = Field(
        None, description="of the document, on the squared [0, 1] scale; null: the schedule's own"
    )


def _named(value: Any) -> Any:
    """Accept the name of a schedule alone."""
    return {"name": value} if isinstance(value, str) else value


Schedule = Annotated[
    Levels,
    BeforeValidator(_named),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": list(SCHEDULES)}, Levels.model_json_schema()]}),
]


class ImageSet(Model):
    """A test set with its denoiser and its noise levels."""

    dataset: str = Field("embedded", description="test images: a dataset, or a name under `datasets`")
    denoiser: str | None = Field(
        None,
        description="null: the one trained on this dataset, else the bias-free one of the widest training range",
    )
    channels: Channels = Field(1, description="1: gray images and denoiser; 3: colour")
    images: Count | None = Field(None, description="first so many images; null: all")
    side: Side | None = Field(None, description="middle of each that is used, pixels; null: all of it")
    sigma: tuple[Annotated[float, Field(gt=0, le=2)], ...] = Field(
        (0.203, 0.406, 0.607),
        min_length=1,
        description="sigma_0, [0, 1] scale, to the three digits that the document states; of a grid of NCSNv2, the "
        "level with these digits is taken",
    )
    levels: Schedule = Field(Levels(), description="schedule of the sampler: its name, or name and settings")
    samples: Count = Field(2, description="samples of each image")


class Shown(Model):
    """Which test set, and at which noise level."""

    set: str = Field("faces", description="name of the test set, its denoiser and its schedule")
    sigma: Annotated[float, Field(gt=0, le=2)] = Field(0.607, description="sigma_0, [0, 1] scale")


class Intermediates(Shown):
    """The way from a noisy image to a sample (figure 7)."""

    image: Annotated[int, Field(ge=0)] = Field(0, description="index of the image in the set")
    shown: Annotated[int, Field(ge=2)] = Field(8, description="how many images of the way are kept")


class Inpainting(Shown):
    """Noisy images of which a part is missing. Of the set, its images and its denoiser."""

    levels: Schedule = Field(Levels(name="snr"), description="schedule of the sampler; reverse cannot inpaint")

    images: Count = Field(2, description="first so many images of the set")
    samples: Count = Field(2, description="samples of each image")


class Text(Inpainting):
    """Under a text (figure 8)."""

    text: str = Field("denoiser priors", min_length=1, description="what is written over the image")
    height: Annotated[int, Field(ge=4)] | None = Field(None, description="of a line, pixels; null: an eighth")


class Rows(Inpainting):
    """Missing rows (figure 9)."""

    rows: Count = Field(20, description="how many rows are missing; at most a third of the image's")
    layout: Literal["block", "spread", "random"] = Field("spread", description="which: the document does not say")


class Speed(Model):
    """Quality against the number of network calls (figure_speed)."""

    set: str = Field("photographs", description="name of the test set and its denoiser")
    sigma: tuple[Annotated[float, Field(gt=0, le=2)], ...] = Field(
        (0.203,), min_length=1, description="sigma_0, [0, 1] scale"
    )
    images: Count | None = Field(8, description="first so many images of the set; null: all")
    samples: Count = Field(1, description="samples of each image")
    reverse: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        (15, 30, 60, 120), description="schedule reverse: so many levels"
    )
    snr: tuple[Annotated[int, Field(ge=2)], ...] = Field((15, 30, 60, 120), description="schedule snr: so many levels")
    grid: Literal[GRIDS] | None = Field(  # type: ignore[valid-type]
        "celeba", description="and a grid of NCSNv2; null: none"
    )
    every: tuple[Count, ...] = Field((8, 4), description="of which every so-manieth level is kept; 1: the document's")


class StochasticDenoising(Model):
    """Kawar, Vaksman & Elad 2021. Noise levels (sigma) are on the [0, 1] scale of the images."""

    sets: dict[Name, ImageSet | None] = Field(
        {
            "faces": ImageSet(dataset="lfw25", images=10, sigma=(0.1, 0.203, 0.406, 0.607)),
            "photographs": ImageSet(images=4, side=64, sigma=(0.198, 0.403, 0.606)),
        },
        description="test sets, by name; null removes one. Figures show the sets named (or of datasets named) as the "
        "document's, else the nearest",
    )
    classical: Literal["bm3d", "wavelet"] = Field(
        "bm3d", description="classical method: BM3D (package bm3d; wavelets where it is not installed) or wavelets"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="of the network; bf16 takes a third of the time on processors that have it"
    )
    memory_mb: Count = Field(2000, description="memory that a call of the network may take, MB")
    lpips: bool = Field(True, description="measure LPIPS too (images of at least 31 x 31 pixels)")
    intermediates: Intermediates = Field(
        Intermediates(set="photographs", sigma=0.606), description="the way to a sample (figure 7)"
    )
    inpainting_text: Text = Field(
        Text(set="photographs", sigma=0.198), description="inpainting under a text (figure 8)"
    )
    inpainting_rows: Rows = Field(Rows(set="faces", sigma=0.1), description="inpainting of missing rows (figure 9)")
    speed: Speed = Field(Speed(), description="quality against the number of network calls (figure_speed)")

    @model_validator(mode="after")
    def _known_sets(self) -> StochasticDenoising:
        known = [name for name, found in self.sets.items() if found is not None]
        for name in known:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"sets: {name!r} becomes part of file names; use letters, digits, - and _")
        for part in ("intermediates", "inpainting_text", "inpainting_rows", "speed"):
            wanted = getattr(self, part).set
            if known and wanted not in known:
                raise ValueError(f"{part}.set: there is no set {wanted!r}; the sets are {', '.join(known)}")
        return self

    def datasets(self) -> dict[str, str]:
        """The dataset of every set, by the path of its key."""
        return {f"sets.{name}.dataset": found.dataset for name, found in self.sets.items() if found is not None}
