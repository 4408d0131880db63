"""The classical denoisers by name, with parameters that follow the noise level."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.files import packaged_yaml

_ROOM = "denoiser_priors.classical"
_PARAMETERS = Path(__file__).with_name("parameters.yaml")


@dataclass(frozen=True)
class Method:
    """A classical method: what it is called, where it is, and what it needs beyond the suite's dependencies.

    Attributes:
        title: for tables and figures.
        year: of the paper cited where it is defined.
        function: "module:function" in this room; from an image (H, W) in float64 on the [0, 1] scale, and its
            parameters, to one of the same shape. One with a parameter `sigma` gets the noise level on the [0, 1] scale.
        extra: the optional package it needs, or None.
    """

    title: str
    year: int
    function: str
    extra: str | None = None

    @property
    def available(self) -> bool:
        """The package it needs, if any, is installed."""
        return self.extra is None or importlib.util.find_spec(self.extra) is not None

    def load(self) -> Callable[..., np.ndarray]:
        """The function."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(f"{_ROOM}.{module}"), name)


METHODS: dict[str, Method] = {
    "heat": Method("heat equation", 1960, "diffusion:heat"),
    "wiener": Method("Wiener filter (Fourier)", 1949, "wiener:fourier"),
    "wiener-local": Method("Wiener filter (local)", 1980, "wiener:local"),
    "tikhonov": Method("Tikhonov", 1977, "variational:tikhonov"),
    "perona-malik": Method("Perona-Malik", 1990, "diffusion:perona_malik"),
    "tv": Method("total variation", 1992, "variational:total_variation"),
    "wavelet-soft": Method("wavelets, soft threshold", 1994, "wavelets:soft"),
    "wavelet-hard": Method("wavelets, hard threshold", 1994, "wavelets:hard"),
    "wavelet-bayes": Method("wavelets, Bayes threshold", 2000, "wavelets:bayes"),
    "bilateral": Method("bilateral filter", 1998, "neighbours:bilateral"),
    "nlm": Method("non-local means", 2005, "neighbours:non_local_means"),
    "ksvd": Method("learned dictionary (K-SVD)", 2006, "dictionary:sparse"),
    "bm3d": Method("BM3D", 2007, "collaborative:bm3d", extra="bm3d"),
}
"""The methods, in the order of their ideas."""


def names() -> tuple[str, ...]:
    """The names of all classical denoisers, whether or not what they need is installed."""
    return tuple(METHODS)


def get(name: str) -> Classical:
    """The classical denoiser of that name.

    Raises:
        ConfigError: no such name; lists those there are.
    """
    if name not in METHODS:
        raise ConfigError(f"no classical denoiser is called {name!r}; there are {', '.join(METHODS)}.")
    return Classical(name)


class Classical:
    """A classical denoiser; it is told the noise level: `denoise(y, sigma)`.

    Attributes:
        name: its name in `METHODS`.
        channels: 1; the channels of a colour image are denoised one by one, as gray networks do it.
        method: its entry in `METHODS`.
    """

    channels = 1

    def __init__(self, name: str):
        self.name, self.method = name, METHODS[name]
        self.__name__ = name

    def __repr__(self) -> str:
        return f"Classical({self.name!r})"

    def __call__(self, y: Any, sigma: float | None = None, **parameters: Any) -> Any:
        """Denoise images.

        Args:
            y: (H, W), (C, H, W) or (N, C, H, W), a floating-point array or tensor with values on the [0, 1] scale
                (noise may exceed it). Each channel of each image is an image of its own.
            sigma: standard deviation of the noise on the [0, 255] scale, not negative; at 0 nothing is done.
            parameters: of the method, in place of those chosen on training images (`parameters`).

        Returns:
            The denoised images: shape, dtype, kind and device of `y`; not clipped. Computed in float64 on the CPU,
            without gradients.

        Raises:
            ConfigError: no or an impossible noise level, an unknown parameter, or a package that is missing.
            DataError: an array of another kind or shape, or with values that are not finite.
        """
        sigma = check_sigma(sigma, self.name)
        tensor = hasattr(y, "detach")
        pixels = _checked(y.detach().cpu().numpy() if tensor else np.asarray(y))
        chosen = self.parameters(sigma, **parameters) if sigma > 0 else self._known(parameters)
        self.ready()
        if sigma == 0:
            denoised = pixels.copy()
        else:
            function = self.method.load()
            if "sigma" in inspect.signature(function).parameters:
                chosen = {"sigma": sigma / 255, **chosen}
            planes = pixels.reshape(-1, *pixels.shape[-2:]).astype(np.float64)
            denoised = np.stack([function(plane, **chosen) for plane in planes]).reshape(pixels.shape)
            denoised = denoised.astype(pixels.dtype)
        if tensor:
            import torch

            return torch.from_numpy(denoised).to(device=y.device, dtype=y.dtype)
        return denoised

    def ready(self) -> Classical:
        """Itself, if what it needs is installed.

        Raises:
            ConfigError: it is not; says how to install it.
        """
        if not self.method.available:
            raise ConfigError(
                f"the denoiser {self.name} needs the package {self.method.extra}, which is not installed (its licence "
                f'is for non-commercial use): pip install "denoiser-priors[{self.method.extra}]".'
            )
        return self

    def at(self, sigma: float, **parameters: Any) -> AtLevel:
        """The denoiser for one noise level ([0, 255] scale): a function of images alone, as networks are.

        Raises:
            ConfigError: an impossible noise level, an unknown parameter, or a package that is missing.
        """
        sigma = check_sigma(sigma, self.name)
        self._known(parameters)
        self.ready()
        return AtLevel(self, sigma, parameters)

    def parameters(self, sigma: float, **parameters: Any) -> dict[str, Any]:
        """What the method is given at a noise level ([0, 255] scale, above 0).

        Those not in `parameters` are interpolated between the values chosen on training images: linearly in log-log
        coordinates, continued beyond the first and last level; whole numbers are those of the nearest level.

        Raises:
            ConfigError: an unknown parameter.
        """
        return {**interpolate(table(), self.name, sigma), **self._known(parameters)}

    def _known(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        accepted = [name for name in list(inspect.signature(self.method.load()).parameters)[1:] if name != "sigma"]
        for name in parameters:
            if name not in accepted:
                raise ConfigError(f"{self.name} has no parameter {name!r}; it has {', '.join(accepted) or 'none'}.")
        return dict(parameters)


@dataclass(frozen=True)
class AtLevel:
    """A classical denoiser for one noise level: from (N, C, H, W) to the same shape; see `Classical.__call__`."""

    denoiser: Classical
    sigma: float
    parameters: Mapping[str, Any]

    channels = 1

    @property
    def __name__(self) -> str:
        return self.denoiser.name

    def __call__(self, y: Any) -> Any:
        return self.denoiser(y, self.sigma, **self.parameters)


def interpolate(values: Mapping[str, Any], name: str, sigma: float) -> dict[str, Any]:
    """The parameters of one method at a noise level from a table of the form of `parameters.yaml`."""
    levels = np.log(np.asarray(values["sigma"], float))
    found = {}
    for parameter, chosen in values["methods"].get(name, {}).items():
        if not isinstance(chosen, list):
            found[parameter] = chosen
        elif all(isinstance(value, int) for value in chosen):
            found[parameter] = chosen[int(np.argmin(np.abs(levels - math.log(sigma))))]
        else:
            left = int(np.clip(np.searchsorted(levels, math.log(sigma)) - 1, 0, len(levels) - 2))
            low, high = (math.log(chosen[k]) for k in (left, left + 1))
            share = (math.log(sigma) - levels[left]) / (levels[left + 1] - levels[left])
            found[parameter] = math.exp(low + share * (high - low))
    return found


@functools.cache
def table() -> dict[str, Any]:
    """The chosen parameters as packaged: `sigma` (levels on the [0, 255] scale), `methods`, and how they were found."""
    return packaged_yaml(_PARAMETERS)


def check_sigma(sigma: Any, name: str) -> float:
    """The noise level as a float.

    Raises:
        ConfigError: none, negative, or not finite.
    """
    if sigma is None:
        raise ConfigError(
            f"the denoiser {name} needs the noise level: give sigma, its standard deviation on the [0, 255] scale."
        )
    try:
        value = float(sigma)
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(f"sigma: expected a noise level >= 0 on the [0, 255] scale, not {sigma!r}.")
    return value


def _checked(pixels: np.ndarray) -> np.ndarray:
    if not np.issubdtype(pixels.dtype, np.floating):
        raise DataError(f"expected floating-point values on the [0, 1] scale, not {pixels.dtype}.")
    if pixels.ndim not in (2, 3, 4) or 0 in pixels.shape:
        raise DataError(f"expected images of shape (H, W), (C, H, W) or (N, C, H, W), not {pixels.shape}.")
    if not np.isfinite(pixels).all():
        raise DataError("the image has values that are not finite.")
    return pixels
