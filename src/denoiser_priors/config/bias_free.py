"""Settings of the experiments of bias_free (Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda 2020)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from denoiser_priors.config.values import Blur, Model, NoiseRange, Sigma


class ExampleImage(Model):
    """Which image of the test set a figure shows."""

    image: Annotated[int, Field(ge=0)] = Field(0, description="index of the image in the test set")
    sigma_test: Sigma = Field(90, description="noise level of the test image, [0, 255] scale")


class Restoration(Model):
    """Figure 20: images that are blurred and noisy, inside and outside of the training ranges."""

    sigma: tuple[Sigma, ...] = Field(
        (10, 25, 40, 55, 70, 100, 130, 160, 200), min_length=1, description="noise levels, [0, 255] scale"
    )
    blur: tuple[Blur, ...] = Field(
        (0, 1, 2, 3, 4, 5, 6),
        min_length=1,
        description="standard deviations of the blur, pixels; curves are drawn at 2",
    )
    images: Annotated[int, Field(ge=1)] | None = Field(4, description="first so many test images; null: all")
    side: Annotated[int, Field(ge=16)] | None = Field(
        128, description="centre of each that is restored, pixels; null: all of it"
    )


class BiasAnalysis(Model):
    """Norms of residual and net bias against the noise level."""

    ranges: tuple[NoiseRange, ...] = Field(
        (100, 55, 30), description="training ranges of the networks with bias; those that there are not are left out"
    )
    patches: Annotated[int, Field(ge=1)] = Field(100, description="patches, as evenly from all test images as can be")
    patch: Annotated[int, Field(ge=4)] = Field(20, description="side of the square patches, pixels")
    sigma: tuple[Sigma, ...] = Field(tuple(range(5, 101, 10)), min_length=1, description="noise levels, [0, 255] scale")


class Subspaces(Model):
    """Singular value decompositions of the Jacobian: one bias-free network of each architecture."""

    training_range: NoiseRange | None = Field(
        None, description="range of the networks, or the nearest there is; null: the widest"
    )
    patch: Annotated[int, Field(ge=4, le=100)] = Field(
        24, description="side of the square patches, pixels; time grows with its sixth power"
    )
    patches: Annotated[int, Field(ge=1)] = Field(5, description="patches of every network (figures 5, 7 right, 17)")
    energy_patches: Annotated[int, Field(ge=1)] = Field(
        10, description="patches of DnCNN for the energy that the subspace keeps (figure 7 left)"
    )
    sigma: tuple[Sigma, ...] = Field(
        (10, 30, 50, 70, 100), min_length=1, description="noise levels of DnCNN, [0, 255] scale (figures 5 c, 7)"
    )
    sigma_spectrum: Sigma = Field(50, description="noise level of singular values and vectors (figures 5 a b, 6, 17)")
    sigma_others: Sigma = Field(25, description="noise level of the other networks' singular vectors (figure 16)")
    shown: Annotated[int, Field(ge=1)] = Field(
        2, description="patches, those of most structure, whose singular vectors figure 6 shows"
    )
    shown_others: Annotated[int, Field(ge=1)] = Field(3, description="patches of each network in figure 16")
    memory_mb: Annotated[int, Field(ge=1)] = Field(512, description="memory that a Jacobian may take, MB")


class Filters(Model):
    """Weighting functions, rows of the Jacobian, of three pixels: one bias-free network of each architecture."""

    training_range: NoiseRange | None = Field(
        None, description="range of the networks, or the nearest there is; null: the widest"
    )
    patch: Annotated[int, Field(ge=16)] = Field(40, description="side of the square crop, pixels")
    images: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        (0, 1), description="indices of two images in the test set: of figures 4 and 13, and of figures 14 and 15"
    )
    sigma_04: tuple[Sigma, ...] = Field(
        (10, 30, 100), min_length=1, description="noise levels of figure 4, [0, 255] scale"
    )
    sigma_14: tuple[Sigma, ...] = Field(
        (5, 15, 35, 55), min_length=1, description="noise levels of figure 14, [0, 255] scale"
    )
    sigma_others: tuple[Sigma, ...] = Field(
        (5, 55), min_length=1, description="noise levels of figures 13 and 15, [0, 255] scale"
    )


class Decomposition(Model):
    """The output of networks with bias as its linear part and the net bias."""

    training_range: NoiseRange = Field((0, 55), description="range of the networks, or the nearest there is")
    patch: Annotated[int, Field(ge=16)] = Field(96, description="side of the square crop, pixels")
    image: Annotated[int, Field(ge=0)] = Field(0, description="index of the image in the test set")
    sigma: tuple[Sigma, ...] = Field(
        (10, 30, 50, 70), min_length=1, description="noise levels of figure 9 (DnCNN), [0, 255] scale"
    )
    sigma_others: tuple[Sigma, ...] = Field(
        (10, 90), min_length=1, description="noise levels of figure 10 (the other networks), [0, 255] scale"
    )


class Residuals(Model):
    """Tests of what denoisers remove: white, normal, of the noise's energy."""

    images: Annotated[int, Field(ge=1)] | None = Field(4, description="first so many test images; null: all")
    side: Annotated[int, Field(ge=16)] | None = Field(
        128, description="centre of each that is tested, pixels; null: all of it"
    )


class BiasFree(Model):
    """Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda 2020."""

    dataset: str = Field("embedded", description="test images")
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="use only the first so many test images")
    sigma: tuple[Sigma, ...] = Field(
        (10, 20, 30, 50, 70, 90, 100), min_length=1, description="test noise levels, [0, 255] scale"
    )
    uniform_sigma: tuple[Sigma, ...] = Field(
        (10, 30, 50, 70, 90), description="noise levels of the test with uniform noise, [0, 255] scale"
    )
    draws: Annotated[int, Field(ge=1)] = Field(1, description="noise draws of every image and level")
    lpips: bool = Field(True, description="measure LPIPS too (about a quarter more time)")
    figure_02: ExampleImage = Field(ExampleImage(), description="the example of figure 2 (networks trained on [0, 10])")
    figure_01: BiasAnalysis = Field(BiasAnalysis(), description="residual and net bias of DnCNN (figure 1)")
    figure_08: BiasAnalysis = Field(
        BiasAnalysis(ranges=(55, 10), patches=20, patch=48),
        description="residual and net bias of the other networks (figure 8)",
    )
    subspaces: Subspaces = Field(Subspaces(), description="decomposed Jacobians (figures 5, 6, 7, 16 and 17)")
    filters: Filters = Field(Filters(), description="weighting functions (figures 4, 13, 14 and 15)")
    decomposition: Decomposition = Field(Decomposition(), description="linear part and net bias (figures 9 and 10)")
    figure_20: Restoration = Field(Restoration(), description="restoration of blurred and noisy images, figure 20")
    residuals: Residuals = Field(Residuals(), description="tests of the residuals, table_residuals")
