"""One part of the document's restorations: images that are degraded, restored and measured."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.mean_shift import blind, plan, runs
from denoiser_priors.tables import write_csv

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

Found = tuple[dict[str, Any], dict[str, Any]]
"""What is measured of a restored image, and its arrays, for figures."""


def restorations(config: Config, arrays: Path, table: Path, *, part: int) -> list[Path]:
    """All images of a part, degraded, restored and measured. Returns the inputs.

    Writes to `table` the columns of `runs.COLUMNS`; to `arrays`, float32 on the [0, 1] scale, of the first
    `runs.KEPT` images, numbered from 0: clean_0, degraded_0 and restored_0 (C, H, W), or what else the task has, and
    `about`, how they were made, as JSON.

    Raises:
        ConfigError: no such part, no prior for it, or more pairs than there are.
        DataError: an image or a kernel cannot be used.
    """
    chosen = plan.part(config, part)
    network = None if chosen.prior is None else runs.load_network(config, chosen.prior)
    said = runs.about(config, chosen) | _changes(config, chosen)
    rows, kept, seen = [], {}, []
    for row, images in _TASKS[chosen.task](config, chosen, network):
        rows.append({**said, **row, "processor": runs.machine(None if network is None else network.device)})
        name = (row["image"], row.get("kernel"))
        if name not in seen:
            seen.append(name)
        if (place := seen.index(name)) < runs.KEPT:
            kept |= {f"{key}_{place}": value for key, value in images.items()}
    said["images"] = list(dict.fromkeys(row["image"] for row in rows))
    runs.save(arrays, said, kept)
    write_csv(pd.DataFrame(rows).reindex(columns=list(runs.COLUMNS)), table)
    found = [plan.kernel_dataset(chosen), *plan.datasets(chosen)]
    manifests = [Path(config.paths.data) / name / "manifest.json" for name in found if name is not None]
    return [*([] if chosen.prior is None else [config.weights_path(chosen.prior.name)]), *manifests]


def deblurring(config: Config, part: plan.Part, network: runs.Network | None) -> Iterator[Found]:
    """Non-blind, noise-adaptive or classical deblurring of a set at one noise level (Table 1, NB and NA)."""
    from denoiser_priors.restoration.mean_shift import deblur

    for picture, kernel, degraded in blurred(config, part.settings, float(part.setting)):
        first = {"image": picture.name, "kernel": kernel.name, "sigma": part.setting}
        first |= runs.sizes(picture.clean, kernel.border)
        reference = runs.inner(picture.clean, kernel.border)
        first["input_psnr"] = runs.measured(degraded, reference)["psnr"]
        images = {"clean": reference, "degraded": degraded, "kernel": kernel.values}
        if network is None:
            for name, restore in classical().items():
                began = time.perf_counter()
                x = runs.inner(restore(degraded[None], kernel.values, float(part.setting))[0], kernel.border)
                row = {"method": name, "seconds": time.perf_counter() - began, **runs.measured(x, reference)}
                yield {**first, **row}, {**images, name: x}
            continue
        known = part.method == "nb"
        restored = deblur(
            degraded[None],
            network.denoiser,
            kernel=kernel.values,
            sigma=float(part.setting) if known else None,
            keys=[key_of(part.settings, picture, kernel)],
            **network.options(config, **_changes(config, part)),
        )
        x = restored.inner[0]
        row = {"method": "nb" if known else "na", **_of_run(restored), **runs.measured(x, reference)}
        row["sigma_found"] = runs.noise_found(restored, network.prior.sigma)
        yield {**first, **row}, {**images, "restored": x}


def super_resolution(config: Config, part: plan.Part, network: runs.Network) -> Iterator[Found]:
    """Images reduced by a factor and rounded to 8 bits, enlarged by bicubic interpolation and with the prior."""
    from denoiser_priors.restoration.classical_baselines import bicubic
    from denoiser_priors.restoration.degradations import Reduction
    from denoiser_priors.restoration.mean_shift import super_resolve

    factor = int(part.setting)
    border = (factor, factor)
    for picture in runs.pictures(config, part.settings, multiple=factor):
        small = Reduction(tuple(picture.clean.shape), factor).measure(picture.clean[None])
        small = (small.clamp(0, 1) * 255).round() / 255
        began = time.perf_counter()
        interpolated = bicubic(small, factor)[0]
        seconds = time.perf_counter() - began
        simple = runs.measured(interpolated, picture.clean, border)
        first = {"image": picture.name, "sigma": 0.0, "input_psnr": simple["psnr"]} | runs.sizes(picture.clean, border)
        images = {"clean": picture.clean, "degraded": small[0], "bicubic": interpolated}
        yield {**first, **_PLAIN, "method": "bicubic", "seconds": seconds, **simple}, images
        restored = super_resolve(
            small,
            network.denoiser,
            factor=factor,
            rough=part.settings.rough,
            keys=[key_of(part.settings, picture)],
            **network.options(config),
        )
        x = restored.images[0]
        row = {"method": "sr", **_of_run(restored), **runs.measured(x, picture.clean, border)}
        yield {**first, **row}, {**images, "restored": x}


def demosaicing(config: Config, part: plan.Part, network: runs.Network) -> Iterator[Found]:
    """One colour per pixel, perhaps with noise; the others by interpolation, and with the prior in two passes."""
    from denoiser_priors.restoration.classical_baselines import demosaic_classical
    from denoiser_priors.restoration.degradations import Mosaic, add_noise
    from denoiser_priors.restoration.mean_shift import demosaic

    settings = part.settings
    methods = interpolations()
    for picture in runs.pictures(config, settings):
        clean = linear(picture.clean) if settings.linear else picture.clean
        mosaic = Mosaic(tuple(clean.shape), settings.pattern).measure(clean[None])
        key = {"dataset": settings.dataset, "image": picture.name}
        mosaic = add_noise(mosaic, settings.noise, seed=config.seed, **key) if settings.noise else mosaic
        first = {"image": picture.name, "sigma": settings.noise} | runs.sizes(clean, (0, 0))
        images = {"clean": clean, "degraded": mosaic[0]}
        for method in methods:
            began = time.perf_counter()
            x = demosaic_classical(mosaic, settings.pattern, method=method)[0]
            row = {"method": method, "seconds": time.perf_counter() - began, **runs.measured(x, clean)}
            first.setdefault("input_psnr", row["psnr"])
            yield {**first, **_PLAIN, **row}, {**images, method: x}
        restored = demosaic(
            mosaic,
            network.denoiser,
            pattern=settings.pattern,
            sigma=settings.sigma,
            initial="malvar" if "malvar" in methods else "bilinear",
            keys=[key_of(settings, picture)],
            **network.options(config),
        )
        row = {"method": "dm", **_of_run(restored), **runs.measured(restored.images[0], clean)}
        yield {**first, **row}, {**images, "restored": restored.images[0]}


def blurred(config: Config, settings: Any, sigma: float) -> Iterator[tuple[runs.Picture, runs.Kernel, Tensor]]:
    """Every pair of a set: the picture, the kernel, and the blurred image (C, H - h + 1, W - w + 1) with its noise."""
    from denoiser_priors.restoration.degradations import Blur, add_noise

    pictures, kernels = runs.pictures(config, settings), runs.kernels(config, settings)
    for i, j in runs.pairs(pictures, kernels, settings.pairs):
        picture, kernel = pictures[i], kernels[j]
        soft = Blur(tuple(picture.clean.shape), kernel.values).measure(picture.clean[None])[0]
        name = f"{picture.name}/{kernel.name}"
        yield picture, kernel, add_noise(soft, sigma, seed=config.seed, dataset=settings.dataset, image=name)


def classical() -> dict[str, Callable[[Tensor, Any, float], Tensor]]:
    """Classical methods of deblurring; they are told the noise level."""
    from denoiser_priors.restoration import classical_baselines

    return {
        "wiener": classical_baselines.wiener,
        "richardson-lucy": classical_baselines.richardson_lucy,
        "tv": classical_baselines.total_variation_deblur,
    }


def interpolations() -> tuple[str, ...]:
    """Methods of demosaicing that there are packages for, bilinear first."""
    from denoiser_priors.restoration.classical_baselines import DEMOSAICING

    if importlib.util.find_spec("colour_demosaicing") is None:
        logger.warning("Malvar's and Menon's demosaicing are left out: pip install 'denoiser-priors[demosaic]'")
        return DEMOSAICING[:1]
    return DEMOSAICING


def linear(image: Tensor) -> Tensor:
    """An sRGB image in [0, 1] in linear light (IEC 61966-2-1)."""
    import torch

    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def key_of(settings: Any, picture: runs.Picture, kernel: runs.Kernel | None = None) -> str:
    """What the noise that the descent injects is drawn for."""
    return "/".join(part for part in (settings.dataset, picture.name, kernel and kernel.name) if part)


_PLAIN = {"denoiser": "", "recipe": "", "prior_sigma": float("nan"), "variant": "", "precision": ""}
"""Of methods without a prior."""


def _changes(config: Config, part: plan.Part) -> dict[str, Any]:
    """What `compared` changes of the descent."""
    if part.task != "compared":
        return {}
    own = config.mean_shift.compared[part.set]
    return {key: getattr(own, key) for key in ("variant", "step") if getattr(own, key) is not None}


def _of_run(restored: Any) -> dict[str, Any]:
    return {"seconds": restored.seconds, "iterations": len(restored.misfit)}


_TASKS: dict[str, Callable[..., Iterable[Found]]] = {
    "deblurring": deblurring,
    "compared": deblurring,
    "blind": blind.blind,
    "super_resolution": super_resolution,
    "demosaicing": demosaicing,
}

EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {"restorations": restorations}
