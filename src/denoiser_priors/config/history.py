"""The block `history`: experiments of Di Martino 2024 and of Kadkhodaie, Guth, Simoncelli & Mallat 2024."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from denoiser_priors.config.values import Channels, Model, Name, Sigma

Count = Annotated[int, Field(ge=1)]
Level = Annotated[float, Field(gt=0, le=10)]
Index = Annotated[int, Field(ge=0)]

SYNTHETIC = ("c-alpha", "disks")
"""Families of images that are drawn, in place of a dataset."""


class Learner(Model):
    """A small network and how it is trained on small images."""

    architecture: Literal["pyramid", "dncnn"] = Field(
        "pyramid", description="the UNet of Kadkhodaie et al. 2024, or DnCNN; both bias-free"
    )
    network: dict[str, Any] = Field({"blocks": 3, "width": 8}, description="sizes of the network")
    steps: Annotated[int, Field(ge=2)] = Field(500, description="optimiser steps")
    batch: Count = Field(32, description="images in a step")
    lr: Annotated[float, Field(gt=0)] = Field(3e-3, description="largest learning rate of Adam, one cycle")
    noise: tuple[Sigma, Sigma] = Field((2.55, 255), description="noise levels of training, [0, 255] scale")
    levels: Annotated[int, Field(ge=2)] | None = Field(
        100, description="so many noise levels of constant ratio, which have more of the small ones; null: any, evenly"
    )
    precision: Literal["fp32", "bf16"] = Field("bf16", description="of forward and backward passes")


class Source(Model):
    """Images that networks are trained on."""

    dataset: str = Field("mnist5k", description="a dataset, or a name under `datasets`, or c-alpha or disks: drawn")
    test: str | None = Field(None, description="dataset of the test images; null: the test images of `dataset`")
    reduce: Count = Field(1, description="means over squares of so many pixels a side")
    side: Annotated[int, Field(ge=8)] | None = Field(
        None, description="middle that is used, pixels; of drawn images their side, which they need; null: all"
    )
    alpha: Annotated[float, Field(gt=0)] = Field(2, description="c-alpha: regularity of regions and contour")
    groups: Count = Field(1, description="so many images in a row are of one person and stay in one half")
    learner: Learner = Field(Learner(), description="network and training")

    @model_validator(mode="after")
    def _drawn(self) -> Source:
        if self.dataset in SYNTHETIC and self.side is None:
            raise ValueError(f"`side` is needed: images of {self.dataset} are drawn")
        return self


class Ladder(Source):
    """One class of images, learned twice from more and more of them."""

    sizes: tuple[Count, ...] = Field(
        (1, 10, 2000), min_length=2, description="numbers N of training images of each of the two networks"
    )


class Generalization(Model):
    """Two networks on disjoint halves of N images (figure_generalization)."""

    families: dict[Name, Ladder | None] = Field(
        {"digits": Ladder()}, min_length=1, description="classes of images, by name; null removes one"
    )
    samples: Count = Field(16, description="samples of each network, from the same initial images")
    beta: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="of the sampler: 1 adds no noise, 0 only noise; the same noise for both networks"
    )
    sigma_L: Level = Field(0.02, description="noise level at which the sampler stops, [0, 1] scale")
    h_0: Annotated[float, Field(gt=0, lt=1)] = Field(0.01, description="step size of the first iteration")
    max_iterations: Count = Field(2000, description="the sampler stops here and says so")
    test_images: Count = Field(64, description="test images, and at most so many training images, of the PSNR curves")
    sigma: tuple[Level, ...] = Field(
        (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8), min_length=2, description="noise levels of the curves, [0, 1] scale"
    )


class Slopes(Model):
    """PSNR slopes on C-alpha images (figure_slopes), and their basis (figure_harmonic_bases)."""

    alphas: tuple[Annotated[float, Field(gt=0)], ...] = Field((1, 3), min_length=1, description="regularities")
    side: Annotated[int, Field(ge=16)] = Field(40, description="of the images, pixels")
    images: Count = Field(2000, description="training images")
    test_images: Count = Field(64, description="test images")
    sigma: tuple[Level, ...] = Field(
        (0.025, 0.05, 0.1, 0.2, 0.4), min_length=2, description="noise levels, [0, 1] scale"
    )
    fit: tuple[Level, Level] = Field((0.1, 0.4), description="lowest and highest level that the slope is fitted to")
    learner: Learner = Field(Learner(noise=(1, 102), steps=600), description="network and training")


class Disks(Model):
    """Disks: a manifold of five dimensions (figure_harmonic_bases)."""

    side: Annotated[int, Field(ge=16)] = Field(32, description="of the images, pixels")
    images: Count = Field(2000, description="training images")
    test_images: Count = Field(16, description="test images whose Jacobian is decomposed")
    sigma: Level = Field(0.04, description="noise level of the Jacobian, [0, 1] scale")
    learner: Learner = Field(Learner(noise=(1, 51)), description="network and training")


class Bases(Model):
    """Eigenvectors and shrinkage of the Jacobian (figure_harmonic_bases)."""

    sigma_faces: Level = Field(0.15, description="noise level on a face, [0, 1] scale")
    sigma_c_alpha: Level = Field(0.15, description="noise level on a C-alpha image, [0, 1] scale")
    images: Count = Field(8, description="test images whose eigenvalues and identities are averaged")
    vectors: tuple[Index, ...] = Field((0, 2, 4, 8, 16, 32, 64), description="which eigenvectors are kept")


class Shuffled(Source):
    """A network on images whose pixels are shuffled, beside one on the images (figure_shuffled)."""

    dataset: str = Field("lfw25", description="a dataset, or a name under `datasets`, or c-alpha or disks: drawn")
    sigma_shown: Level = Field(0.3, description="noise level of the images shown and of the basis, [0, 1] scale")
    sigma: tuple[Level, ...] = Field(
        (0.02, 0.05, 0.1, 0.2, 0.4, 0.8), min_length=2, description="noise levels of the curves, [0, 1] scale"
    )
    drawn: Count = Field(2000, description="training images, where they are drawn")


class Indi(Source):
    """Inversion by direct iteration (figure_indi)."""

    dataset: str = Field("embedded", description="a dataset, or a name under `datasets`")
    channels: Channels = Field(1, description="1: gray images; 3: colour")
    patch: Annotated[int, Field(ge=16)] = Field(32, description="side of the training patches, pixels")
    augment: bool = Field(True, description="draw flips and quarter turns of the patches")
    factor: Count = Field(4, description="side of the blocks that are averaged, pixels")
    noise: Annotated[float, Field(ge=0, le=1)] = Field(
        0.02, description="standard deviation of the noise of a degraded image, [0, 1] scale"
    )
    iterations: tuple[Count, ...] = Field((1, 2, 5, 10, 20, 50), min_length=2, description="numbers of steps compared")
    test_images: Count = Field(5, description="test images")
    test_side: Annotated[int, Field(ge=32)] | None = Field(96, description="middle of each, pixels; null: all of it")
    shown: Count = Field(2, description="images that the figure shows")


class PointGeometry(Model):
    """Surfaces as images of their points (figure_point_geometry)."""

    side: Annotated[int, Field(ge=16)] = Field(32, description="points a side of the grid")
    images: Count = Field(2000, description="training surfaces")
    samples: Count = Field(6, description="samples of each network")
    beta: Annotated[float, Field(gt=0, le=1)] = Field(0.2, description="of the sampler: 1 adds no noise")
    sigma_L: Level = Field(0.01, description="noise level at which the sampler stops, [0, 1] scale")
    max_iterations: Count = Field(2000, description="the sampler stops here and says so")
    sigma: tuple[Level, ...] = Field(
        (0.02, 0.05, 0.1, 0.2, 0.4, 0.8), min_length=2, description="noise levels of the curves, [0, 1] scale"
    )
    learner: Learner = Field(Learner(), description="network and training")


class Pictures(Model):
    """Photographs of the exact figures; noise levels on the [0, 255] scale."""

    dataset: str = Field("embedded", description="test images, and training ones for the histograms")
    image: Index = Field(0, description="index of the image in the test set")
    target: Index = Field(0, description="poisson_editing: index of the image that is cloned into")
    source: Index = Field(2, description="poisson_editing: index of the image that is cloned")
    side: Annotated[int, Field(ge=32)] | None = Field(128, description="middle that is used, pixels; null: all of it")
    sigma: Sigma = Field(25, description="noise level of diffusion and regularizers")
    times: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (0, 1, 4, 16, 64), min_length=2, description="scales: times of the heat equation, pixels squared"
    )
    decomposition_sigma: Sigma = Field(25, description="decomposition: noise level that the denoisers are made for")
    decomposition_steps: Count = Field(5, description="decomposition: how often they are applied")
    decomposition_method: str = Field("tv", description="decomposition: the classical denoiser")
    deep: str | None = Field(None, description="the learned denoiser; null: the bias-free one of the widest range")


class Timeline(Model):
    """Every denoiser of the deck (table_timeline); noise levels on the [0, 255] scale."""

    datasets: tuple[str, ...] = Field(("embedded",), min_length=1, description="test sets, gray")
    sigma: tuple[Sigma, ...] = Field((15, 25, 50), min_length=1, description="noise levels, [0, 255] scale")
    side: Annotated[int, Field(ge=32)] | None = Field(128, description="middle of each image, pixels; null: all of it")
    limit: Count | None = Field(None, description="first so many images; null: all")
    slow_limit: Count | None = Field(None, description="the same for the learned dictionary; null: all")
    split: bool = Field(False, description="one job per noise level for BM3D and the learned dictionary")
    dncnn: str | None = Field(None, description="DnCNN with bias; null: the one whose range ends nearest 55")
    bf_dncnn: str | None = Field(None, description="bias-free DnCNN; null: the one whose range ends nearest 55")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the networks' calls")
    lpips: bool = Field(True, description="measure LPIPS too")
    protocol: str = Field("kair", description="how images are compared")


class History(Model):
    """Di Martino 2024, with the classical denoisers and Kadkhodaie et al. 2024."""

    pictures: Pictures = Field(Pictures(), description="photographs of the exact figures")
    generalization: Generalization = Field(Generalization(), description="memorisation to generalisation")
    slopes: Slopes = Field(Slopes(), description="PSNR slopes on C-alpha images")
    disks: Disks = Field(Disks(), description="disks, a manifold of five dimensions")
    bases: Bases = Field(Bases(), description="eigenvectors and shrinkage of the Jacobian")
    shuffled: Shuffled = Field(
        Shuffled(), description="a network on shuffled pixels; its twin gives the basis of faces"
    )
    indi: Indi = Field(Indi(), description="inversion by direct iteration")
    point_geometry: PointGeometry = Field(PointGeometry(), description="surfaces as images of their points")
    timeline: Timeline = Field(Timeline(), description="table_timeline")

    @model_validator(mode="after")
    def _names(self) -> History:
        for name in self.generalization.families:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(
                    f"generalization.families: {name!r} becomes part of file names; use letters, digits, -"
                )
        return self

    def datasets(self) -> dict[str, str]:
        """Every dataset that is named, by the path of its key; families that are drawn left out."""
        found = {"pictures.dataset": self.pictures.dataset}
        sources: dict[str, Source | None] = {
            f"generalization.families.{name}": family for name, family in self.generalization.families.items()
        }
        sources |= {"shuffled": self.shuffled, "indi": self.indi}
        for key, source in sources.items():
            if source is not None:
                found[f"{key}.dataset"] = source.dataset
                if source.test is not None:
                    found[f"{key}.test"] = source.test
        found |= {f"timeline.datasets.{i}": name for i, name in enumerate(self.timeline.datasets)}
        return {key: name for key, name in found.items() if name not in SYNTHETIC}

    def named_denoisers(self) -> dict[str, str]:
        """Every denoiser that is named, by the path of its key."""
        found = {
            "pictures.deep": self.pictures.deep,
            "timeline.dncnn": self.timeline.dncnn,
            "timeline.bf_dncnn": self.timeline.bf_dncnn,
        }
        return {key: name for key, name in found.items() if name is not None}
