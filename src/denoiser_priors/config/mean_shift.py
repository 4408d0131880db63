"""Settings of the experiments of mean_shift (Bigdeli, Jin, Favaro & Zwicker 2017)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from denoiser_priors.config.values import Channels, Model, Name

TASKS = ("deblurring", "compared", "blind", "super_resolution", "demosaicing")
"""Keys that hold named sets, each a mapping from names to settings."""

KERNELS = ("motion", "levin-kernels", "dmsp-kernels")
"""Where blur kernels come from: synthetic camera shake, or a dataset of kernels."""

BIAS_FREE = "bias-free"
"""In place of the name of a denoiser."""

Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=16)]
Level = Annotated[float, Field(gt=0, le=255)]
Share = Annotated[float, Field(gt=0, lt=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]


class Images(Model):
    """A test set."""

    dataset: str = Field("embedded", description="test images: a dataset, or a name under `datasets`")
    channels: Channels = Field(3, description="1: gray images; 3: colour")
    side: Side | None = Field(None, description="middle of each that is used, pixels; null: all of it")
    denoiser: str | None = Field(None, description="the prior; null: the one that suits the task, see `priors`")


class Blurred(Images):
    """Images that are blurred and get noise; what is asked for is the images."""

    kernels: Literal[KERNELS] = Field("motion", description="blur kernels: motion (synthetic) or a dataset of them")  # type: ignore[valid-type]
    kernel_side: Annotated[int, Field(ge=5, le=99)] = Field(15, description="motion: side of the kernels, pixels, odd")
    kernel_count: Count | None = Field(None, description="first so many kernels; null: all (motion: four)")
    pairs: Count | None = Field(
        None, description="pairs of image and kernel, as evenly from both as can be; null: all pairs"
    )
    images: Count | None = Field(None, description="first so many images; null: all")

    @model_validator(mode="after")
    def _odd(self) -> Blurred:
        if self.kernel_side % 2 == 0:
            raise ValueError(f"kernel_side: expected an odd number of pixels, not {self.kernel_side}")
        return self


class Deblurring(Blurred):
    """A test set of non-blind and noise-adaptive deblurring (table 2)."""

    sigma: tuple[Level, ...] = Field(
        (2.55, 5.1, 7.65, 10.2), min_length=1, description="noise after the blur, sigma_n, [0, 255] scale"
    )
    column: Literal["Levin", "Berkeley"] | None = Field(
        None, description="column of the document's Table 2 that is shown beside it; null: none"
    )


class Compared(Model):
    """A set of `deblurring` once more, with another prior or variant."""

    set: str = Field("photographs", description="name of a set of `deblurring`")
    sigma: tuple[Level, ...] = Field((2.55,), min_length=1, description="noise levels, sigma_n, [0, 255] scale")
    pairs: Count | None = Field(None, description="first so many pairs of the set; null: its own")
    denoiser: str | None = Field(
        None,
        description="the prior: a name; bias-free: the bias-free one of the widest training range; null: the set's",
    )
    variant: Literal["released", "text"] | None = Field(None, description="null: that of all others")
    step: Annotated[float, Field(gt=0)] | None = Field(None, description="null: that of all others")


class Blind(Blurred):
    """Images whose blur kernel is estimated, too (figure 3)."""

    blurred: str | None = Field(
        None,
        description="dataset of photographs that are blurred already, IMAGE_kernelK for each image and kernel; null: "
        "images are blurred with the kernels and get noise",
    )
    sigma: Level = Field(2.55, description="noise after the blur, sigma_n, [0, 255] scale, if images are blurred here")
    iterations: Count = Field(1000, description="of the descent in image and kernel")
    step: Annotated[float, Field(gt=0)] = Field(0.3, description="alpha, of the image")
    momentum: Momentum = Field(0.7, description="mu, of the image")
    kernel_step: Annotated[float, Field(gt=0)] = Field(0.005, description="alpha_k, of the kernel")
    kernel_momentum: Momentum = Field(0.995, description="mu_k, of the kernel")


class SuperResolution(Images):
    """A test set of super-resolution (table 3)."""

    images: Count | None = Field(None, description="first so many images; null: all")
    factors: tuple[Annotated[int, Field(ge=2, le=8)], ...] = Field(
        (2, 3, 4, 5), min_length=1, description="by which images are reduced"
    )
    rough: Share = Field(0.5, description="the prior's share in the first iteration; it falls to 0 along a line")


class Demosaicing(Images):
    """A test set of demosaicing (table 4)."""

    images: Count | None = Field(None, description="first so many images; null: all")
    pattern: str = Field("RGGB", min_length=4, max_length=4, description="colours of the top left corner")
    noise: Annotated[float, Field(ge=0, le=255)] = Field(
        0.0, description="noise that is added to the mosaic, [0, 255] scale; 0: none"
    )
    linear: bool = Field(True, description="undo the display's gamma (sRGB) first, as the document's images are linear")
    sigma: tuple[Level, ...] = Field(
        (2.5, 1.0), min_length=1, description="noise level that each pass is told, sigma_n, [0, 255] scale"
    )


class Priors(Model):
    """Which denoiser is the prior of what."""

    color: str | None = Field(
        None, description="of colour images; null: the one trained at `sigma` alone, else the bias-free one"
    )
    gray: str | None = Field(
        None, description="of gray images; null: as for colour ones; without one, gray is repeated for a colour prior"
    )
    demosaicing: str | None = Field(
        None, description="of demosaicing; null: the colour one trained at `demosaicing_sigma` alone, else bias-free"
    )
    sigma: Level = Field(11, description="sigma_1, [0, 255] scale, of priors that were trained on a range of levels")
    demosaicing_sigma: Level = Field(3, description="sigma_1 of demosaicing, likewise")


class Visualisation(Model):
    """A drawing, bent towards what each prior holds more probable (figure 1)."""

    dataset: str = Field(
        "embedded", description="photographs: the first test image is bent, too, the mixture is fitted to the others"
    )
    side: Side = Field(64, description="of the drawing, pixels")
    iterations: Count = Field(150, description="steps of the deformation")
    reach: Annotated[float, Field(gt=0)] = Field(1.5, description="by how many pixels it may be bent, root mean square")
    patches: Annotated[int, Field(ge=100)] = Field(4000, description="patches that the Gaussian mixture is fitted to")
    components: Annotated[int, Field(ge=2)] = Field(10, description="of the Gaussian mixture")


class MeanShift(Model):
    """Bigdeli, Jin, Favaro & Zwicker 2017. Noise levels (sigma) are on the [0, 255] scale."""

    priors: Priors = Field(Priors(), description="which denoiser is the prior of what")
    variant: Literal["released", "text"] = Field(
        "released", description="released: weights normalised, iterates clipped; text: as printed"
    )
    iterations: Count = Field(300, description="of every restoration whose kernel is known")
    step: Annotated[float, Field(gt=0)] = Field(0.1, description="alpha")
    momentum: Momentum = Field(0.9, description="mu")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="of the network; bf16 takes a third of the time on processors that have it"
    )
    deblurring: dict[Name, Deblurring | None] = Field(
        {"photographs": Deblurring(pairs=3, side=96, sigma=(2.55, 10.2))},
        description="test sets of deblurring, by name; null removes one (table 2, figure 2)",
    )
    compared: dict[Name, Compared | None] = Field(
        {"bias-free": Compared(denoiser=BIAS_FREE), "text": Compared(variant="text")},
        description="other priors and variants on them, noise-adaptive, by name; null removes one (table_priors)",
    )
    blind: dict[Name, Blind | None] = Field(
        {"photographs": Blind(pairs=2, side=96, kernel_side=9)},
        description="test sets of kernel-blind deblurring, by name; null removes one (figure 3)",
    )
    super_resolution: dict[Name, SuperResolution | None] = Field(
        {"photographs": SuperResolution(side=96, images=3, factors=(2, 4))},
        description="test sets of super-resolution, by name; null removes one (table 3)",
    )
    demosaicing: dict[Name, Demosaicing | None] = Field(
        {"photographs": Demosaicing(side=96, images=3)},
        description="test sets of demosaicing, by name; null removes one (table 4, figure 4)",
    )
    figure_01: Visualisation = Field(Visualisation(), description="what priors prefer (figure 1)")

    @model_validator(mode="after")
    def _known_sets(self) -> MeanShift:
        for task in TASKS:
            for name, found in getattr(self, task).items():
                if found is not None and not name.replace("-", "").replace("_", "").isalnum():
                    raise ValueError(f"{task}: {name!r} becomes part of file names; use letters, digits, - and _")
        sets = [name for name, found in self.deblurring.items() if found is not None]
        for name, found in self.compared.items():
            if found is not None and found.set not in sets:
                raise ValueError(
                    f"compared.{name}.set: deblurring has no set {found.set!r}; it has {', '.join(sets) or 'none'}"
                )
        return self

    def datasets(self) -> dict[str, str]:
        """The dataset of every set, by the path of its key."""
        found = {"figure_01.dataset": self.figure_01.dataset}
        for task in ("deblurring", "blind", "super_resolution", "demosaicing"):
            for name, chosen in getattr(self, task).items():
                if chosen is not None:
                    found[f"{task}.{name}.dataset"] = chosen.dataset
                    if getattr(chosen, "blurred", None) is not None:
                        found[f"{task}.{name}.blurred"] = chosen.blurred
        return found

    def named_denoisers(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Denoisers that are named, with the channels they may have, by the path of the key."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {}
        for role, channels in (("color", (3,)), ("gray", (1, 3)), ("demosaicing", (1, 3))):
            if getattr(self.priors, role) is not None:
                found[f"priors.{role}"] = (getattr(self.priors, role), channels)
        for task in TASKS:
            for name, chosen in getattr(self, task).items():
                if chosen is not None and chosen.denoiser not in (None, BIAS_FREE):
                    found[f"{task}.{name}.denoiser"] = (chosen.denoiser, (1, 3))
        return found
