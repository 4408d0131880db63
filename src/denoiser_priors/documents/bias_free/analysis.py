"""Experiments on what bias does and what a bias-free network is: net bias, Jacobians, weighting functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.bias_free import plan_analysis as plan
from denoiser_priors.documents.bias_free.arrays import save_arrays
from denoiser_priors.errors import ConfigError
from denoiser_priors.tables import read_csv, write_csv

if TYPE_CHECKING:
    from torch import Tensor

    from denoiser_priors.data.images import Image


def net_bias(config: Config, out: Path, *, denoiser: str) -> list[Path]:
    """Norms of residual, net bias and noise of one network with bias, root mean squares on the [0, 255] scale.

    Writes the table of `analysis.net_bias.bias_norms`, one row per patch and level; returns the inputs.

    Raises:
        ConfigError: the denoiser is none of figures 1 and 8.
    """
    from denoiser_priors.analysis.net_bias import bias_norms
    from denoiser_priors.analysis.patches import random_patches

    networks = plan.biased_networks(config)
    if denoiser not in networks:
        raise _not_planned(denoiser, networks, "figures 1 and 8")
    settings = networks[denoiser]
    patches = random_patches(test_images(config), settings.patch, settings.patches, seed=config.seed)
    about = {"name": denoiser, "dataset": config.bias_free.dataset, "seed": config.seed}
    write_csv(bias_norms(load(config, denoiser), patches, settings.sigma, **about), out)
    return weights(config, [denoiser])


def table_net_bias(config: Config, out: Path) -> list[Path]:
    """The norms of all networks with bias in one table, and what each network is. Returns the inputs."""
    from denoiser_priors.analysis.columns import NORM_COLUMNS

    paths = [plan.net_bias_path(config, name) for name in plan.biased_networks(config)]
    return gather(config, paths, NORM_COLUMNS, out)


def filters(config: Config, out: Path) -> list[Path]:
    """Weighting functions of three pixels of a noisy crop, for figures 4, 13, 14 and 15.

    Writes arrays, one entry per figure, network and noise level: clean, noisy and denoised (E, H, W), pixels (E, 3, 2)
    as row and column, weights (E, 3, H, W), the rows of the Jacobian, and `about`, what the entries are, as JSON.
    Returns the inputs.
    """
    import torch

    from denoiser_priors.analysis.jacobian import jacobian
    from denoiser_priors.analysis.pixels import three_pixels

    settings = config.bias_free.filters
    networks = plan.filter_networks(config)
    others = [name for architecture, name in networks.items() if architecture != "dncnn"]
    dncnn = [networks["dncnn"]] if "dncnn" in networks else []
    shown = (
        ("figure_04", 0, dncnn, settings.sigma_04),
        ("figure_13", 0, others, settings.sigma_others),
        ("figure_14", 1, dncnn, settings.sigma_14),
        ("figure_15", 1, others, settings.sigma_others),
    )
    images = test_images(config)
    crops = [structured_crop(images, index, settings.patch) for index in settings.images]
    found = Entries(config)
    for figure, which, names, sigmas in shown:
        label, clean = crops[which]
        pixels = three_pixels(clean[0].numpy())
        for name in names:
            network = load(config, name)
            for sigma, noisy in zip(sigmas, noisy_crops(config, label, clean, sigmas), strict=True):
                with torch.inference_mode():
                    denoised = network(noisy[None])[0]
                rows = jacobian(network, noisy, rows=[int(r) * clean.shape[-1] + int(c) for r, c in pixels])
                found.add(
                    name,
                    {"figure": figure, "image": label, "sigma": sigma},
                    clean=clean[0],
                    noisy=noisy[0],
                    denoised=denoised[0],
                    pixels=pixels,
                    weights=rows.reshape(-1, *clean.shape[1:]),
                )
    found.save(out)
    return weights(config, networks.values())


def decomposition(config: Config, out: Path) -> list[Path]:
    """The output of networks with bias, its linear part and net bias, for figures 9 and 10.

    Writes arrays (E, H, W) on the [0, 1] scale, not clipped, one entry per network and noise level: clean, noisy,
    denoised, linear, net_bias; and `about`, what the entries are, as JSON, with the PSNR of noisy and denoised by the
    protocol bias_free. Returns the inputs.
    """
    from denoiser_priors.analysis.net_bias import decompose
    from denoiser_priors.evaluation.protocols import get_protocol

    settings = config.bias_free.decomposition
    networks = plan.decomposed_networks(config)
    label, clean = structured_crop(test_images(config), settings.image, settings.patch)
    protocol = get_protocol("bias_free")
    found = Entries(config)
    for architecture, name in networks.items():
        figure, sigmas = (
            ("figure_09", settings.sigma) if architecture == "dncnn" else ("figure_10", settings.sigma_others)
        )
        noisy = noisy_crops(config, label, clean, sigmas)
        denoised, linear = decompose(load(config, name), noisy)
        qualities = [
            protocol.psnr(image, clean.expand_as(image)).tolist()
            for image in (protocol.noisy(noisy), protocol.denoised(denoised))
        ]
        for i, sigma in enumerate(sigmas):
            found.add(
                name,
                {
                    "figure": figure,
                    "image": label,
                    "sigma": sigma,
                    "input_psnr": qualities[0][i],
                    "psnr": qualities[1][i],
                },
                clean=clean[0],
                noisy=noisy[i, 0],
                denoised=denoised[i, 0],
                linear=linear[i, 0],
                net_bias=denoised[i, 0] - linear[i, 0],
            )
    found.save(out)
    return weights(config, networks.values())


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    "net_bias": net_bias,
    "table_net_bias": table_net_bias,
    "filters": filters,
    "decomposition": decomposition,
}


class Entries:
    """Arrays of equal shapes that are saved stacked, with what each of them shows."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._about: list[dict[str, Any]] = []
        self._arrays: dict[str, list[np.ndarray]] = {}

    def add(self, denoiser: str, about: Mapping[str, Any], **arrays: Tensor | np.ndarray) -> None:
        """Add what belongs to one network, noise level and image."""
        spec = self._config.denoiser(denoiser)
        identity = {
            "denoiser": denoiser,
            "architecture": spec.architecture,
            "bias": spec.bias,
            "noise_range": list(spec.noise_range),
            "recipe": spec.recipe,
            "dataset": self._config.bias_free.dataset,
            "preset": self._config.preset,
        }
        self._about.append({**identity, **about})
        for name, array in arrays.items():
            self._arrays.setdefault(name, []).append(np.asarray(array))

    def save(self, out: Path) -> None:
        """Write them, also where there are none."""
        stacked = {name: np.stack(arrays) for name, arrays in self._arrays.items()}
        save_arrays(out, stacked, self._about)


def gather(config: Config, paths: Sequence[Path], columns: Sequence[str], out: Path) -> list[Path]:
    """Tables of single networks in one, with what each network is; no rows where there are none. Returns the inputs."""
    inventory = Path(config.paths.results) / "denoisers.csv"
    about = read_csv(inventory, ["denoiser", *IDENTITY])[["denoiser", *IDENTITY]]
    tables = [read_csv(path, columns) for path in paths] or [pd.DataFrame(columns=list(columns))]
    table = pd.concat(tables, ignore_index=True)
    write_csv(table.merge(about.astype({"denoiser": object}), on="denoiser", how="left"), out)
    return [*paths, inventory]


IDENTITY = ("architecture", "bias", "noise_low", "noise_high", "recipe", "preset")
"""What gathered tables say of a denoiser."""


def test_images(config: Config) -> list[Image]:
    """The test images of the document, as many as the configuration allows."""
    from denoiser_priors.data.images import load_images

    settings = config.bias_free
    where = {"split": "test", "limit": settings.limit, "folders": config.datasets}
    return load_images(settings.dataset, config.paths.data, **where)


def structured_crop(images: Sequence[Image], index: int, size: int) -> tuple[str, Tensor]:
    """Name and pixels (1, size, size), [0, 1] scale, of a crop of one test image.

    The crop whose means over blocks vary most among those on a grid of half its size, so that it shows a boundary
    between regions; smaller where the image is. Crops with more
    than 1 % of black or white pixels are passed over if there are others: there the net bias of networks with bias is
    large inside their training range, too. Beyond the last image, counting starts again with the first.
    """
    from denoiser_priors.data.images import as_tensor

    image = images[index % len(images)]
    whole = as_tensor(image)
    height, width = whole.shape[1:]
    size = min(size, height, width)
    step = max(1, size // 2)
    corners = [(top, left) for top in range(0, height - size + 1, step) for left in range(0, width - size + 1, step)]

    def cut(corner: tuple[int, int]) -> np.ndarray:
        return whole[0, corner[0] : corner[0] + size, corner[1] : corner[1] + size].numpy()

    def saturated(corner: tuple[int, int]) -> float:
        return float((np.abs(cut(corner) - 0.5) > 0.49).mean())

    corners = [corner for corner in corners if saturated(corner) <= 0.01] or corners
    top, left = max(corners, key=lambda corner: float(block_means(cut(corner)).std()))
    return f"{image.name}@{top},{left}", whole[:, top : top + size, left : left + size].contiguous()


def block_means(image: np.ndarray, side: int = 4) -> np.ndarray:
    """Means over blocks of `side` x `side` pixels; what is left over at the ends is dropped."""
    height, width = (length // side * side for length in image.shape)
    return image[:height, :width].reshape(height // side, side, width // side, side).mean(axis=(1, 3))


def noisy_crops(config: Config, label: str, clean: Tensor, sigmas: Sequence[float]) -> Tensor:
    """A crop with one noise draw scaled to every level, (levels, 1, H, W)."""
    from denoiser_priors.analysis.patches import noisy_versions

    return noisy_versions(label, clean, sigmas, dataset=config.bias_free.dataset, seed=config.seed)


def load(config: Config, name: str) -> Callable:
    """A denoiser of the configuration, folded."""
    from denoiser_priors.networks.zoo import load_denoiser

    return load_denoiser(name, config, device="cpu")


def weights(config: Config, names: Iterable[str]) -> list[Path]:
    """Weights files of denoisers."""
    return [config.weights_path(name) for name in dict.fromkeys(names)]


def _not_planned(denoiser: str, networks: Iterable[str], figures: str) -> ConfigError:
    there = ", ".join(networks) or "none"
    return ConfigError(f"{denoiser} is none of the networks that {figures} of bias_free show; there are: {there}")
