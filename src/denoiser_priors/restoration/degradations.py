"""What degrades images: blur, bicubic reduction, the Bayer mosaic, noise; linear operators with exact adjoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from denoiser_priors.errors import OperatorError
from denoiser_priors.noise import noise_field
from denoiser_priors.restoration.contract import LinearOperator, check_shape
from denoiser_priors.restoration.convolution import METHODS, convolve_adjoint, convolve_valid
from denoiser_priors.restoration.imresize import enlarge, resize_matrix
from denoiser_priors.restoration.kernels import check_kernel

__all__ = ["Blur", "Degradation", "Mosaic", "Reduction", "add_noise", "pad_replicate"]


class Degradation(LinearOperator):
    """A linear degradation y = A x. `measure` is A and `reconstruct` its adjoint A^T; A need not be a projection.

    Attributes:
        energy: ||A||_F^2 / number of measurements, the mean square of A applied to white noise of variance one.
        scale: 1 / ||A||^2 (spectral norm), nearly; `scale` A^T A has no eigenvalue much above one.
    """

    energy = 1.0
    scale = 1.0


class Blur(Degradation):
    """Convolution with a kernel, k * x, at the pixels for which the kernel lies inside the image.

    Args:
        shape: (C, H, W) of the sharp image, which is larger than the blurred one by the kernel's reach.
        kernel: (h, w) array or tensor with odd sides, sum one; k is the image of a point (Eq. 1). Released code of
            Bigdeli et al. 2017 correlates with its kernels instead; `kernels.read_kernel` turns them where asked to.
        method: "auto", "fft" or "direct", see `convolution.convolve_valid`.

    Measurements: (C, H - h + 1, W - w + 1), the blurred image.

    Raises:
        OperatorError: a kernel that cannot be used, or one larger than the image.
    """

    name = "blur"

    def __init__(self, shape: Sequence[int], kernel, *, method: str = "auto"):
        self.kernel = check_kernel(kernel)
        if method not in METHODS:
            raise OperatorError(f"method: expected one of {', '.join(METHODS)}, not {method!r}.")
        channels, height, width = check_shape(shape)
        h, w = self.kernel.shape
        if h > height or w > width:
            raise OperatorError(f"the kernel of {h}x{w} pixels is larger than the image of {height}x{width}.")
        super().__init__((channels, height, width), (channels, height - h + 1, width - w + 1))
        self.method = method
        self.energy = float(self.kernel.square().sum())

    def _measure(self, x: Tensor) -> Tensor:
        return convolve_valid(x, self._copy(self.kernel, x), self.method)

    def _reconstruct(self, m: Tensor) -> Tensor:
        return convolve_adjoint(m, self._copy(self.kernel, m), self.method)


class Reduction(Degradation):
    """Bicubic reduction of images by a whole factor, that of MATLAB's `imresize(x, 1 / factor)`, not rounded.

    Args:
        shape: (C, H, W) of the large image.
        factor: whole number from 1.

    Measurements: (C, ceil(H / factor), ceil(W / factor)), the small image.

    Raises:
        OperatorError: another factor, or images smaller than it.
    """

    name = "bicubic reduction"

    def __init__(self, shape: Sequence[int], factor: int):
        channels, height, width = check_shape(shape)
        self.rows, self.columns = (resize_matrix(side, factor, "bicubic", enlarging=False) for side in (height, width))
        super().__init__((channels, height, width), (channels, len(self.rows), len(self.columns)))
        self.factor = int(factor)
        self.energy = float(self.rows.square().sum() * self.columns.square().sum()) / (
            len(self.rows) * len(self.columns)
        )
        self.scale = float(self.factor**2)

    def enlarged(self, m: Tensor) -> Tensor:
        """`imresize(m, factor)` of small images, cut to the shape of the large ones."""
        return enlarge(m, self.factor)[..., : self.shape[1], : self.shape[2]]

    def _measure(self, x: Tensor) -> Tensor:
        return self._copy(self.rows, x) @ x @ self._copy(self.columns, x).T

    def _reconstruct(self, m: Tensor) -> Tensor:
        return self._copy(self.rows, m).T @ m @ self._copy(self.columns, m)


class Mosaic(Degradation):
    """One colour per pixel, as behind the colour filters of a camera: an orthogonal projection, M^T M = I.

    Args:
        shape: (3, H, W) of the colour image, red, green, blue.
        pattern: colours of the top left corner, which repeat: "RGGB", "BGGR", "GRBG", "GBRG", or the rows of any other
            pattern, such as ("RGB", "GBR", "BRG").

    Measurements: (1, H, W), each pixel the value of its own colour.

    Raises:
        OperatorError: images without three channels, or no such pattern.
    """

    name = "mosaic"

    def __init__(self, shape: Sequence[int], pattern: str | Sequence[str] = "RGGB"):
        channels, height, width = check_shape(shape)
        if channels != 3:
            raise OperatorError(f"a mosaic is of images with three colours, not of {channels} channel(s).")
        rows = parse_pattern(pattern)
        super().__init__((3, height, width), (1, height, width))
        self.pattern = "".join(rows) if len(rows) == 2 == len(rows[0]) else rows
        tile = torch.tensor([["RGB".index(letter) for letter in row] for row in rows])
        colours = tile.repeat(-(-height // tile.shape[0]), -(-width // tile.shape[1]))[:height, :width]
        self.mask = F.one_hot(colours, 3).permute(2, 0, 1).to(torch.float32)

    def _measure(self, x: Tensor) -> Tensor:
        return (x * self._copy(self.mask, x)).sum(dim=1, keepdim=True)

    def _reconstruct(self, m: Tensor) -> Tensor:
        return m * self._copy(self.mask, m)


def parse_pattern(pattern: str | Sequence[str]) -> tuple[str, ...]:
    """The rows of a colour filter pattern, in capitals.

    Raises:
        OperatorError: other letters than R, G, B, one of them missing, or rows of different length.
    """
    if isinstance(pattern, str):
        rows = (pattern[:2], pattern[2:]) if len(pattern) == 4 else (pattern,)
    else:
        rows = tuple(pattern)
    rows = tuple(str(row).upper() for row in rows)
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1 or set("".join(rows)) != set("RGB"):
        raise OperatorError(
            f"unknown mosaic pattern {pattern!r}; expected four letters such as RGGB, BGGR, GRBG or GBRG, or rows of "
            "equal length with R, G and B in them."
        )
    return rows


def add_noise(y: Tensor, sigma: float, *, seed: int, dataset: str, image: str, draw: int = 0) -> Tensor:
    """Images plus Gaussian noise of standard deviation `sigma` on the [0, 255] scale, keyed as `noise.noise_field`.

    Args:
        y: (C, H, W) or (1, C, H, W) float, nominally in [0, 1].

    Raises:
        OperatorError: negative sigma.
    """
    if not sigma >= 0:
        raise OperatorError(f"sigma: expected a number >= 0 on the [0, 255] scale, not {sigma!r}.")
    field = noise_field(tuple(y.shape[-3:]), float(sigma), seed=seed, dataset=dataset, image=image, draw=draw)
    return y + torch.from_numpy(field).to(y)


def pad_replicate(y: Tensor, kernel_size: Sequence[int]) -> Tensor:
    """Blurred images enlarged to the size of the sharp ones by repeating the pixels at their borders.

    Args:
        y: (B, C, H, W) float.
        kernel_size: (h, w), odd.

    Returns:
        (B, C, H + h - 1, W + w - 1).

    Source: released code of Bigdeli et al. 2017 (the text does not say where the iteration starts).
    """
    h, w = kernel_size
    return F.pad(y, (w // 2, w // 2, h // 2, h // 2), mode="replicate")
