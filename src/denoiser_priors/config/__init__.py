"""The configuration: one typed model that validates presets, fills recipes in, and describes itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from denoiser_priors.config.bias_free import BiasFree
from denoiser_priors.config.errors import explain, messages, nearest
from denoiser_priors.config.files import merge, read_yaml
from denoiser_priors.config.history import History
from denoiser_priors.config.implicit_prior import ImplicitPrior
from denoiser_priors.config.mean_shift import MeanShift
from denoiser_priors.config.stochastic_denoising import StochasticDenoising
from denoiser_priors.config.values import (
    Architecture,
    BlurRange,
    Channels,
    Model,
    Name,
    Noise,
    NoiseRange,
    Recipe,
    Transform,
)
from denoiser_priors.errors import ConfigError
from denoiser_priors.files import packaged_yaml

ARCHITECTURES = ("dncnn", "rcnn", "unet", "densenet")
DOCUMENTS = ("bias_free", "implicit_prior", "stochastic_denoising", "mean_shift", "history")

ONE_CLASS = ("mnist", "mnist5k", "lfw25", "olivetti", "ddrm-celeba", "ddrm-bedroom", "ddrm-church")
"""Datasets of one kind of image. Denoisers that are trained on them are not for photographs of anything."""

DEFAULT_FILE = Path("config/config.yaml")

_PACKAGE = Path(__file__).parent.parent


class Training(Model):
    """How a network is trained. A denoiser takes these from its recipe; a configuration may override any of them."""

    patch: Annotated[int, Field(ge=8)] = Field(40, description="side of the square training patches, pixels")
    batch: Annotated[int, Field(ge=1)] = Field(32, description="patches in a step")
    epochs: Annotated[int, Field(ge=1)] = Field(1, description="epochs; validation and checkpoints come after each")
    steps_per_epoch: Annotated[int, Field(ge=1)] = Field(100, description="optimiser steps in an epoch")
    lr: Annotated[float, Field(gt=0)] = Field(1e-3, description="(largest) learning rate of Adam")
    schedule: Literal["constant", "one-cycle", "multistep", "plateau"] = Field(
        "constant", description="of the learning rate; plateau: times gamma when the validation PSNR drops"
    )
    milestones: tuple[int, ...] = Field((), description="multistep: epochs after which the rate is multiplied by gamma")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="factor of multistep and plateau")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(0, description="steps over which the schedule's rate is faded in")
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = Field(None, description="largest norm of the gradient")
    scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0, 0.9, 0.8, 0.7), min_length=1, description="factors by which training images are rescaled, drawn per patch"
    )
    augment: bool = Field(True, description="draw flips and rotations by 90 degrees")
    precision: Literal["fp32", "bf16"] = Field(
        "bf16", description="of forward and backward passes; weights and optimiser are always fp32"
    )
    select: Literal["last", "best"] = Field("last", description="which weights to keep, by validation PSNR")
    early_stopping: Annotated[int, Field(ge=1)] | None = Field(
        None, description="stop after so many epochs without a better validation PSNR"
    )
    validation_images: Annotated[int, Field(ge=1)] = Field(6, description="images of the validation set that are used")
    levels: Annotated[int, Field(ge=2)] | None = Field(
        None, description="so many noise levels of constant ratio over noise_range; null: any level, uniformly"
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="keep a moving average of the weights that decays by this factor a step; null: the last ones"
    )


class Denoiser(Model):
    """One denoiser, complete: what `denoisers` and `families` resolve to."""

    name: str
    architecture: Architecture
    bias: bool
    noise_range: tuple[float, float]
    noise: Noise = "gaussian"
    blur_range: tuple[float, float] = (0, 0)
    dataset: str
    validation: str | None = None
    channels: Channels = 1
    seed: int = 0
    source: Literal["train", "released", "file"] = "train"
    weights: str | None = None
    released: str | None = None
    recipe: Recipe
    network: dict[str, Any] = Field({})
    training: Training = Training()


class Entry(Model):
    """A denoiser as written in `denoisers`."""

    architecture: Architecture = Field(description="dncnn, rcnn, unet, densenet, or ncsnv2, which is told the noise")
    bias: bool = Field(False, description="with additive constants (true) or bias-free (false)")
    noise_range: NoiseRange = Field(
        (0, 55), description="noise levels of training, [0, 255] scale: [low, high] or high"
    )
    noise: Noise = Field("gaussian", description="training noise: gaussian, or uniform of the same standard deviation")
    blur_range: BlurRange = Field(
        (0, 0), description="Gaussian blur before the noise, standard deviation in pixels: [low, high] or high; 0: none"
    )
    dataset: str = Field("embedded", description="training images: a dataset, or a name under `datasets`")
    validation: str | None = Field(None, description="images that validate training; null: crops of training images")
    channels: Channels = Field(1, description="1 (gray) or 3 (colour)")
    seed: int = Field(0, description="of initial weights, patches and training noise")
    source: Literal["train", "released", "file"] = Field(
        "train", description="train it, fetch the authors' released weights, or read a weights file of yours"
    )
    weights: str | None = Field(None, description="the weights file, with source: file")
    released: str | None = Field(None, description="id of the released checkpoint, where the name does not tell")
    recipe: Recipe = Field("quick", description="sizes and schedule: paper, released, quick or smoke")
    network: dict[str, Any] = Field({}, description="sizes of the network that differ from the recipe's")
    training: dict[str, Any] = Field({}, description="training settings that differ from the recipe's")

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        if self.source == "file" and not self.weights:
            raise ValueError("source: file needs `weights`, the path of a weights file")
        if self.weights and self.source != "file":
            raise ValueError("`weights` needs source: file")
        return self


class Family(Model):
    """Biased and bias-free twins of one architecture over several training ranges."""

    architecture: Architecture | None = Field(None, description="the family's name by default")
    ranges: tuple[NoiseRange, ...] = Field(
        (10, 30, 55, 100), min_length=1, description="training ranges, [0, 255] scale: each [low, high] or just high"
    )
    bias: tuple[bool, ...] = Field((False, True), min_length=1, description="which twins: bias-free, biased, or both")
    noise: Noise = Field("gaussian", description="training noise")
    blur_range: BlurRange = Field(
        (0, 0), description="Gaussian blur before the noise, standard deviation in pixels: [low, high] or high; 0: none"
    )
    dataset: str = Field("embedded", description="training images")
    validation: str | None = Field(None, description="images that validate training; null: crops of training images")
    channels: Channels = Field(1, description="1 (gray) or 3 (colour)")
    seed: int = Field(0, description="of initial weights, patches and training noise")
    source: Literal["train", "released"] = Field("train", description="train, or fetch the authors' released weights")
    recipe: Recipe = Field("quick", description="sizes and schedule: paper, released, quick or smoke")
    network: dict[str, Any] = Field({}, description="sizes of the networks that differ from the recipe's")
    training: dict[str, Any] = Field({}, description="training settings that differ from the recipe's")


class Folder(Model):
    """A user's own images."""

    images: str = Field(description="folder of image files")
    channels: Channels = Field(1, description="1 reads them as gray, 3 as colour")
    transform: Transform | None = Field(
        None, description="crop and reduction of stochastic_denoising's images: celeba, lsun or ffhq; null: none"
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="first so many images of the folder; null: all")


class Paths(Model):
    """Where things are kept, relative to the working directory."""

    data: str = Field("data", description="downloaded datasets")
    results: str = Field("results", description="denoisers, tables, arrays, scorecard")
    figures: str = Field("figures", description="figures")
    cache: str = Field(".cache", description="training checkpoints; survives interrupted runs")


# Narrower and deeper than the recipe: in gray photographs and faces at most 0.4 dB less, in three quarters of the time.
# Colour and digits need the recipe's width, without which they lose up to 3 and 1.3 dB.
GRAY_DNCNN = {"depth": 10, "width": 16}


class Config(Model):
    """Everything a run is told."""

    preset: str = Field("quick", description="name of the preset, shown on the scorecard and in provenance")
    seed: int = Field(0, description="of test noise; training seeds belong to the denoisers")
    mirror: str | None = Field(
        None, description="folder with a mirror of the downloads; DENOISER_PRIORS_MIRROR sets it too"
    )
    offline: bool = Field(False, description="never use the network: mirror and files at hand only")
    paths: Paths = Field(Paths(), description="folders")
    datasets: dict[Name, Folder] = Field({}, description="your own image folders, by name: {mine: {images: DIR}}")
    families: dict[Name, Family | None] = Field(
        {
            "dncnn": Family(network=GRAY_DNCNN),
            "rcnn": Family(ranges=(10, 55)),
            "unet": Family(ranges=(10, 55)),
            "densenet": Family(ranges=(10, 55)),
            "dncnn-uniform": Family(architecture="dncnn", ranges=(10,), noise="uniform", network=GRAY_DNCNN),
        },
        description="blocks of denoisers, named FAMILY-bf-LOWtoHIGH (bias-free) and FAMILY-cnn-LOWtoHIGH (biased)",
    )
    denoisers: dict[Name, Entry | None] = Field(
        {
            f"dncnn-{kind}-blur": Entry(
                architecture="dncnn",
                bias=bias,
                noise_range=(0, 55),
                blur_range=(0, 4),
                network=GRAY_DNCNN,
            )
            for kind, bias in (("bf", False), ("cnn", True))
        }
        | {
            "bfcnn-color": Entry(architecture="dncnn", noise_range=(0, 100), channels=3),
            # One noise level alone needs less training: 11 for deblurring and super-resolution, 3 for demosaicing,
            # where patches of 28 pixels cost 1.7 dB.
            "dae-color": Entry(
                architecture="dncnn", bias=True, noise_range=(11, 11), channels=3, training={"epochs": 6}
            ),
            "dae-color-3": Entry(
                architecture="dncnn", bias=True, noise_range=(3, 3), channels=3, training={"epochs": 6, "patch": 40}
            ),
            # Digits are smaller than the patches of photographs, and neither mirrored nor turned.
            "bfcnn-mnist": Entry(
                architecture="dncnn",
                noise_range=(0, 100),
                dataset="mnist5k",
                training={"patch": 28, "batch": 16, "scales": [1.0], "augment": False, "validation_images": 20},
            ),
            "bfcnn-faces": Entry(
                architecture="dncnn",
                noise_range=(0, 100),
                dataset="lfw25",
                network=GRAY_DNCNN,
                training={
                    "patch": 25,
                    "batch": 16,
                    "epochs": 20,
                    "scales": [1.0],
                    "augment": False,
                    "validation_images": 10,
                },
            ),
        },
        description="single denoisers, by name; null removes one",
    )
    bias_free: BiasFree = Field(BiasFree(), description="experiments of the document bias_free")
    implicit_prior: ImplicitPrior = Field(
        ImplicitPrior(), description="experiments of the document implicit_prior; sigma is on the [0, 1] scale here"
    )
    stochastic_denoising: StochasticDenoising = Field(
        StochasticDenoising(),
        description="experiments of the document stochastic_denoising; sigma is on the [0, 1] scale here",
    )
    mean_shift: MeanShift = Field(
        MeanShift(), description="experiments of the document mean_shift; sigma is on the [0, 255] scale here"
    )
    history: History = Field(History(), description="experiments of the document history")

    @model_validator(mode="after")
    def _resolvable(self) -> Config:
        for name, family in self.families.items():
            if family is not None and family.architecture is None and name not in ARCHITECTURES:
                raise ValueError(
                    f"families.{name}: `architecture` is needed because {name!r} is none of {', '.join(ARCHITECTURES)}"
                )
        for name in self.datasets:
            if name in known_datasets():
                raise ValueError(f"datasets.{name}: this name belongs to a dataset of the suite; choose another")
        for name, spec in self.denoisers_by_name().items():
            for key, dataset in (("dataset", spec.dataset), ("validation", spec.validation)):
                if dataset is not None:
                    self._check_dataset(f"{key} of the denoiser {name}", dataset)
        self._check_dataset("bias_free.dataset", self.bias_free.dataset)
        for key, dataset in self.implicit_prior.datasets().items():
            self._check_dataset(f"implicit_prior.{key}", dataset)
        for key, dataset in self.stochastic_denoising.datasets().items():
            self._check_dataset(f"stochastic_denoising.{key}", dataset)
        for key, dataset in self.mean_shift.datasets().items():
            self._check_dataset(f"mean_shift.{key}", dataset)
        for key, dataset in self.history.datasets().items():
            self._check_dataset(f"history.{key}", dataset)
        self._check_roles()
        self._check_sets()
        self._check_mean_shift()
        self._check_history()
        return self

    def _check_roles(self) -> None:
        specs = self.denoisers_by_name()
        channels = {"gray": 1, "color": 3, "digits": 1}
        for role, name in self.implicit_prior.denoisers:
            if name is None:
                continue
            where = f"implicit_prior.denoisers.{role}"
            if name not in specs:
                raise ValueError(f"{where}: unknown denoiser {name!r}{nearest(name, specs)}")
            if specs[name].channels != channels[role]:
                raise ValueError(
                    f"{where}: {name} is for images of {specs[name].channels} channel(s), not {channels[role]}"
                )

    def _check_sets(self) -> None:
        specs = self.denoisers_by_name()
        for name, chosen in self.stochastic_denoising.sets.items():
            if chosen is None or chosen.denoiser is None:
                continue
            where = f"stochastic_denoising.sets.{name}.denoiser"
            if chosen.denoiser not in specs:
                raise ValueError(f"{where}: unknown denoiser {chosen.denoiser!r}{nearest(chosen.denoiser, specs)}")
            if specs[chosen.denoiser].channels != chosen.channels:
                raise ValueError(
                    f"{where}: {chosen.denoiser} is for images of {specs[chosen.denoiser].channels} channel(s), not "
                    f"{chosen.channels}"
                )

    def _check_mean_shift(self) -> None:
        specs = self.denoisers_by_name()
        for key, (name, channels) in self.mean_shift.named_denoisers().items():
            if name not in specs:
                raise ValueError(f"mean_shift.{key}: unknown denoiser {name!r}{nearest(name, specs)}")
            if specs[name].channels not in channels:
                raise ValueError(f"mean_shift.{key}: {name} is for gray images; expected one for colour images")

    def _check_history(self) -> None:
        specs = self.denoisers_by_name()
        for key, name in self.history.named_denoisers().items():
            if name not in specs:
                raise ValueError(f"history.{key}: unknown denoiser {name!r}{nearest(name, specs)}")
            if specs[name].channels != 1:
                raise ValueError(f"history.{key}: {name} is for colour images; expected one for gray images")

    def of_photographs(self, dataset: str) -> bool:
        """Whether a dataset is of photographs of anything, not of one class such as digits, faces or bedrooms."""
        own = self.datasets.get(dataset)
        return dataset not in ONE_CLASS and (own is None or own.transform is None)

    def _check_dataset(self, where: str, dataset: str) -> None:
        known = [*known_datasets(), *self.datasets]
        if dataset not in known:
            raise ValueError(f"{where}: unknown dataset {dataset!r}{nearest(dataset, known)}")

    def denoisers_by_name(self) -> dict[str, Denoiser]:
        """All denoisers that the configuration declares, complete with their recipes, in a fixed order."""
        # Planning the workflow asks some hundred times. A copy with other families starts with what this one found.
        families, denoisers, specs = self._found or (None, None, {})
        if families is not self.families or denoisers is not self.denoisers:
            specs = self._complete_denoisers()
            self.__dict__["_found"] = (self.families, self.denoisers, specs)
        return dict(specs)

    @cached_property
    def _found(self) -> tuple[dict, dict, dict[str, Denoiser]] | None:
        return None

    def _complete_denoisers(self) -> dict[str, Denoiser]:
        specs = {}
        for family_name, family in self.families.items():
            if family is None:
                continue
            for noise_range in family.ranges:
                for bias in family.bias:
                    name = f"{family_name}-{'cnn' if bias else 'bf'}-{noise_range[0]:g}to{noise_range[1]:g}"
                    keys = family.model_dump(exclude={"ranges", "bias", "architecture"})
                    specs[name] = _complete(
                        name,
                        architecture=family.architecture or family_name,
                        bias=bias,
                        noise_range=noise_range,
                        **keys,
                    )
        for name, entry in self.denoisers.items():
            if entry is None:
                specs.pop(name, None)
            else:
                specs[name] = _complete(name, **entry.model_dump())
        return specs

    def weights_path(self, name: str) -> Path:
        """Where the weights of a denoiser are kept: <results>/denoisers/<name>/weights.safetensors."""
        return Path(self.paths.results) / "denoisers" / name / "weights.safetensors"

    def denoiser(self, name: str) -> Denoiser:
        """The denoiser called `name`.

        Raises:
            ConfigError: no such denoiser; suggests the nearest names.
        """
        specs = self.denoisers_by_name()
        if name not in specs:
            raise ConfigError(
                f"unknown denoiser {name!r}{nearest(name, specs)}; `denoiser-priors list denoisers` shows all"
            )
        return specs[name]


def _complete(name: str, **keys: Any) -> Denoiser:
    if keys["architecture"] == "ncsnv2" and not keys["bias"]:
        raise ValueError(f"denoiser {name}: ncsnv2 has additive constants and needs `bias: true`")
    recipe = recipes()[keys["architecture"]][keys["recipe"]]
    keys["network"] = {**recipe["network"], **keys["network"]}
    try:
        keys["training"] = Training(**{**recipe["training"], **keys["training"]})
    except ValidationError as error:
        lines = [f"training.{line}" for line in messages(error, Training)]
        raise ValueError(f"denoiser {name}: " + "; ".join(lines)) from error
    # Errors in units of the noise, and levels of constant ratio, need a smallest level.
    if (keys["architecture"] == "ncsnv2" or keys["training"].levels) and not keys["noise_range"][0] > 0:
        raise ValueError(f"denoiser {name}: its noise_range must begin above 0, for example [2.55, 255]")
    return Denoiser(name=name, **keys)


@lru_cache
def recipes() -> dict[str, dict[str, dict[str, Any]]]:
    """The recipes: architecture -> recipe -> {network: {...}, training: {...}}."""
    return packaged_yaml(_PACKAGE / "recipes.yaml")


@lru_cache
def known_datasets() -> tuple[str, ...]:
    """Ids of the suite's datasets that hold images."""
    table = packaged_yaml(_PACKAGE / "data" / "datasets.yaml")
    return tuple(table)


def working_config(paths: Sequence[str | Path] = ()) -> Config:
    """What `load_config` gives, with `config/config.yaml` of the working folder, where there is one, below `paths`."""
    return load_config([path for path in (DEFAULT_FILE, *paths) if path is not DEFAULT_FILE or path.is_file()])


def load_config(paths: Sequence[str | Path] = (), overrides: Mapping[str, Any] | None = None) -> Config:
    """The default preset with the files `paths` and then `overrides` laid over it.

    A mapping in an overlay is merged into the one below it; any other value replaces what was there. Where an
    overlay gives a family or a denoiser its recipe, what the layers below changed about theirs is dropped.

    Raises:
        ConfigError: all that is wrong at once: for each, the file, the path of the key, and what was expected.
    """
    merged: dict[str, Any] = {}
    layers: list[tuple[str, Mapping]] = [(str(path), read_yaml(path)) for path in paths]
    if overrides:
        layers.append(("configuration", overrides))
    base = Config().model_dump(mode="json") if layers else {}
    merge(merged, base)
    for _, layer in layers:
        _follow_recipes(merged, layer)
        merge(merged, layer)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, layers)) from None


def _follow_recipes(base: dict, layer: Mapping) -> None:
    """Drop sizes and training settings that amend a recipe which `layer` replaces."""
    for section in ("families", "denoisers"):
        below, above = base.get(section), layer.get(section)
        if isinstance(below, dict) and isinstance(above, Mapping):
            for name, entry in above.items():
                if isinstance(entry, Mapping) and "recipe" in entry and isinstance(below.get(name), dict):
                    below[name].update(network={}, training={})
