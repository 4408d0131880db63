"""Classical restorations that others are compared with: Wiener, Richardson-Lucy, total variation, demosaicing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from denoiser_priors.errors import ConfigError, DataError, OperatorError
from denoiser_priors.restoration.degradations import Blur, Mosaic, pad_replicate, parse_pattern
from denoiser_priors.restoration.imresize import enlarge
from denoiser_priors.restoration.kernels import check_kernel

__all__ = ["bicubic", "demosaic_classical", "richardson_lucy", "total_variation_deblur", "wiener"]

DEMOSAICING = ("bilinear", "malvar", "menon")

# Chosen on four photographs of the Berkeley set, 96x96, with four kernels of Levin et al., noise of 2.55 to 10.2.
WIENER_BALANCE = 60.0
"""Of `wiener`: the weight of the Laplacian is so many times the variance of the noise on the [0, 1] scale."""

RICHARDSON_LUCY_ITERATIONS = ((3.0, 12), (6.0, 6), (9.0, 5), (np.inf, 4))
"""Of `richardson_lucy`: iterations for noise up to a level on the [0, 255] scale; more amplify the noise."""

TV_WEIGHT = 0.15
"""Of `total_variation_deblur`: the weight of total variation is so many times the noise level on the [0, 1] scale."""


def wiener(blurred: Tensor, kernel, sigma: float, *, balance: float | None = None) -> Tensor:
    """Wiener-Hunt deconvolution by scikit-image (`skimage.restoration.wiener`), with its Laplacian regulariser.

    The image is taken as periodic, so it is first padded by replication and then blended into its own blur towards the
    border (edge tapering).

    Args:
        blurred: (B, C, H, W) float, on the [0, 1] scale.
        kernel: (h, w), see `degradations.Blur`.
        sigma: standard deviation of the noise, [0, 255] scale, above 0.
        balance: weight of the regulariser; by default `WIENER_BALANCE` times the variance of the noise.

    Returns:
        (B, C, H + h - 1, W + w - 1), clipped to [0, 1].

    Raises:
        DataError, OperatorError, ConfigError: images, kernel or sigma that cannot be used.

    Source: Orieux, Giovannelli & Rodet 2010 (J. Opt. Soc. Am. A 27(7)), as implemented by scikit-image.
    """
    from skimage.restoration import wiener as wiener_hunt

    kernel, sigma = _checked(blurred, kernel, sigma)
    weight = WIENER_BALANCE * (sigma / 255) ** 2 if balance is None else balance

    def restored(plane: np.ndarray) -> np.ndarray:
        return wiener_hunt(_tapered(plane, kernel), kernel, weight, clip=False)

    return _each_plane(pad_replicate(blurred, kernel.shape), restored).clamp(0, 1)


def richardson_lucy(blurred: Tensor, kernel, sigma: float, *, iterations: int | None = None) -> Tensor:
    """Richardson-Lucy deconvolution by scikit-image (`skimage.restoration.richardson_lucy`).

    Args:
        blurred, kernel, sigma: as for `wiener`. Values below 1/255 are raised to that: the method multiplies.
        iterations: by default `RICHARDSON_LUCY_ITERATIONS`, fewer for stronger noise.

    Returns:
        (B, C, H + h - 1, W + w - 1), clipped to [0, 1].

    Source: Richardson 1972 (J. Opt. Soc. Am. 62(1)), Lucy 1974 (Astron. J. 79), as implemented by scikit-image.
    """
    from skimage.restoration import richardson_lucy as multiplicative

    kernel, sigma = _checked(blurred, kernel, sigma)
    if iterations is None:
        iterations = next(count for level, count in RICHARDSON_LUCY_ITERATIONS if sigma <= level)
    h, w = kernel.shape
    # A margin of twice the kernel more: scikit-image convolves as if black surrounded the image.
    wide = pad_replicate(blurred, (5 * h, 5 * w)).clamp(min=1 / 255)

    def restored(plane: np.ndarray) -> np.ndarray:
        return multiplicative(plane, kernel, num_iter=iterations, clip=False, filter_epsilon=1e-6)

    full = _each_plane(wide, restored)
    return full[..., 2 * h : full.shape[-2] - 2 * h, 2 * w : full.shape[-1] - 2 * w].clamp(0, 1)


def total_variation_deblur(
    blurred: Tensor, kernel, sigma: float, *, weight: float | None = None, iterations: int = 100
) -> Tensor:
    """min_x 1/2 ||k * x - y||^2 + weight TV(x) by accelerated proximal gradient, borders left free.

    Each step is followed by scikit-image's `denoise_tv_chambolle` (isotropic, colours together). Steps of one are safe
    since a kernel that sums to one and is not negative has a norm of at most one.

    Args:
        blurred, kernel, sigma: as for `wiener`.
        weight: by default `TV_WEIGHT` times the noise level.

    Returns:
        (B, C, H + h - 1, W + w - 1), clipped to [0, 1].

    Source: Rudin & Osher 1994; Beck & Teboulle 2009 (IEEE Trans. Image Process. 18(11)); denoiser Chambolle 2004.
    """
    from skimage.restoration import denoise_tv_chambolle

    kernel, sigma = _checked(blurred, kernel, sigma)
    weight = TV_WEIGHT * sigma / 255 if weight is None else weight
    start = pad_replicate(blurred, kernel.shape)
    operator = Blur(start.shape[1:], kernel)
    x = ahead = start
    momentum = 1.0
    for _ in range(iterations):
        point = ahead - operator.reconstruct(operator.measure(ahead) - blurred)
        proposal = torch.stack(
            [
                torch.from_numpy(denoise_tv_chambolle(image, weight=weight, max_num_iter=10, channel_axis=0))
                for image in point.cpu().numpy()
            ]
        ).to(x)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = proposal + (momentum - 1) / following * (proposal - x)
        x, momentum = proposal, following
    return x.clamp(0, 1)


def bicubic(small: Tensor, factor: int) -> Tensor:
    """Bicubic interpolation, MATLAB's `imresize(small, factor)`, clipped to [0, 1]; see `imresize.enlarge`."""
    return enlarge(small, factor).clamp(0, 1)


def demosaic_classical(mosaic: Tensor, pattern: str | Sequence[str] = "RGGB", *, method: str = "malvar") -> Tensor:
    """Interpolation of the colours behind a mosaic; the measured values are kept by none of them in general.

    Args:
        mosaic: (B, 1, H, W) float, on the [0, 1] scale.
        pattern: see `degradations.Mosaic`; other patterns than the four of Bayer only with "bilinear".
        method: "bilinear"; "malvar", which MATLAB's `demosaic` computes, or "menon", both by the optional package
            colour-demosaicing.

    Returns:
        (B, 3, H, W), not clipped.

    Raises:
        ConfigError: another method, the package is missing, or "malvar" and "menon" for a pattern that is not Bayer's.
        OperatorError: an unknown pattern.
        DataError: images of another shape.

    Source: Malvar, He & Cutler 2004 (ICASSP); Menon, Andriani & Calvagno 2007 (IEEE Trans. Image Process. 16(1)).
    """
    if method not in DEMOSAICING:
        raise ConfigError(f"demosaicing method: expected one of {', '.join(DEMOSAICING)}, not {method!r}.")
    if mosaic.ndim != 4 or mosaic.shape[1] != 1:
        raise DataError(f"mosaic: expected a tensor (B, 1, H, W), not {tuple(mosaic.shape)}.")
    rows = parse_pattern(pattern)
    if method == "bilinear":
        return _bilinear(mosaic, rows)
    name = "".join(rows)
    if len(rows) != 2 or name not in ("RGGB", "BGGR", "GRBG", "GBRG"):
        raise ConfigError(f"{method} is for Bayer patterns, not for {pattern!r}; use bilinear.")
    package = _colour_demosaicing()
    function = getattr(
        package, {"malvar": "demosaicing_CFA_Bayer_Malvar2004", "menon": "demosaicing_CFA_Bayer_Menon2007"}[method]
    )
    images = [np.asarray(function(plane[0].double().cpu().numpy(), name)) for plane in mosaic]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(mosaic).contiguous()


def _bilinear(mosaic: Tensor, rows: tuple[str, ...]) -> Tensor:
    """Measured values, and means of the colour under a pyramid that reaches to where the pattern repeats."""
    operator = Mosaic((3, *mosaic.shape[-2:]), rows)
    reach = [len(rows) - 1, len(rows[0]) - 1]
    sides = [torch.arange(1.0, 2 * r + 2) for r in reach]
    falls = [torch.minimum(side, side.flip(0)) for side in sides]
    pyramid = torch.outer(*falls).to(mosaic)[None, None].expand(3, 1, -1, -1)

    def smooth(x: Tensor) -> Tensor:
        return F.conv2d(x, pyramid, padding=tuple(reach), groups=3)

    sums, weights = smooth(operator.reconstruct(mosaic)), smooth(operator.reconstruct(torch.ones_like(mosaic[:1])))
    return torch.where(operator.mask.bool().to(mosaic.device), mosaic, sums / weights)


def _colour_demosaicing():
    try:
        with warnings.catch_warnings():
            # It imports names of scipy that are to be removed, and comments on packages that it could use.
            warnings.simplefilter("ignore")
            import colour_demosaicing
    except ImportError as error:
        raise ConfigError(
            "this demosaicing needs the package colour-demosaicing: pip install 'denoiser-priors[demosaic]', or use "
            f"bilinear ({error})."
        ) from error
    return colour_demosaicing


def _checked(blurred: Tensor, kernel, sigma: float) -> tuple[np.ndarray, float]:
    kernel = check_kernel(kernel)
    if not isinstance(blurred, Tensor) or blurred.ndim != 4 or not blurred.is_floating_point():
        raise DataError("blurred: expected a floating-point tensor (B, C, H, W).")
    if not blurred.isfinite().all():
        raise DataError("blurred: has values that are not finite.")
    if kernel.shape[0] > blurred.shape[-2] or kernel.shape[1] > blurred.shape[-1]:
        raise OperatorError(f"the kernel of {tuple(kernel.shape)} pixels is larger than the images.")
    if not 0 < sigma < float("inf"):
        raise ConfigError(f"sigma: expected a number above 0 on the [0, 255] scale, not {sigma!r}.")
    return kernel.numpy(), float(sigma)


def _each_plane(images: Tensor, function) -> Tensor:
    planes = images.double().cpu().numpy().reshape(-1, *images.shape[-2:])
    return torch.from_numpy(np.stack([function(plane) for plane in planes])).reshape(images.shape).to(images)


def _tapered(plane: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The plane, blending over the reach of the kernel from its middle into its periodic blur at the border."""
    rows, columns = plane.shape
    spectrum = np.fft.rfft2(plane) * np.fft.rfft2(kernel, plane.shape)
    soft = np.roll(np.fft.irfft2(spectrum, plane.shape), [-(side // 2) for side in kernel.shape], (0, 1))
    ramps = []
    for side, reach in zip((rows, columns), kernel.shape, strict=True):
        distance = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
        ramps.append(np.clip(distance / reach, 0, 1))
    inside = np.outer(*ramps)
    return inside * plane + (1 - inside) * soft
