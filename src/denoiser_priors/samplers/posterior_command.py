"""Samples from the posterior of a user's noisy or incomplete images, as pictures, arrays and tables in a folder."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from denoiser_priors.classical import baselines
from denoiser_priors.errors import ConfigError, DataError, ResultError
from denoiser_priors.evaluation.apply import apply, evaluating
from denoiser_priors.evaluation.imagefiles import write_image
from denoiser_priors.metrics.residual_table import TEST_COLUMNS
from denoiser_priors.samplers import noise_levels
from denoiser_priors.samplers.descent import PosteriorSamples, takes_sigma
from denoiser_priors.samplers.iteration import PIXELS_PER_CALL
from denoiser_priors.samplers.langevin import posterior_denoise, posterior_inpaint
from denoiser_priors.samplers.noisy_files import Given
from denoiser_priors.samplers.posterior_output import Judge, write
from denoiser_priors.tables import write_csv

logger = logging.getLogger(__name__)

RESIDUAL_COLUMNS = ("denoiser", "image", "method", "sample", "sigma", *TEST_COLUMNS)
"""A row per image and method, see `metrics.residual_table`: mmse, classical, sample (each of them, from 1), mean."""

METRICS_COLUMNS = (
    "denoiser",
    "image",
    "height",
    "width",
    "sigma_0",
    "schedule",
    "network_calls",
    "method",
    "sample",
    "protocol",
    "psnr",
    "ssim",
    "mse",
    "mse_ratio",
    "mse_missing",
    "std_ratio",
    "seconds",
)
"""A row per image and method: noisy, mmse, classical, sample (each of them, from 1), mean (of several). sigma_0 on the
[0, 1] scale; PSNR in dB, it and SSIM by the protocol; mse of images that are not clipped, mse_ratio over that of the
MMSE denoiser (of denoising), mse_missing of the missing pixels (of inpainting); std_ratio, standard deviation of what
was removed from the measured pixels over sigma_0; seconds of a sample, of a mean those of all."""


@dataclass(kw_only=True)
class Plan:
    """How to sample. `schedule` to `precision` as for `posterior_denoise`.

    Attributes:
        levels: of the schedule snr, how many below sigma_0.
        highest: of inpainting, the level to start from; see `posterior_inpaint`.
        intermediates: how many iterates to keep of each sample's way, evenly spread over the levels.
        protocol: how images are compared, see `evaluation.protocols`.
    """

    schedule: str = "snr"
    levels: int | None = None
    steps_per_level: int | None = None
    epsilon: float | None = None
    highest: float | None = None
    samples: int = 1
    seed: int = 0
    final: str = "none"
    precision: str = "fp32"
    intermediates: int = 0
    protocol: str = "bias_free"
    progress: bool = False

    def found(self, sigma_0: float, *, inpainting: bool) -> tuple[noise_levels.Schedule, list[float]]:
        """The schedule, and the levels that are visited.

        Raises:
            ConfigError: as `posterior_denoise` on schedules; `levels` of another schedule than snr.
        """
        schedule: Any = self.schedule
        if self.highest is not None and not self.highest > sigma_0:
            raise ConfigError(f"highest: inpainting starts above sigma0 = {sigma_0:g}, not at {self.highest:g}.")
        highest = (1.0 if self.highest is None else self.highest) if inpainting else None
        if self.levels is not None:
            if schedule != "snr":
                raise ConfigError(f"levels: is an option of the schedule snr; {schedule} has its own.")
            schedule = noise_levels.snr(sigma_0, count=self.levels, highest=highest)
        schedule = noise_levels.resolve(
            schedule, sigma_0, steps_per_level=self.steps_per_level, epsilon=self.epsilon, highest=highest
        )
        if inpainting and self.highest is not None:
            schedule = schedule.up_to(self.highest)
        if not sigma_0:
            return schedule, list(schedule.sigmas)
        above, _, below = schedule.split(sigma_0)
        return schedule, [*(above if inpainting else ()), *below]

    def about(self, schedule: noise_levels.Schedule) -> dict[str, Any]:
        """What files say of the plan and the schedule that came of it."""
        keys = ("highest", "samples", "seed", "final", "precision")
        steps = {"steps_per_level": schedule.steps_per_level, "epsilon": schedule.epsilon}
        return {"schedule": schedule.name, **steps, **{key: getattr(self, key) for key in keys}}

    def common(self, shape: tuple[int, ...], device: torch.device) -> dict[str, Any]:
        """Keyword arguments of both samplers."""
        pixels = PIXELS_PER_CALL.get(device.type, 2**20) // (shape[-2] * shape[-1])
        options = {key: getattr(self, key) for key in ("samples", "seed", "final", "precision", "progress")}
        return {**options, "chunk": max(1, pixels)}


@dataclass
class Way:
    """A callback of the samplers that keeps some iterates, evenly spread over the levels, from the first on.

    Raises:
        ConfigError: fewer than 0, or as many as there are levels.
    """

    count: int
    visited: int
    images: list[Tensor] = field(default_factory=list)
    sigma: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 <= self.count < max(1, self.visited):
            raise ConfigError(f"intermediates: expected 0 to {self.visited - 1} (levels less one), not {self.count}.")
        self._chosen = set(np.linspace(0, self.visited - 1, self.count + 1).round().astype(int)[:-1].tolist())
        self._seen = 0

    def __call__(self, level: int, images: Tensor, sigma: float) -> None:
        if self._seen in self._chosen:
            self.images.append(images.float().cpu().clone())
            self.sigma.append(sigma)
        self._seen += 1


def denoise(
    denoiser: Callable,
    given: Given,
    sigma_0: float,
    out: Path,
    plan: Plan,
    *,
    name: str,
    classical: str | None = None,
) -> list[Path]:
    """Sample the posterior of noisy images and write the samples, and what they are compared with, to a folder.

    Args:
        denoiser: as for `posterior_denoise`.
        given: the images, see `noisy_files.load`.
        sigma_0: standard deviation of their noise, [0, 1] scale.
        out: folder that is written.
        plan: how to sample.
        name: what the files say of the denoiser.
        classical: "bm3d" or "wavelet", a classical method to compare with.

    Returns:
        The files: for each image IMAGE-noisy.png, -mmse.png (the denoiser once), -classical.png, -sample.png (of
        several -sample-1.png and so on, -mean.png, -std.png: standard deviation over the samples, root mean square of
        the channels, white the largest), -clean.png where it is known, -sheet.png (clean, noisy, mmse, classical,
        samples, mean, std, as far as there are), with intermediates -way.png, a row per sample, and -noisy.npy where
        noise was added, (C, H, W). samples.npz: float32, not clipped: noisy, mmse, clean, classical, mean, std
        (B, C, H, W), samples (B, K, C, H, W), before_final where it differs, intermediates (J, B, K, C, H, W) and
        intermediate_sigma (J,), levels (n,), about (JSON). residuals.csv (`RESIDUAL_COLUMNS`); metrics.csv
        (`METRICS_COLUMNS`) where the clean images are known.

    Raises:
        ConfigError, DataError, ResultError: as `posterior_denoise`; also a classical method or protocol that is
            unknown, and images too small for it.
        MissingPackage: of BM3D, where it is not installed.
    """
    if classical not in (None, *baselines.METHODS):
        raise ConfigError(f"classical: expected one of {', '.join(baselines.METHODS)}, not {classical!r}.")
    judge = Judge(given, sigma_0, plan.protocol)
    schedule, levels = plan.found(sigma_0, inpainting=False)
    way = Way(plan.intermediates, len(levels))
    _warn_of_range(denoiser, name, sigma_0)
    options = plan.common(tuple(given.noisy.shape), _device(denoiser))
    estimates = {}
    if classical is not None:
        method = {"bm3d": baselines.bm3d, "wavelet": baselines.wavelet}[classical]
        estimates["classical"] = torch.from_numpy(np.stack([method(x, sigma_0) for x in given.noisy.numpy()]))
    # Before the sampler, which takes long: an image or denoiser that cannot be used is found here.
    estimates["mmse"] = _once(denoiser, given.noisy, sigma_0, options["chunk"])
    tables = [judge.residuals(estimates[key][None], key) for key in sorted(estimates, reverse=True)]
    drawn = posterior_denoise(denoiser, given.noisy, sigma_0, schedule=schedule, callback=way, **options)
    tables.append(judge.residuals(drawn.images, "sample"))
    if plan.samples > 1:
        tables.append(judge.residuals(drawn.mean[None], "mean"))
    single = {"noisy": given.noisy, "mmse": estimates["mmse"], "classical": estimates.get("classical")}
    about = {"denoiser": name, "sigma_0": sigma_0, "classical": classical, **plan.about(schedule)}
    written = write(out, given, drawn, single=single, way=(way.images, way.sigma), about=about)
    table = pd.concat(tables, ignore_index=True).assign(denoiser=name)
    written.append(out / "residuals.csv")
    write_csv(table[list(RESIDUAL_COLUMNS)], written[-1])
    if given.clean is not None:
        written.append(out / "metrics.csv")
        _write_metrics(written[-1], judge.rows(single, drawn), name, schedule, drawn)
    return written


def inpaint(
    denoiser: Callable, given: Given, mask: Tensor, sigma_0: float, out: Path, plan: Plan, *, name: str
) -> list[Path]:
    """Sample whole, clean images given noisy ones with missing pixels, and write them to a folder.

    Args:
        mask: bool (H, W), True where measured.
        sigma_0: 0 for measurements without noise.
        Others: as for `denoise`.

    Returns:
        The files, as of `denoise` but -measured.png, black where nothing is measured, instead of -noisy.png and
        -mmse.png; mask.png; mask (H, W) and measured (B, C, H, W) in samples.npz; no residuals.csv, as the tests take
        whole images: std_ratio in metrics.csv, which is always written, is of the measured pixels.

    Raises:
        ConfigError, DataError, ResultError: as `posterior_inpaint`.
    """
    judge = Judge(given, sigma_0, plan.protocol, mask)
    schedule, levels = plan.found(sigma_0, inpainting=True)
    way = Way(plan.intermediates, len(levels))
    _warn_of_range(denoiser, name, max(levels, default=sigma_0), "; see --highest")
    measured = torch.where(mask, given.noisy, 0)
    options = plan.common(tuple(measured.shape), _device(denoiser))
    drawn = posterior_inpaint(denoiser, measured, mask, sigma_0, schedule=schedule, callback=way, **options)
    about = {"denoiser": name, "sigma_0": sigma_0, "measured": float(mask.double().mean())}
    about |= plan.about(schedule)
    single = {"measured": measured}
    written = write(out, given, drawn, single=single, way=(way.images, way.sigma), about=about, mask=mask)
    written += [out / "mask.png", out / "metrics.csv"]
    write_image(written[-2], mask.float().numpy()[..., None])
    _write_metrics(written[-1], judge.rows({"noisy": measured}, drawn), name, schedule, drawn)
    return written


def _write_metrics(
    path: Path, rows: Iterable[dict[str, Any]], name: str, schedule: noise_levels.Schedule, drawn: PosteriorSamples
) -> None:
    shared = {"denoiser": name, "schedule": schedule.name, "network_calls": drawn.network_calls}
    write_csv(pd.DataFrame([{**row, **shared} for row in rows], columns=METRICS_COLUMNS), path)


def _once(denoiser: Callable, noisy: Tensor, sigma_0: float, chunk: int) -> Tensor:
    """The denoiser's own estimates (B, C, H, W)."""
    call = functools.partial(denoiser, sigma=sigma_0) if takes_sigma(denoiser) else denoiser
    channels = getattr(denoiser, "channels", None)
    if channels not in (None, noisy.shape[1]):
        raise DataError(f"the denoiser is for images of {channels} channels; these have {noisy.shape[1]}.")
    with evaluating(denoiser) as device:
        found = torch.cat([apply(call, part.to(device)).cpu() for part in noisy.split(chunk)]).clone()
    if not found.isfinite().all():
        raise ResultError("the denoiser gives values that are not finite; check its weights.")
    return found


def _device(denoiser: Callable) -> torch.device:
    tensors = denoiser.parameters() if isinstance(denoiser, nn.Module) else ()
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def _warn_of_range(denoiser: Callable, name: str, strongest: float, advice: str = "") -> None:
    known = getattr(denoiser, "metadata", {}).get("noise_range")
    if known and 255 * strongest > 1.001 * known[1]:
        logger.warning(
            "warning: the denoiser %s is made for noise up to %.3g but meets %.3g here: samples may be poor%s",
            name,
            known[1] / 255,
            strongest,
            advice,
        )
