"""The configuration: one typed model that validates presets, fills recipes in, and describes itself."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from denoiser_priors.errors import ConfigError

ARCHITECTURES = ("dncnn", "rcnn", "unet", "densenet")
DOCUMENTS = ("bias_free", "implicit_prior", "stochastic_denoising", "mean_shift", "history")

DEFAULT_FILE = Path("config/config.yaml")

LARGEST_BLUR = 20.0
"""Pixels. Training patches are cut with a margin of four times the blur on each side."""

_PACKAGE = Path(__file__).parent


def _noise_range(value: Any) -> Any:
    """Accept a single maximum as the range [0, maximum]."""
    return (0, value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _check_range(value: tuple[float, float]) -> tuple[float, float]:
    low, high = value
    if low < 0 or high < 0:
        raise ValueError(f"a noise range cannot be negative: [{low:g}, {high:g}]")
    if low > high:
        raise ValueError(f"a noise range goes from low to high: [{low:g}, {high:g}] is reversed")
    if high > 255:
        raise ValueError(f"noise levels are on the [0, 255] scale: {high:g} is too large")
    return value


NoiseRange = Annotated[
    tuple[float, float],
    BeforeValidator(_noise_range),
    AfterValidator(_check_range),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 255},
                {
                    "type": "array",
                    "items": {"type": "number", "minimum": 0, "maximum": 255},
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        }
    ),
]


def _check_blur_range(value: tuple[float, float]) -> tuple[float, float]:
    low, high = value
    if low < 0 or high < 0:
        raise ValueError(f"a blur range cannot be negative: [{low:g}, {high:g}]")
    if low > high:
        raise ValueError(f"a blur range goes from low to high: [{low:g}, {high:g}] is reversed")
    if high > LARGEST_BLUR:
        raise ValueError(f"blur is in pixels, at most {LARGEST_BLUR:g}: {high:g} is too large")
    return value


BlurRange = Annotated[
    tuple[float, float],
    BeforeValidator(_noise_range),
    AfterValidator(_check_blur_range),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": LARGEST_BLUR},
                {
                    "type": "array",
                    "items": {"type": "number", "minimum": 0, "maximum": LARGEST_BLUR},
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        }
    ),
]
Architecture = Literal["dncnn", "rcnn", "unet", "densenet"]
Recipe = Literal["paper", "released", "quick", "smoke"]
Noise = Literal["gaussian", "uniform"]
Channels = Literal[1, 3]
Sigma = Annotated[float, Field(ge=0, le=255)]
Blur = Annotated[float, Field(ge=0, le=LARGEST_BLUR)]


class Model(BaseModel):
    """Base of all parts: unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


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
    network: dict[str, Any] = {}
    training: Training = Training()


class Entry(Model):
    """A denoiser as written in `denoisers`."""

    architecture: Architecture = Field(description="dncnn, rcnn, unet or densenet")
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


class Paths(Model):
    """Where things are kept, relative to the working directory."""

    data: str = Field("data", description="downloaded datasets")
    results: str = Field("results", description="denoisers, tables, arrays, scorecard")
    figures: str = Field("figures", description="figures")
    cache: str = Field(".cache", description="training checkpoints; survives interrupted runs")


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


class Config(Model):
    """Everything a run is told."""

    preset: str = Field("quick", description="name of the preset, shown on the scorecard and in provenance")
    seed: int = Field(0, description="of test noise; training seeds belong to the denoisers")
    mirror: str | None = Field(
        None, description="folder or URL of a mirror of the downloads; DENOISER_PRIORS_MIRROR sets it too"
    )
    offline: bool = Field(False, description="never use the network: mirror and files at hand only")
    paths: Paths = Field(Paths(), description="folders")
    datasets: dict[str, Folder] = Field({}, description="your own image folders, by name: {mine: {images: DIR}}")
    families: dict[str, Family | None] = Field(
        {
            "dncnn": Family(),
            "rcnn": Family(ranges=(10, 55)),
            "unet": Family(ranges=(10, 55)),
            "densenet": Family(ranges=(10, 55)),
            "dncnn-uniform": Family(architecture="dncnn", ranges=(10,), noise="uniform"),
        },
        description="blocks of denoisers, named FAMILY-bf-LOWtoHIGH (bias-free) and FAMILY-cnn-LOWtoHIGH (biased)",
    )
    denoisers: dict[str, Entry | None] = Field(
        {
            f"dncnn-{kind}-blur": Entry(
                architecture="dncnn",
                bias=bias,
                noise_range=(0, 55),
                blur_range=(0, 4),
            )
            for kind, bias in (("bf", False), ("cnn", True))
        },
        description="single denoisers, by name; null removes one",
    )
    bias_free: BiasFree = Field(BiasFree(), description="experiments of the document bias_free")

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
        return self

    def _check_dataset(self, where: str, dataset: str) -> None:
        known = [*known_datasets(), *self.datasets]
        if dataset not in known:
            raise ValueError(f"{where}: unknown dataset {dataset!r}{_nearest(dataset, known)}")

    def denoisers_by_name(self) -> dict[str, Denoiser]:
        """All denoisers that the configuration declares, complete with their recipes, in a fixed order."""
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

    def denoiser(self, name: str) -> Denoiser:
        """The denoiser called `name`.

        Raises:
            ConfigError: no such denoiser; suggests the nearest names.
        """
        specs = self.denoisers_by_name()
        if name not in specs:
            raise ConfigError(
                f"unknown denoiser {name!r}{_nearest(name, specs)}; `denoiser-priors list denoisers` shows all"
            )
        return specs[name]


def _complete(name: str, **keys: Any) -> Denoiser:
    recipe = recipes()[keys["architecture"]][keys["recipe"]]
    keys["network"] = {**recipe["network"], **keys["network"]}
    try:
        keys["training"] = Training(**{**recipe["training"], **keys["training"]})
    except ValidationError as error:
        lines = [f"training.{line}" for line in _messages(error)]
        raise ValueError(f"denoiser {name}: " + "; ".join(lines)) from error
    return Denoiser(name=name, **keys)


@lru_cache
def recipes() -> dict[str, dict[str, dict[str, Any]]]:
    """The recipes: architecture -> recipe -> {network: {...}, training: {...}}."""
    return yaml.safe_load((_PACKAGE / "recipes.yaml").read_text(encoding="utf-8"))


@lru_cache
def known_datasets() -> tuple[str, ...]:
    """Ids of the suite's datasets that hold images."""
    table = yaml.safe_load((_PACKAGE / "data" / "datasets.yaml").read_text(encoding="utf-8"))
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
    _merge(merged, base)
    for _, layer in layers:
        _follow_recipes(merged, layer)
        _merge(merged, layer)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, layers)) from None


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping from a file, refusing duplicate keys.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, or a key given twice; names the file and line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason})") from None
    try:
        content = yaml.load(text, Loader=_UniqueKeys)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "too deeply nested or malformed"
        raise ConfigError(f"{path}{where}: not valid YAML: {problem}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys with values, as in config/config.yaml, not {type(content).__name__}")
    return content


class _UniqueKeys(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool)):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _follow_recipes(base: dict, layer: Mapping) -> None:
    """Drop sizes and training settings that amend a recipe which `layer` replaces."""
    for section in ("families", "denoisers"):
        below, above = base.get(section), layer.get(section)
        if isinstance(below, dict) and isinstance(above, Mapping):
            for name, entry in above.items():
                if isinstance(entry, Mapping) and "recipe" in entry and isinstance(below.get(name), dict):
                    below[name].update(network={}, training={})


def _merge(base: dict, layer: Mapping) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping):
            below = base.get(key)
            base[key] = dict(below) if isinstance(below, Mapping) else {}
            _merge(base[key], value)
        else:
            base[key] = value


def _nearest(name: Any, known: Sequence[str] | Mapping[str, Any]) -> str:
    """A suggestion to append to a message, or nothing."""
    near = difflib.get_close_matches(str(name), [str(k) for k in known], n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def _keys_at(location: Sequence[Any]) -> list[str]:
    """Keys allowed at a location of the model, for suggestions."""
    model: Any = Config
    for part in location:
        fields = getattr(model, "model_fields", None)
        annotation = fields[part].annotation if fields and part in fields else None
        candidates = [annotation, *getattr(annotation, "__args__", ())] if annotation is not None else [model]
        flat = [c for cand in candidates for c in (cand, *getattr(cand, "__args__", ()))]
        model = next((c for c in flat if isinstance(c, type) and issubclass(c, BaseModel)), model)
    return list(getattr(model, "model_fields", {}))


def _distinct(error: ValidationError) -> list[Any]:
    """The errors, less those that only follow from an error inside the same value."""
    items = error.errors()
    inside = [item["loc"] for item in items]
    return [
        i for i in items if not any(len(loc) > len(i["loc"]) and loc[: len(i["loc"])] == i["loc"] for loc in inside)
    ]


def _messages(error: ValidationError) -> list[str]:
    lines = []
    for item in _distinct(error):
        location = [part for part in item["loc"] if part not in ("Family", "Entry")]
        path = ".".join(str(part) for part in location)
        if item["type"] == "extra_forbidden":
            known = list(Training.model_fields) if error.title == "Training" else _keys_at(location[:-1])
            line = f"{path}: unknown key{_nearest(location[-1], known)}"
            if "did you mean" not in line:
                line += f"; known here: {', '.join(known)}"
        else:
            message = item["msg"].removeprefix("Value error, ")
            got = "" if isinstance(item["input"], (dict, BaseModel)) else f" (got {item['input']!r})"
            line = f"{path}: {message}{got}" if path else message
        lines.append(line)
    return lines


def _explain(error: ValidationError, layers: Sequence[tuple[str, Mapping]]) -> str:
    lines = []
    for item, line in zip(_distinct(error), _messages(error), strict=True):
        source = next((name for name, layer in reversed(layers) if _mentions(layer, item["loc"])), None)
        lines.append(f"{source or (layers[-1][0] if layers else 'configuration')}: {line}")
    head = "the configuration has an error:" if len(lines) == 1 else f"the configuration has {len(lines)} errors:"
    return "\n  ".join([head, *lines])


def _mentions(layer: Any, location: Sequence[Any]) -> bool:
    found = False
    for part in location:
        if isinstance(layer, Mapping) and part in layer:
            layer, found = layer[part], True
        else:
            break
    return found
