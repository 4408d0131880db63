"""Figures that need no network, and two that show one: what is computed for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from denoiser_priors.classical import get
from denoiser_priors.config import Config
from denoiser_priors.documents.history import arrays, mixtures, plan, subjects
from denoiser_priors.errors import ConfigError
from denoiser_priors.noise import noise_field

MIXTURE = {"weights": (0.5, 0.3, 0.2), "means": (-2.0, 0.5, 2.5), "deviations": (0.3, 0.15, 0.6)}
"""One-dimensional prior of figure_tweedie."""

TWEEDIE_SIGMA = (0.25, 0.5, 1.0)


def picture(config: Config, index: int | None = None) -> tuple[str, np.ndarray]:
    """Name and pixels (H, W) in [0, 1] of one of the test photographs, cut to its middle.

    Raises:
        ConfigError: there are not so many.
    """
    from denoiser_priors.data.images import load_images

    settings = config.history.pictures
    index = settings.image if index is None else index
    where = {"split": "test", "channels": 1, "folders": config.datasets}
    images = load_images(settings.dataset, config.paths.data, limit=index + 1, **where)
    if index >= len(images):
        raise ConfigError(f"history.pictures: {settings.dataset} has {len(images)} images, counted from 0, no {index}")
    image = subjects.middle(images[index], settings.side)
    return image.name, image.pixels[..., 0].astype(float) / 255


def noisy(config: Config, name: str, clean: np.ndarray, sigma: float) -> np.ndarray:
    """A photograph (H, W) with Gaussian noise, sigma on the [0, 255] scale, not clipped."""
    dataset = config.history.pictures.dataset
    return clean + noise_field(clean.shape, sigma, seed=config.seed, dataset=dataset, image=name)


def psnr(x: np.ndarray, clean: np.ndarray) -> float:
    """PSNR in dB of an image clipped to [0, 1]."""
    return float(-10 * np.log10(max(np.square(np.clip(x, 0, 1) - clean).mean(), 1e-20)))


def scales(config: Config, out: Path) -> list[Path]:
    """The heat equation at several times (figure_scales): images (K, H, W), times (K,). Returns the inputs."""
    from denoiser_priors.classical.diffusion import heat

    name, clean = picture(config)
    times = sorted(set(config.history.pictures.times))
    arrays.save(out, _about(config, image=name), images=np.stack([heat(clean, time) for time in times]), times=times)
    return []


def diffusion(config: Config, out: Path) -> list[Path]:
    """One noisy image by the heat equation and by Perona and Malik's (figure_diffusion).

    Writes clean, noisy, heat, perona_malik (H, W), parameters as chosen on training images. Returns the inputs.
    """
    sigma = config.history.pictures.sigma
    name, clean = picture(config)
    y = noisy(config, name, clean, sigma)
    found = {method: get(method)(y, sigma) for method in ("heat", "perona-malik")}
    quality = {"noisy": psnr(y, clean)} | {method: psnr(x, clean) for method, x in found.items()}
    chosen = {method: get(method).parameters(sigma) for method in found}
    said = _about(config, image=name, sigma=sigma, psnr=quality, parameters=chosen)
    arrays.save(out, said, clean=clean, noisy=y, heat=found["heat"], perona_malik=found["perona-malik"])
    return []


def regularizers(config: Config, out: Path) -> list[Path]:
    """One noisy image under the six regularizers of the deck (figure_regularizers).

    Writes clean and noisy (H, W) and `restored` (6, H, W): energy (its best weight, sigma^2 over the mean square of a
    noise-free image, estimated from the noisy one), Tikhonov, total variation, wavelets, learned dictionary, deep;
    `about` has names, penalties and PSNR. Returns the inputs.

    Raises:
        ConfigError: there is no learned denoiser.
        CheckpointError: it is not trained yet.
    """
    from denoiser_priors.classical.variational import energy

    sigma = config.history.pictures.sigma
    name, clean = picture(config)
    y = noisy(config, name, clean, sigma)
    variance = (sigma / 255) ** 2
    restored = {"energy": energy(y, variance / max(np.square(y).mean() - variance, 1e-6))}
    restored |= {method: get(method)(y, sigma) for method in ("tikhonov", "tv", "wavelet-soft", "ksvd")}
    deep = plan.deep(config)
    restored["deep"] = learned(config, deep)(y)
    said = _about(config, image=name, sigma=sigma, denoiser=deep, recipe=config.denoiser(deep).recipe)
    said |= {"methods": list(restored), "psnr": {"noisy": psnr(y, clean)}}
    said["psnr"] |= {method: psnr(x, clean) for method, x in restored.items()}
    arrays.save(out, said, clean=clean, noisy=y, restored=np.stack(list(restored.values())))
    return [config.weights_path(deep)]


def thresholding(config: Config, out: Path) -> list[Path]:
    """Marginals of wavelet coefficients and the estimators that go with them (figure_thresholding).

    Writes `edges` and `density` of the finest diagonal band of the training photographs in units of its standard
    deviation, with the densities `gaussian` and `generalized` (exponent fitted by moments, in `about`) at `centres`;
    and over noisy coefficients `y`, for noise of `about["noise"]` standard deviations, the estimates `soft`, `hard`,
    `wiener`, `bayes` (posterior mean under the generalized Gaussian) and `laplace` (under a Laplacian). Returns the
    inputs.
    """
    from denoiser_priors.classical.wavelets import shrunk

    values = mixtures.wavelet_coefficients(_training(config))
    unit = values / values.std()
    exponent = mixtures.fitted_exponent(unit)
    edges = np.linspace(-8, 8, 129)
    density, _ = np.histogram(unit, edges, density=True)
    centres = (edges[1:] + edges[:-1]) / 2
    noise, y = 0.6, np.linspace(-4, 4, 321)
    threshold = np.sqrt(2) * noise**2
    arrays.save(
        out,
        _about(config, exponent=exponent, kurtosis=float((unit**4).mean()), noise=noise, coefficients=len(unit))
        | {"soft_threshold": threshold, "hard_threshold": 2 * noise},
        edges=edges,
        centres=centres,
        density=density,
        gaussian=mixtures.generalized_gaussian(centres, 2.0),
        generalized=mixtures.generalized_gaussian(centres, exponent),
        y=y,
        soft=shrunk(y, threshold, "soft"),
        hard=shrunk(y, 2 * noise, "hard"),
        wiener=y / (1 + noise**2),
        bayes=mixtures.posterior_mean(y, noise, exponent),
        laplace=mixtures.posterior_mean(y, noise, 1.0),
    )
    return []


def poisson_editing(config: Config, out: Path) -> list[Path]:
    """One photograph's middle cloned into another (figure_poisson_editing).

    Writes target, source (H, W), mask (H, W), copy_paste, replace, maximum (H, W). Returns the inputs.
    """
    from denoiser_priors.classical.poisson import clone, copy_paste

    settings = config.history.pictures
    target_name, target = picture(config, settings.target)
    source_name, source = picture(config, settings.source)
    height, width = (min(a, b) for a, b in zip(target.shape, source.shape, strict=True))
    target, source = target[:height, :width], source[:height, :width]
    down, along = np.mgrid[:height, :width]
    mask = np.hypot((down - height / 2) / (0.36 * height), (along - width / 2) / (0.3 * width)) < 1
    said = _about(config, target=target_name, source=source_name)
    arrays.save(
        out,
        said,
        target=target,
        source=source,
        mask=mask,
        copy_paste=copy_paste(target, source, mask),
        replace=clone(target, source, mask, gradients="replace"),
        maximum=clone(target, source, mask, gradients="maximum"),
    )
    return []


def decomposition(config: Config, out: Path) -> list[Path]:
    """x = f^n(x) + r_{n-1} + ... + r_0 for a classical and a learned denoiser (figure_decomposition).

    Writes `image` (H, W) and for each kind, classical and learned, `smooth_<kind>` (H, W) = f^n(x) and
    `residuals_<kind>` (n, H, W), r_k = f^k(x) - f^(k+1)(x), float32; `about["error"]`: the largest difference between
    the image and their sum in float64. Returns the inputs.

    Raises:
        ConfigError: there is no learned denoiser.
        CheckpointError: it is not trained yet.
    """
    settings = config.history.pictures
    name, clean = picture(config)
    deep, sigma = plan.deep(config), settings.decomposition_sigma
    classical = get(settings.decomposition_method)
    kinds: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "classical": lambda x: classical(x, sigma),
        "learned": learned(config, deep),
    }
    stored, error = {}, {}
    for kind, denoise in kinds.items():
        smooth, residuals = decomposed(denoise, clean, settings.decomposition_steps)
        stored |= {f"smooth_{kind}": smooth, f"residuals_{kind}": residuals}
        error[kind] = float(np.abs(smooth + residuals.sum(0) - clean).max())
    said = _about(config, image=name, denoiser=deep, recipe=config.denoiser(deep).recipe, error=error, sigma=sigma)
    arrays.save(out, said | {"classical": settings.decomposition_method}, picture=clean, **stored)
    return [config.weights_path(deep)]


def decomposed(
    denoise: Callable[[np.ndarray], np.ndarray], image: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """f^n(x) and the residuals (n, H, W), which add up to x.

    Source: Milanfar & Delbracio 2024, Eqs. 9-13.
    """
    iterates = [np.asarray(image, float)]
    for _ in range(steps):
        iterates.append(np.asarray(denoise(iterates[-1]), float))
    return iterates[-1], -np.diff(np.stack(iterates), axis=0)


def tweedie(config: Config, out: Path) -> list[Path]:
    """The posterior mean against y + sigma^2 grad log p(y) where p is known (figure_tweedie).

    In one dimension, for a mixture of Gaussians: over `y` (n,) and `sigma` (T,), `density`, `score`, `tweedie` =
    y + sigma^2 score, `mean` (T, n), the posterior mean by quadrature, and `sampled` (T, bins), means of clean values
    drawn from the prior by the noisy value, at `bins`. In the dimension of a photograph's patches, for the mixture of
    points that the training patches are: `pixels_mean` and `pixels_tweedie` (m, P, P), the score by automatic
    differentiation of log p. Returns the inputs.
    """
    grid = np.linspace(-4.5, 5, 381)
    found = [mixtures.gaussian_mixture(grid, sigma, **MIXTURE) for sigma in TWEEDIE_SIGMA]
    quadrature = np.stack([mixtures.mixture_mean(grid, sigma, **MIXTURE) for sigma in TWEEDIE_SIGMA])
    bins, sampled = mixtures.sampled_means(TWEEDIE_SIGMA, **MIXTURE, seed=config.seed)
    by_points = mixtures.points(_patches(config), 0.2, count=6, seed=config.seed)
    arrays.save(
        out,
        _about(config, mixture={key: list(value) for key, value in MIXTURE.items()}, points=by_points["count"])
        | {"deviation": by_points["deviation"], "points_sigma": 0.2},
        y=grid,
        sigma=TWEEDIE_SIGMA,
        density=np.stack([each["density"] for each in found]),
        score=np.stack([each["score"] for each in found]),
        tweedie=np.stack([each["tweedie"] for each in found]),
        mean=quadrature,
        bins=bins,
        sampled=sampled,
        pixels_noisy=by_points["noisy"],
        pixels_mean=by_points["mean"],
        pixels_tweedie=by_points["tweedie"],
    )
    return []


def learned(config: Config, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """A denoiser of the configuration as a function of one image (H, W)."""
    from denoiser_priors.documents.history.curves import denoised
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.networks.zoo import load_denoiser

    network = load_denoiser(name, config, device=choose_device())
    return lambda image: denoised(network, image[None, None])[0, 0].astype(float)


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    function.__name__: function
    for function in (scales, diffusion, regularizers, thresholding, poisson_editing, decomposition, tweedie)
}


def _about(config: Config, **more: Any) -> dict[str, Any]:
    return {"dataset": config.history.pictures.dataset, "preset": config.preset, **more}


def _training(config: Config) -> list[np.ndarray]:
    from denoiser_priors.data.images import load_images

    where = {"split": "train", "channels": 1, "folders": config.datasets}
    images = load_images(config.history.pictures.dataset, config.paths.data, limit=40, **where)
    return [image.pixels[..., 0].astype(float) / 255 for image in images]


def _patches(config: Config) -> np.ndarray:
    """Patches (N, 16, 16) on a grid of the training photographs, at most 4,096."""
    side, found = 16, []
    for image in _training(config):
        rows, columns = (size // side for size in image.shape)
        cut = image[: rows * side, : columns * side].reshape(rows, side, columns, side).swapaxes(1, 2)
        found.append(cut.reshape(-1, side, side))
    every = np.concatenate(found)
    return every[:: max(1, len(every) // 4096)][:4096]
