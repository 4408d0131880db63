"""Classical denoisers to compare with: BM3D, from a package that is an option, and wavelets, which are always there."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable

import numpy as np

from denoiser_priors.classical.collaborative import repeatable
from denoiser_priors.errors import DenoiserPriorsError

logger = logging.getLogger(__name__)

METHODS = ("bm3d", "wavelet")


class MissingPackage(DenoiserPriorsError):
    """An optional package is not installed."""


def bm3d(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """BM3D (Dabov et al. 2007) by the authors' package bm3d, whose licence is for non-commercial use.

    Colour images are denoised in the package's opponent colour space with one grouping for all channels (CBM3D).

    Args:
        noisy: (C, H, W) with C = 1 or 3, [0, 1] scale, not clipped.
        sigma: standard deviation of the noise, [0, 1] scale.

    Returns:
        float32 (C, H, W), not clipped.

    Raises:
        MissingPackage: the package is not installed; says how to get it.
    """
    try:
        package = importlib.import_module("bm3d")
    except ImportError as error:
        raise MissingPackage(
            f"BM3D needs the package bm3d, which cannot be imported ({error}): pip install 'denoiser-priors[bm3d]' "
            "(for non-commercial use), or choose the method wavelet."
        ) from None
    image = np.ascontiguousarray(noisy.transpose(1, 2, 0), dtype=np.float64)
    profile = repeatable(package, "np")
    gray = image.shape[2] == 1
    denoised = package.bm3d(image[..., 0], sigma, profile) if gray else package.bm3d_rgb(image, sigma, profile)
    return denoised.reshape(image.shape).transpose(2, 0, 1).astype(np.float32)


def wavelet(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """Soft thresholding of wavelet coefficients, BayesShrink (Chang, Yu & Vetterli 2000), as scikit-image does it.

    Averaged over shifts by 0, 2 and 4 pixels in each direction; colour channels are thresholded in YCbCr. Arguments and
    result as for `bm3d`.
    """
    from skimage.restoration import cycle_spin, denoise_wavelet

    colour = noisy.shape[0] == 3
    image = noisy.transpose(1, 2, 0) if colour else noisy[0]
    settings = {"convert2ycbcr": colour, "channel_axis": -1 if colour else None, "rescale_sigma": True}
    settings |= {"sigma": float(sigma), "method": "BayesShrink", "mode": "soft", "wavelet": "db2"}
    # Down to about four coefficients a side, since strong noise drowns the coarse ones too.
    settings["wavelet_levels"] = max(1, int(np.log2(min(noisy.shape[-2:]) / 4)))
    with warnings.catch_warnings():
        # That the coarsest coefficients of small images feel their borders.
        warnings.simplefilter("ignore")
        denoised = cycle_spin(
            image.astype(np.float64),
            func=denoise_wavelet,
            max_shifts=(4, 4, 0) if colour else 4,
            shift_steps=(2, 2, 1) if colour else 2,
            num_workers=1,
            func_kw=settings,
            channel_axis=-1 if colour else None,
        )
    denoised = denoised.reshape(image.shape)
    return (denoised.transpose(2, 0, 1) if colour else denoised[None]).astype(np.float32)


def choose(method: str) -> tuple[str, Callable[[np.ndarray, float], np.ndarray]]:
    """The method's own name and function; wavelets, with a line in the log, where BM3D is not installed.

    Raises:
        ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"the classical method must be one of {', '.join(METHODS)}, not {method!r}")
    if method == "bm3d":
        try:
            importlib.import_module("bm3d")
        except ImportError:
            logger.warning(
                "BM3D is not installed (pip install 'denoiser-priors[bm3d]'): the classical method is wavelets instead"
            )
            method = "wavelet"
    return method, {"bm3d": bm3d, "wavelet": wavelet}[method]
