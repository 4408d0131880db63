"""The way to a sample, inpainting, and quality against the number of network calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.stochastic_denoising import judge, plan, runs
from denoiser_priors.documents.stochastic_denoising.columns import SPEED
from denoiser_priors.errors import ConfigError
from denoiser_priors.files import write_arrays
from denoiser_priors.tables import write_csv

if TYPE_CHECKING:
    from torch import Tensor

    from denoiser_priors.samplers.noise_levels import Schedule


def intermediates(config: Config, out: Path) -> list[Path]:
    """One image at `shown` levels on its way to a sample (figure 7), evenly spread over the levels, with the last.

    Writes images (K, C, H, W) and sigma (K,), their level on the [0, 1] scale, clean and noisy (C, H, W), and `about`.
    Returns the inputs.

    Raises:
        ConfigError: the set has fewer images than the chosen index, or there is no denoiser for it.
    """
    from denoiser_priors.samplers.langevin import posterior_denoise

    settings = config.stochastic_denoising.intermediates
    found = runs.pictures(config, settings.set, settings.image + 1)
    if settings.image >= len(found.names):
        raise ConfigError(
            f"stochastic_denoising.intermediates.image: {settings.image}, but the set {settings.set} has "
            f"{len(found.names)} images, counted from 0"
        )
    found = runs.Pictures(found.dataset, found.names[-1:], found.clean[-1:])
    score = runs.load_score(config, settings.set)
    used, sigma_0 = runs.schedule(plan.image_set(config, settings.set).levels, settings.sigma)
    noisy = found.noisy(sigma_0, config.seed)
    visited = len(used.split(sigma_0)[2])
    chosen = set(np.linspace(1, visited, min(settings.shown, visited)).round().astype(int).tolist())
    kept: dict[int, tuple[Tensor, float]] = {}

    def keep(level: int, images: Tensor, sigma: float) -> None:
        if level in chosen:
            kept[level] = images[0, 0].cpu().clone(), sigma

    options = runs.options(config, score, found)
    drawn = posterior_denoise(score.network, noisy, sigma_0, schedule=used, callback=keep, **options)
    said = runs.about(config, settings.set, score, found, used, sigma_0, drawn)
    images = np.stack([image.float().numpy() for image, _ in kept.values()])
    sigma = np.array([level for _, level in kept.values()], np.float32)
    write_arrays(out, said, images=images, sigma=sigma, clean=found.clean[0], noisy=noisy[0])
    return [config.weights_path(score.name)]


def inpainting(config: Config, out: Path, *, name: str) -> list[Path]:
    """Samples of noisy images of which a part is missing: under a text (figure 8), or rows (figure 9).

    Writes clean and measured (n, C, H, W), the noisy images with 0 where nothing is measured, mask (H, W), True where
    measured, samples (n, K, C, H, W), and `about`. Returns the inputs.

    Raises:
        ConfigError: no such set, no denoiser for it, or a mask that does not fit.
    """
    from denoiser_priors.samplers import masks
    from denoiser_priors.samplers.langevin import posterior_inpaint

    settings = getattr(config.stochastic_denoising, name)
    found = runs.pictures(config, settings.set, settings.images)
    size = tuple(found.clean.shape[-2:])
    if name == "inpainting_text":
        mask = masks.text_overlay(size, settings.text, height=settings.height)
        missing: dict[str, Any] = {"text": settings.text}
    else:
        count = min(settings.rows, size[0] // 3)
        mask = masks.missing_rows(size, count, layout=settings.layout, seed=config.seed)
        missing = {"rows": count, "layout": settings.layout}
    score = runs.load_score(config, settings.set)
    used, sigma_0 = runs.schedule(settings.levels, settings.sigma, inpainting=True)
    measured = found.noisy(sigma_0, config.seed) * mask
    options = runs.options(config, score, found)
    drawn = posterior_inpaint(
        score.network, measured, mask, sigma_0, schedule=used, samples=settings.samples, **options
    )
    said = {**runs.about(config, settings.set, score, found, used, sigma_0, drawn), "missing": missing}
    write_arrays(out, said, clean=found.clean, mask=mask, measured=measured, samples=drawn.images.transpose(0, 1))
    return [config.weights_path(score.name)]


def speed(config: Config, out: Path) -> list[Path]:
    """Quality of samples against the number of network calls, for schedules of more and fewer levels.

    Writes a row per noise level and schedule, the columns SPEED and, of the same images, lpips_mmse and rho_max_noise:
    those of the MMSE denoiser and of the noise itself. Returns the inputs.

    Raises:
        ConfigError: no such set, no denoiser for it, or a noise level that is not on the grid.
    """
    from denoiser_priors.metrics.residual import residual_tests
    from denoiser_priors.samplers.langevin import posterior_denoise

    settings = config.stochastic_denoising.speed
    found = runs.pictures(config, settings.set, settings.images)
    score = runs.load_score(config, settings.set)
    measure = judge.Judge(config, score.device)
    options = runs.options(config, score, found)
    rows = []
    for sigma in settings.sigma:
        for label, used, sigma_0 in schedules(config, sigma):
            noisy = found.noisy(sigma_0, config.seed)
            given = found.clean, noisy, sigma_0, found.names
            mmse = measure(score.once(noisy, sigma_0, options["chunk"])[None], *given)
            drawn = posterior_denoise(score.network, noisy, sigma_0, schedule=used, samples=settings.samples, **options)
            table = measure(drawn.images, *given)
            row = {
                **runs.about(config, settings.set, score, found, used, sigma_0, drawn),
                "schedule": label,
                "levels": len(drawn.levels) + 1,
                "images": len(found.names),
                "mse_ratio": table["mse"].mean() / mmse["mse"].mean(),
                "lpips": table["lpips"].mean(),
                "rho_max": table["rho_max"].mean(),
                "normality_share": table["passes_normal"].mean(),
                "std_ratio": table["std_ratio"].mean(),
                "lpips_mmse": mmse["lpips"].mean(),
                "rho_max_noise": residual_tests(noisy, found.clean, sigma_0).rho_max.mean(),
                "sigma_stated": sigma,
                "samples": settings.samples,
            }
            rows.append(row)
    columns = [*SPEED, "lpips_mmse", "rho_max_noise", "sigma_stated", "samples", "precision", "processor"]
    write_csv(pd.DataFrame(rows)[columns], out)
    backbone = [Path(config.paths.data) / "lpips-alexnet" / "manifest.json"] if measure.lpips else []
    return [config.weights_path(score.name), *backbone]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    "intermediates": intermediates,
    "inpainting_text": partial(inpainting, name="inpainting_text"),
    "inpainting_rows": partial(inpainting, name="inpainting_rows"),
    "speed": speed,
}


def schedules(config: Config, sigma: float) -> Iterator[tuple[str, Schedule, float]]:
    """Name, schedule and exact noise level of everything that figure_speed compares at a stated noise level."""
    settings = config.stochastic_denoising.speed
    levels = plan.image_set(config, settings.set).levels
    sigma_0 = sigma
    if settings.grid is not None:
        grid, sigma_0 = runs.schedule(levels.model_copy(update={"name": settings.grid}), sigma)
        for step in settings.every:
            yield settings.grid, thinned(grid, sigma_0, step), sigma_0
    for name in ("reverse", "snr"):
        for count in getattr(settings, name):
            free = levels.model_copy(update={"name": name, "count": count})
            yield name, runs.schedule(free, sigma_0)[0], sigma_0


def thinned(schedule: Schedule, sigma_0: float, step: int) -> Schedule:
    """Every `step`-th level of a schedule from sigma_0 on, and the last.

    Steps are larger in the ratio by which the first one may be, so that it contracts as before and the iteration goes
    about as far in fewer steps.
    """
    if step == 1:
        return schedule
    levels = [sigma_0, *schedule.split(sigma_0)[2].tolist()]
    kept = levels[::step]
    if kept[-1] != levels[-1]:
        kept.append(levels[-1])
    room = (sigma_0**2 / kept[1] ** 2 - 1) / (sigma_0**2 / levels[1] ** 2 - 1)
    # With steps of the same share of the first level's variance that the measurement leaves; never beyond stability.
    epsilon = min(schedule.epsilon * room, kept[-1] ** 2)
    return dataclasses.replace(schedule, sigmas=tuple(kept), epsilon=epsilon)
