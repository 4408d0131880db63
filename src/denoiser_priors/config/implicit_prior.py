"""Settings of the experiments of implicit_prior (Kadkhodaie & Simoncelli 2020)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from denoiser_priors.config.values import Channels, Model

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Factor = Annotated[int, Field(ge=2)]
Side = Annotated[int, Field(ge=16)]
Final = Literal["none", "denoise", "denoise-project"]


class Roles(Model):
    """The denoiser behind each kind of image; null chooses the bias-free one of the widest training range."""

    gray: str | None = Field(None, description="of gray photographs; null: the configuration's, if it has one")
    color: str | None = Field(None, description="of colour photographs; null: the configuration's, if it has one")
    digits: str | None = Field(None, description="of MNIST digits; null: the configuration's, if it has one")


class Synthesis(Model):
    """Samples from the prior itself (figures 1, 2, 11 and 12)."""

    channels: Channels = Field(1, description="1: the gray denoiser; 3: the colour one")
    side: Side = Field(48, description="side of the square samples, pixels")
    betas: tuple[Share, ...] = Field((0.5, 0.1), min_length=1, description="figure 2: 1 adds no noise, 0 only noise")
    samples: Count = Field(4, description="samples for each beta of figure 2")
    sequences: Count = Field(2, description="figure 1: initial images whose sequence is shown, at beta 1")
    every: Count = Field(8, description="figure 1: iterations between two images of a sequence")
    convergence: tuple[Share, ...] = Field(
        (1, 0.1, 0.01), min_length=1, description="figures 11 and 12: betas whose convergence is shown"
    )
    convergence_samples: Count = Field(3, description="figures 11 and 12: samples that are averaged")


class Digits(Model):
    """Samples from the prior of a denoiser of digits (figure 13)."""

    side: Side = Field(28, description="side of the square samples, pixels")
    betas: tuple[Share, ...] = Field((1, 0.3, 0.01), min_length=1, description="1 adds no noise, 0 only noise")
    samples: Count = Field(16, description="samples for each beta")


class Manifold(Model):
    """The two-dimensional illustration (figure 10), exact and without a network."""

    signals: Count = Field(50, description="signals on the curve")
    sigma: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.4, 0.2, 0.08), min_length=1, description="noise levels, [0, 1] scale; the sampler starts from the first"
    )
    h_0: Share = Field(0.05, description="step size of the first iteration")
    beta: Share = Field(1, description="1: no noise is added")


class Selection(Model):
    """Which images are restored."""

    dataset: str = Field("embedded", description="test images")
    channels: Channels = Field(1, description="1: gray images and denoiser; 3: colour")
    images: tuple[str, ...] | None = Field(None, description="only the images of these names, in this order; null: all")
    limit: Count | None = Field(None, description="only the first so many of them; null: all")
    side: Side | None = Field(None, description="middle of each that is restored, pixels; null: all of it")


class Examples(Selection):
    """Restored images, a job per task (figures 3 to 8)."""

    limit: Count | None = Field(3, description="only the first so many of them; null: all")
    side: Side | None = Field(64, description="middle of each that is restored, pixels; null: all of it")
    hole: Count = Field(30, description="figures 3 and 4: side of the square that is missing in the middle, pixels")
    samples: Count = Field(3, description="figure 3: restorations of the first image")
    pixels: tuple[Share, ...] = Field((0.3, 0.1), min_length=1, description="figure 5: shares of pixels that are kept")
    factor: Factor = Field(4, description="figure 6: side of the blocks that are averaged, pixels")
    frequencies: tuple[Share, ...] = Field(
        (0.3, 0.1), min_length=1, description="figure 7: shares of frequencies that are kept, the lowest"
    )
    projections: Share = Field(0.1, description="figure 8: number of random projections over that of pixels")


class Restorations(Selection):
    """Images of a table, restored several times each."""

    side: Side | None = Field(64, description="middle of each that is restored, pixels; null: all of it")
    samples: Annotated[int, Field(ge=2)] = Field(
        4, description="restorations of each image, whose mean is measured too"
    )
    protocol: str = Field("bias_free", description="how images are compared")


class SuperResolution(Restorations):
    """Super-resolution from averages over blocks (tables 1 and 2)."""

    factors: tuple[Factor, ...] = Field((4, 8), min_length=1, description="sides of the blocks, pixels")
    protocol: str = Field("luminance", description="how images are compared")


class PartialMeasurements(Restorations):
    """Restoration from a share of measurements (tables 3 and 4)."""

    keep: tuple[Share, ...] = Field((0.1, 0.3), min_length=1, description="number of measurements over that of pixels")


class ImplicitPrior(Model):
    """Kadkhodaie & Simoncelli 2020. Noise levels (sigma) are on the [0, 1] scale of the images."""

    denoisers: Roles = Field(Roles(), description="which denoiser is the prior of what")
    sigma_0: Annotated[float, Field(gt=0)] = Field(
        1, description="standard deviation of the initial image, [0, 1] scale"
    )
    sigma_L: Annotated[float, Field(gt=0)] = Field(
        0.01, description="noise level at which the sampler stops, [0, 1] scale"
    )
    h_0: Share = Field(0.01, description="step size of the first iteration")
    beta: Share = Field(0.01, description="of all restorations: 1 adds no noise, 0 only noise")
    max_iterations: Count = Field(5000, description="the sampler stops here and says so")
    final: Final = Field(
        "denoise",
        description="last step of the samples that figures show: none, one denoising without constraint (the authors' "
        "code), or that with the measurements restored; tables have all three",
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="of the network; bf16 takes a third of the time and gives the same PSNR within 0.1 dB"
    )
    memory_mb: Count = Field(2000, description="memory that a call of the network may take, MB")
    lpips: bool = Field(True, description="measure LPIPS too (images of at least 31 x 31 pixels)")
    synthesis: Synthesis = Field(Synthesis(), description="samples from the prior (figures 1, 2, 11 and 12)")
    examples: Examples = Field(Examples(), description="restored images (figures 3 to 8)")
    manifold: Manifold = Field(Manifold(), description="two-dimensional illustration (figure 10)")
    digits: Digits = Field(Digits(), description="samples of digits (figure 13)")
    table_1: SuperResolution = Field(
        SuperResolution(channels=3, images=("chelsea", "coffee")), description="super-resolution, table 1"
    )
    table_2: SuperResolution = Field(SuperResolution(), description="super-resolution, table 2")
    table_3: PartialMeasurements = Field(
        PartialMeasurements(samples=2), description="restoration from the lowest frequencies, table 3"
    )
    table_4: PartialMeasurements = Field(
        PartialMeasurements(samples=2), description="compressive sensing from random projections, table 4"
    )

    @model_validator(mode="after")
    def _ordered(self) -> ImplicitPrior:
        if self.sigma_L >= self.sigma_0:
            raise ValueError(f"sigma_L ({self.sigma_L:g}) must be below sigma_0 ({self.sigma_0:g})")
        return self

    def datasets(self) -> dict[str, str]:
        """The dataset of every part that reads one, by the path of its key."""
        parts = ("examples", "table_1", "table_2", "table_3", "table_4")
        return {f"{part}.dataset": getattr(self, part).dataset for part in parts}
