"""The images of the document's networks: halves of a dataset, families that are drawn, surfaces, shuffled pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from denoiser_priors.config import Config
from denoiser_priors.config.history import SYNTHETIC
from denoiser_priors.data.images import Image, load_images
from denoiser_priors.documents.history import plan
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.noise import keyed_generator

VALIDATION = 16
"""Test images that validate training; nothing is chosen by them."""

TEST_SEED = 9
"""Of drawn test images; training halves have 0 and 1."""


@dataclass(frozen=True)
class Subject:
    """Training and test images of a network, all of one shape, and the permutation of their pixels, if any."""

    train: list[Image]
    test: list[Image]
    permutation: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        height, width, channels = self.train[0].pixels.shape
        return channels, height, width


def subject(config: Config, name: str) -> Subject:
    """The images of a network of `plan.networks`, shuffled where it sees them so.

    Raises:
        ConfigError: fewer images than the network is to be trained on, or of different sizes.
        DataError: an image cannot be used.
    """
    told = plan.networks(config)[name]
    kind = told["images"]
    if kind == "generalization":
        source = told["source"]
        halves, test = divided(config, source)
        return Subject(_first(halves[told["half"]], told["size"], name), test)
    if kind == "slopes":
        return _drawn("c-alpha", told["side"], told["count"], config.history.slopes.test_images, alpha=told["alpha"])
    if kind == "disks":
        return _drawn("disks", told["side"], told["count"], config.history.disks.test_images)
    if kind == "shuffled":
        return _shuffled(config, told)
    if kind == "point_geometry":
        return _surfaces(told)
    return Subject(*restoration_images(config))


def divided(config: Config, source: dict[str, Any]) -> tuple[tuple[list[Image], list[Image]], list[Image]]:
    """Two disjoint halves of a class of images, each in random order, and the test images.

    Of a dataset with a test set of its own, all training images are divided; groups of `groups` images in a row (those
    of one person) stay together, the first half of the groups being the first half. Drawn images come from two seeds.
    """
    dataset = source["dataset"]
    if dataset in SYNTHETIC:
        largest = max(max(each.sizes) for each in _ladders(config) if each.dataset == dataset)
        draws = [draw(dataset, source["side"], largest, seed=half, alpha=source["alpha"]) for half in (0, 1)]
        return (draws[0], draws[1]), draw(
            dataset, source["side"], _drawn_test(config), seed=TEST_SEED, **_alpha(source)
        )
    images, test = loaded(config, source)
    test = [test[i] for i in keyed_generator("test order", dataset, config.seed).permutation(len(test))]
    count = len(images) // source["groups"]
    middle = (count + 1) // 2 * source["groups"]
    if source["groups"] == 1:
        order = keyed_generator("halves", dataset, config.seed).permutation(len(images))
        images = [images[i] for i in order]
        return (images[:middle], images[middle:]), test
    halves = []
    for half, part in enumerate((images[:middle], images[middle:])):
        order = keyed_generator("halves", dataset, config.seed, half).permutation(len(part))
        halves.append([part[i] for i in order])
    return (halves[0], halves[1]), test


def loaded(config: Config, source: dict[str, Any], channels: int = 1) -> tuple[list[Image], list[Image]]:
    """Training and test images of a dataset, reduced and cut as `source` says.

    Without a test dataset, the tests are the dataset's own; of one without splits (a user's folder), every tenth image.
    """
    dataset, folders = source["dataset"], config.datasets
    where = {"channels": channels, "folders": folders}
    images = load_images(dataset, config.paths.data, split="train", **where)
    if source.get("test") is not None:
        test = load_images(source["test"], config.paths.data, split="test", **where)
    else:
        test = load_images(dataset, config.paths.data, split="test", **where)
    if [image.name for image in test] == [image.name for image in images]:
        images, test = [x for i, x in enumerate(images) if i % 10 != 9], images[9::10]
    return _prepared(images, source), _prepared(test, source)


def draw(family: str, side: int, count: int, *, seed: int, alpha: float = 2.0) -> list[Image]:
    """Images of a drawn family, 8 bits."""
    from denoiser_priors.data import synthetic

    if family == "c-alpha":
        return synthetic.as_images(synthetic.c_alpha(count, side, alpha=alpha, seed=seed), f"c-alpha-{alpha:g}-{seed}")
    return synthetic.as_images(synthetic.disks(count, side, seed=seed), f"disks-{seed}")


def stack(images: Sequence[Image]) -> np.ndarray:
    """Images of one shape as (N, C, H, W) float32 in [0, 1].

    Raises:
        ConfigError: they differ in shape.
    """
    shapes = {image.pixels.shape for image in images}
    if len(shapes) > 1:
        sizes = ", ".join(f"{shape[1]}x{shape[0]}" for shape in sorted(shapes))
        raise ConfigError(f"history: images of one class have one size, these have {sizes}; set `side`")
    return np.stack([image.pixels for image in images]).astype(np.float32).transpose(0, 3, 1, 2) / 255


def permuted(images: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    """Images (..., H, W) with their pixels in another order; `np.argsort(permutation)` undoes it."""
    return images.reshape(*images.shape[:-2], -1)[..., permutation].reshape(images.shape)


def restoration_images(config: Config) -> tuple[list[Image], list[Image]]:
    """Training and test images of inversion by direct iteration; test images are cut to their middle.

    Raises:
        DataError: a test image without whole blocks.
    """
    settings = config.history.indi
    told = plan.networks(config)["indi"]["source"]
    images, test = loaded(config, told, settings.channels)
    test = [middle(image, settings.test_side) for image in test[: settings.test_images]]
    for image in test:
        if image.pixels.shape[0] % settings.factor or image.pixels.shape[1] % settings.factor:
            raise DataError(
                f"image {image.name!r} of history.indi has no whole blocks of {settings.factor} pixels; set test_side"
            )
    return images, test


def middle(image: Image, side: int | None) -> Image:
    """The middle of an image, `side` pixels a side; all of it without `side`, and where the image is smaller."""
    if side is None:
        return image
    top, left = (max(0, size - side) // 2 for size in image.pixels.shape[:2])
    return dataclasses.replace(image, pixels=image.pixels[top : top + side, left : left + side].copy())


def _ladders(config: Config) -> list[Any]:
    return [each for each in config.history.generalization.families.values() if each is not None]


def _drawn_test(config: Config) -> int:
    return max(config.history.generalization.test_images, VALIDATION)


def _alpha(source: dict[str, Any]) -> dict[str, float]:
    return {"alpha": source["alpha"]}


def _drawn(family: str, side: int, count: int, test: int, **settings: float) -> Subject:
    drawn = draw(family, side, count, seed=0, **settings)
    return Subject(drawn, draw(family, side, max(test, VALIDATION), seed=TEST_SEED, **settings))


def _shuffled(config: Config, told: dict[str, Any]) -> Subject:
    from denoiser_priors.data.synthetic import shuffling

    source = told["source"]
    if source["dataset"] in SYNTHETIC:
        found = _drawn(source["dataset"], source["side"], source["drawn"], 64, alpha=source["alpha"])
        images, test = found.train, found.test
    else:
        images, test = loaded(config, source)
    height, width, _ = images[0].pixels.shape
    if not told["shuffle"]:
        return Subject(images, test)
    if height != width:
        raise ConfigError("history.shuffled: images must be square; set `side`")
    order = shuffling(height, config.seed)
    return Subject(*([_shuffle(image, order) for image in part] for part in (images, test)), order)


def _surfaces(told: dict[str, Any]) -> Subject:
    from denoiser_priors.data.surfaces import surfaces
    from denoiser_priors.data.synthetic import as_images, shuffling

    side = told["side"]
    parts = [
        as_images(surfaces(count, side, seed=seed), f"surfaces-{seed}")
        for count, seed in ((told["count"], 0), (64, TEST_SEED))
    ]
    if not told["permute"]:
        return Subject(*parts)
    order = shuffling(side, 0)
    return Subject(*([_shuffle(image, order) for image in part] for part in parts), order)


def _shuffle(image: Image, order: np.ndarray) -> Image:
    pixels = image.pixels.reshape(-1, image.pixels.shape[2])[order].reshape(image.pixels.shape)
    return dataclasses.replace(image, pixels=pixels)


def _prepared(images: list[Image], source: dict[str, Any]) -> list[Image]:
    return [middle(_reduced(image, source.get("reduce", 1)), source.get("side")) for image in images]


def _reduced(image: Image, factor: int) -> Image:
    if factor == 1:
        return image
    height, width = (size // factor for size in image.pixels.shape[:2])
    blocks = image.pixels[: height * factor, : width * factor].astype(np.float64)
    means = blocks.reshape(height, factor, width, factor, -1).mean(axis=(1, 3))
    return dataclasses.replace(image, pixels=np.rint(means).astype(np.uint8))


def _first(images: list[Image], count: int, name: str) -> list[Image]:
    if len(images) < count:
        raise ConfigError(f"the network {name} of history needs {count} training images and its half has {len(images)}")
    return images[:count]
