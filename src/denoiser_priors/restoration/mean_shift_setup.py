"""What a restoration with the mean-shift prior is told, checked, and made into a descent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.networks.precision import PRECISIONS
from denoiser_priors.restoration.mean_shift_descent import Descent, Prior

VARIANTS = ("released", "text")

ITERATIONS, STEP, MOMENTUM = 300, 0.1, 0.9
"""Of known kernels and all other tasks (Bigdeli et al. 2017, Sec. 5)."""


def make_descent(
    denoiser: Any, batch: int, *, config: Any, device: Any, prior_sigma: float | None, part: int = 0, **settings
) -> Descent:
    """The descent with these settings, each checked; names of denoisers are resolved."""
    names = ("variant", "iterations", "momentum", "precision", "chunk")
    check_settings(**{name: settings[name] for name in names})
    keys = check_keys(settings.pop("keys"), batch)
    seed = settings.pop("seed")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed: expected a whole number, not {seed!r}.")
    settings["step"] = check_positive("step", settings["step"])
    if not callable(denoiser):
        from denoiser_priors.evaluation.api import _config, resolve

        denoiser, _ = resolve(denoiser, _config(config), device)
    prior = Prior(
        denoiser=denoiser,
        sigma=smoothing(denoiser, prior_sigma),
        seed=seed,
        part=part,
        keys=keys,
        precision=settings.pop("precision"),
        chunk=settings.pop("chunk"),
    )
    return Descent(prior=prior, **settings)


def check_sigma(sigma: Any, batch: int) -> float | Tensor | None:
    """Noise levels, [0, 255] scale: None, one number, or one for each image as a tensor (B,).

    Raises:
        ConfigError: another number of them, or one that is not above zero.
    """
    if sigma is None:
        return None
    if not isinstance(sigma, Iterable):
        return check_positive("sigma", sigma, "on the [0, 255] scale")
    levels = [check_positive("sigma", level, "on the [0, 255] scale") for level in sigma]
    if len(levels) != batch:
        raise ConfigError(f"sigma: expected one number, or one for each of {batch} images, not {len(levels)}.")
    return torch.tensor(levels)


def check_initial(initial: Tensor | None, default: Tensor) -> Tensor:
    """Where to start: the given images, or the default ones.

    Raises:
        DataError: images of another shape than these, or such as `check_images` refuses.
    """
    if initial is None:
        return default
    check_images(initial, "initial")
    if initial.shape != default.shape:
        raise DataError(f"initial: has shape {tuple(initial.shape)}, expected {tuple(default.shape)}.")
    return initial.to(default)


def smoothing(denoiser: Callable, given: float | None) -> float:
    """sigma_1, [0, 255] scale: the given one, else the level a denoiser was trained on alone, else 11 (Sec. 5)."""
    if given is None:
        low, high = getattr(denoiser, "metadata", {}).get("noise_range", (0, 0))
        given = low if low == high and low > 0 else 11.0
    return check_positive("prior_sigma", given, "on the [0, 255] scale")


def check_positive(name: str, value, where: str = "") -> float:
    """The value as a float, if it is a finite number above zero.

    Raises:
        ConfigError: it is not.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number < float("inf") or isinstance(value, bool):
        raise ConfigError(f"{name}: expected a number above 0{' ' + where if where else ''}, not {value!r}.")
    return number


def check_settings(*, variant: str, iterations: int, momentum: float, precision: str, chunk: int | None) -> None:
    """Raises ConfigError for the first setting that is out of range."""
    for name, value, known in (("variant", variant, VARIANTS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise ConfigError(f"{name}: expected one of {', '.join(known)}, not {value!r}.")
    for name, value in (("iterations", iterations), ("chunk", 1 if chunk is None else chunk)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ConfigError(f"{name}: expected a whole number >= 1, not {value!r}.")
    check_momentum("momentum", momentum)


def check_momentum(name: str, value: float) -> None:
    """Raises ConfigError for anything but a number from 0 and below 1."""
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ConfigError(f"{name}: expected a number from 0 and below 1, not {value!r}.")


def check_images(images, name: str, channels: tuple[int, ...] = (1, 3)) -> Tensor:
    """Images (B, C, H, W), floating point, finite, on the [0, 1] scale.

    Raises:
        DataError: they are not.
    """
    good = isinstance(images, Tensor) and images.ndim == 4 and images.is_floating_point() and images.numel() > 0
    if not good or images.shape[1] not in channels:
        got = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        wanted = " or ".join(map(str, channels))
        raise DataError(f"{name}: expected a floating-point tensor (B, C, H, W) with C = {wanted}, not {got}.")
    if not images.isfinite().all():
        raise DataError(f"{name}: has values that are not finite.")
    largest = images.abs().max().item()
    if largest > 25:
        raise DataError(f"{name}: images are on the [0, 1] scale; these reach {largest:g}. Divide them by 255.")
    return images


def check_keys(keys: Sequence | None, batch: int) -> list[str | int | float]:
    """One key per image, by default 0, 1, ...

    Raises:
        ConfigError: another number of them, or other types.
    """
    keys = list(range(batch)) if keys is None else list(keys)
    if len(keys) != batch or not all(isinstance(key, (str, int, float)) for key in keys):
        raise ConfigError(f"keys: expected {batch} strings or numbers, one per image, not {keys!r}.")
    return keys
