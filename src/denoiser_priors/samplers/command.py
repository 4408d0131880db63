"""Samples from the prior of a denoiser as pictures, arrays and tables in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from denoiser_priors.errors import ConfigError, SamplingError
from denoiser_priors.evaluation.imagefiles import write_image
from denoiser_priors.files import write_arrays
from denoiser_priors.samplers.coarse_to_fine import Samples, sample_prior
from denoiser_priors.samplers.settings import predicted_sigma
from denoiser_priors.samplers.sheets import Stations, as_array, sheet
from denoiser_priors.tables import write_csv

TRACE_COLUMNS = ("denoiser", "beta", "sample", "iteration", "sigma", "predicted_sigma", "removed", "injected")
"""One row per sample and iteration; all noise on the [0, 1] scale."""


def sample(
    denoiser: Callable[[Tensor], Tensor],
    out: Path,
    *,
    name: str,
    size: tuple[int, int] = (64, 64),
    n: int = 16,
    beta: float = 0.1,
    h_0: float = 0.01,
    intermediates: int = 0,
    progress: bool = False,
    **settings: Any,
) -> list[Path]:
    """Draw samples and write them to a folder.

    Args:
        denoiser: as for `sample_prior`; its attribute `channels` says if samples are gray or in colour (else gray).
        out: folder that is written.
        name: what the files say of the denoiser.
        size: height and width in pixels.
        n: number of samples.
        beta, h_0, progress: as for `sample_prior`.
        intermediates: also keep so many images of each sample's way, at noise levels that are equally spaced on a
            logarithmic scale.
        settings: further settings of `sample_prior`: sigma_0, sigma_L, seed, max_iterations, final, precision.

    Returns:
        The files: sample-000.png and so on; samples.png, all of them on one sheet; samples.npz, float32 on the [0, 1]
        scale, not clipped: images and before_final (n, C, H, W), the attributes of `Samples`, `about` (JSON), and with
        intermediates these (K, n, C, H, W) and intermediate_sigma (K,); trace.csv (`TRACE_COLUMNS`); with
        intermediates, sequences.png, a row per sample.

    Raises:
        SamplingError: as `sample_prior`. After divergence, the last finite images are in diverged.png and diverged.npz.
        ConfigError: a number of samples, pixels or intermediates that is out of range.
    """
    for option, value, least in (("n", n, 1), ("size", min(size), 1), ("intermediates", intermediates, 0)):
        if value < least:
            raise ConfigError(f"{option}: expected at least {least}, not {value}.")
    shape = (n, getattr(denoiser, "channels", None) or 1, *size)
    about = {"denoiser": name, "beta": beta, "h_0": h_0, **settings}
    levels = np.geomspace(settings.get("sigma_0", 1.0), settings.get("sigma_L", 0.01), intermediates + 2)[1:-1]
    stations = Stations(levels) if intermediates else None
    try:
        samples = sample_prior(denoiser, shape, beta=beta, h_0=h_0, callback=stations, progress=progress, **settings)
    except SamplingError as error:
        raise _kept(error, out, about) from error
    written = [out / f"sample-{k:03d}.png" for k in range(n)]
    for path, image in zip(written, samples.images, strict=True):
        write_image(path, as_array(image))
    pages = {"samples.png": sheet(samples.images)}
    more = {}
    if stations is not None:
        more = {"intermediates": torch.stack(stations.images), "intermediate_sigma": torch.from_numpy(levels)}
        ways = torch.stack([*stations.images, samples.images.cpu()], dim=1)
        pages["sequences.png"] = sheet(ways.flatten(0, 1), columns=intermediates + 1)
    for file, page in pages.items():
        written.append(out / file)
        write_image(written[-1], page)
    written += [out / "samples.npz", out / "trace.csv"]
    _write_arrays(written[-2], samples, about, **more)
    write_csv(trace_table(samples, name=name, beta=beta, h_0=h_0), written[-1])
    return written


def trace_table(samples: Samples, *, name: str, beta: float, h_0: float) -> pd.DataFrame:
    """The traces of samples of one beta and first step, with the noise levels that the design predicts."""
    frames = []
    for k, count in enumerate(samples.iterations.tolist()):
        sigma = samples.sigma_trace[:count, k].numpy()
        values = {
            "sample": k,
            "iteration": np.arange(1, count + 1),
            "sigma": sigma,
            "predicted_sigma": predicted_sigma(sigma[0], beta, h_0, count) if count else sigma,
            "removed": samples.removed[:count, k].numpy(),
            "injected": samples.injected[:count, k].numpy(),
        }
        frames.append(pd.DataFrame({"denoiser": name, "beta": beta, **values}))
    return pd.concat(frames, ignore_index=True)[list(TRACE_COLUMNS)]


def _kept(error: SamplingError, out: Path, about: dict[str, Any]) -> SamplingError:
    """The error, after what there was is written, if anything was."""
    if error.partial is None:
        return error
    write_image(out / "diverged.png", sheet(error.partial.images))
    _write_arrays(out / "diverged.npz", error.partial, about)
    return SamplingError(f"{error} The last finite images are in {out / 'diverged.npz'}.", error.partial)


def _write_arrays(path: Path, samples: Samples, about: dict[str, Any], **more: Tensor) -> None:
    names = ("images", "before_final", "iterations", "sigma_trace", "converged", "removed", "injected")
    arrays = {key: getattr(samples, key) for key in names} | more
    said = {**about, "seconds": round(samples.seconds, 2)}
    write_arrays(path, said, **arrays)
