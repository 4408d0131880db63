"""What people call: evaluate a denoiser, denoise an array, denoise files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from denoiser_priors.config import Config, working_config
from denoiser_priors.data import download, registry
from denoiser_priors.data.images import Image, load_images, read_folder, read_image
from denoiser_priors.errors import ConfigError, DataError, ResultError
from denoiser_priors.evaluation.apply import apply, evaluating, match_channels
from denoiser_priors.evaluation.imagefiles import check_output, to_uint8, write_image
from denoiser_priors.evaluation.levels import at_level, check_told
from denoiser_priors.evaluation.protocols import Protocol, get_protocol
from denoiser_priors.evaluation.sweep import check_noise, evaluate_images

if TYPE_CHECKING:
    import pandas as pd

Denoising = str | os.PathLike | Callable[[torch.Tensor], torch.Tensor]
"""A name of the configuration or of a classical denoiser, a weights file, or anything from (N, C, H, W) tensors in
[0, 1] to the same shape."""

Configuration = Config | str | os.PathLike | Sequence[str | os.PathLike] | None
"""A configuration, a file or several laid over that of the working folder (or the default preset), or
            None for that alone."""


def evaluate(
    denoiser: Denoising,
    dataset: str | None = None,
    images: str | os.PathLike | Sequence[Image | np.ndarray] | None = None,
    *,
    sigma: float | Sequence[float],
    noise: str = "gaussian",
    draws: int = 1,
    limit: int | None = None,
    protocol: str | Protocol = "bias_free",
    lpips: bool = True,
    seed: int = 0,
    name: str | None = None,
    config: Configuration = None,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure how well a denoiser does on clean images to which noise is added.

    Args:
        denoiser: a name of the configuration, a weights file, the name of a classical denoiser ("bm3d", "nlm", "tv",
            ..., see `classical.names`; it is told the noise level), or a callable from (N, C, H, W) float32 tensors
            with values on the [0, 1] scale to the same shape. Its attribute `channels` says if it takes gray (1) or
            colour (3) images; a callable without one gets gray images, or arrays as they are.
        dataset: id of a dataset (its test images, fetched if need be) or of a folder named in the configuration.
        images: instead of `dataset`: a folder, or a list of `data.images.Image` or of uint8 arrays (H, W) or (H, W, 3).
        sigma: standard deviation(s) of the noise on the [0, 255] scale.
        noise: "gaussian", or "uniform" with the same standard deviation.
        draws: noise draws of each image and level.
        limit: use only the first so many images.
        protocol: how images are compared, see `evaluation.protocols`; "mean_shift(border=8)" removes a border.
        lpips: measure LPIPS too (fetches its backbone if need be).
        seed: of the noise.
        name: what the column `denoiser` says; by default the name given, or that of the weights file or callable.
        config: a configuration, a file or several laid over that of the working folder (or the default preset), or
            None for that alone.
        device: where to compute; by default the GPU for a denoiser given by name or file, if there is one.
        progress: show a progress bar if standard error is a terminal.

    Returns:
        One row per image, noise level and draw with the columns denoiser, dataset, image, sigma ([0, 255] scale), draw,
        noise, protocol, input_psnr and psnr (dB), input_ssim, ssim, lpips.

    Raises:
        DenoiserPriorsError: in the form of the subclass that fits: an unknown name or setting, images or weights that
            cannot be used, output that is not finite.
    """
    if (dataset is None) == (images is None):
        raise ConfigError("evaluate needs either a dataset or images, and not both.")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected a whole number >= 1, not {limit!r}.")
    # Mistakes in the settings show before anything is fetched or loaded.
    sigmas = check_noise(np.atleast_1d(sigma), noise, draws)
    protocol = get_protocol(protocol)
    config = _config(config)
    if dataset is not None and dataset not in config.datasets:
        registry.dataset(dataset)
    network, label = resolve(denoiser, config, device)
    channels = getattr(network, "channels", None)
    dataset, loaded = test_images(dataset, images, channels, limit, config)
    with evaluating(network, device) as where:
        metric = _lpips(config, where) if lpips else None
    return evaluate_images(
        network,
        loaded,
        name=name or label,
        dataset=dataset,
        sigmas=sigmas,
        noise=noise,
        draws=draws,
        seed=seed,
        protocol=protocol,
        lpips=metric,
        device=where,
        progress=progress,
    )


def denoise(
    image: np.ndarray,
    denoiser: Denoising,
    config: Configuration = None,
    device: str | torch.device | None = None,
    sigma: float | Literal["auto"] | None = None,
) -> np.ndarray:
    """Denoise one image.

    Args:
        image: (H, W) gray or (H, W, 3) colour; uint8, or floating point on the [0, 1] scale (noise may exceed it).
        denoiser: as for `evaluate`. A gray denoiser gets the channels of a colour image one by one.
        config, device: as for `evaluate`.
        sigma: for a classical denoiser, and only for one: the standard deviation of the noise on the [0, 255] scale,
            or "auto" to have it estimated, see `evaluation.levels`.

    Returns:
        The denoised image, in the shape and dtype of `image`. uint8 is clipped and rounded; floating point is not
        clipped.

    Raises:
        ConfigError: no noise level for a classical denoiser, one for a blind network, or an impossible one.
        DataError: another shape, dtype or range, or a gray image for a colour denoiser.
        ResultError: the denoiser's output is not finite.
    """
    pixels = _checked(image)
    network, label = resolve(denoiser, _config(config), device)
    check_told(network, label, sigma)
    denoised = _denoise(pixels, network, device, sigma)
    return to_uint8(denoised) if image.dtype == np.uint8 else denoised.astype(image.dtype)


def denoise_file(
    input: str | os.PathLike,
    output: str | os.PathLike,
    denoiser: Denoising,
    config: Configuration = None,
    device: str | torch.device | None = None,
    sigma: float | Literal["auto"] | None = None,
) -> list[Path]:
    """Denoise an image file, or every image file of a folder.

    A gray denoiser gets the channels of a colour image one by one. Each file is written in one step, with 8 bits per
    channel, clipped and rounded. All files of a folder are read before the first is written, so that one which is not
    an image leaves nothing behind.

    Args:
        input: an image file, or a folder (its sub-folders and hidden files do not count).
        output: the file to write, or a folder, which gets a file of the input's name; a folder if `input` is one.
        denoiser, config, device: as for `evaluate`.
        sigma: as for `denoise`; "auto" is estimated for each image.

    Returns:
        The files written.

    Raises:
        ConfigError: no noise level for a classical denoiser, one for a blind network, or an impossible one.
        DataError: an input that is no image, an empty folder, an output of unknown type or in the place of the input.
        DenoiserPriorsError: the denoiser cannot be loaded, the disk is full or the output cannot be written.
    """
    pairs = _pairs(Path(input), Path(output))
    for source, target in pairs:
        check_output(target)
        read_image(source)
    network, label = resolve(denoiser, _config(config), device)
    check_told(network, label, sigma)
    for source, target in pairs:
        try:
            denoised = _denoise(_checked(read_image(source)), network, device, sigma)
        except (DataError, ResultError) as error:
            raise type(error)(f"{source}: {error}") from error
        write_image(target, denoised)
    return [target for _, target in pairs]


def _pairs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    if source.is_dir():
        if target.is_file():
            raise DataError(f"{target}: is a file, but the input {source} is a folder; name a folder to write to.")
        inputs = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
        if not inputs:
            raise DataError(f"{source}: the folder holds no files; expected images.")
        pairs = [(path, target / path.name) for path in inputs]
    else:
        pairs = [(source, target / source.name if target.is_dir() else target)]
    for before, after in pairs:
        if after.exists() and before.exists() and after.samefile(before):
            raise DataError(f"{before}: the output would replace the input; choose another name or folder.")
    return pairs


def _denoise(
    pixels: np.ndarray, network: Callable, device: str | torch.device | None, sigma: float | str | None = None
) -> np.ndarray:
    """Denoise a float32 array (H, W) or (H, W, C); the result is not clipped."""
    network = at_level(network, pixels, sigma)
    batch = torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)[None]
    with evaluating(network, device) as where:
        denoised = apply(network, match_channels(network, batch.to(where))).reshape(batch.shape).cpu()
    if not denoised.isfinite().all():
        raise ResultError("the denoiser gives values that are not finite; check its weights.")
    return denoised[0].permute(1, 2, 0).numpy().reshape(pixels.shape)


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)) or 0 in image.shape:
        raise DataError(f"expected an image of shape (H, W) or (H, W, 3), not {image.shape}.")
    if image.dtype == np.uint8:
        return image.astype(np.float32) / 255
    if not np.issubdtype(image.dtype, np.floating):
        raise DataError(f"expected uint8 or floating-point values in [0, 1], not {image.dtype}.")
    if not np.isfinite(image).all():
        raise DataError("the image has values that are not finite.")
    if np.abs(image).max() > 10:
        largest = np.abs(image).max()
        raise DataError(
            f"floating-point images are on the [0, 1] scale; this one reaches {largest:g}. Divide it by 255."
        )
    return image.astype(np.float32)


def _config(config: Configuration) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, (str, os.PathLike)):
        return working_config([config])
    return working_config(config or ())


def resolve(denoiser: Denoising, config: Config, device: str | torch.device | None) -> tuple[Callable, str]:
    """The denoiser itself, on its device, and what to call it; for arguments and errors see `evaluate`."""
    if callable(denoiser):
        label = getattr(denoiser, "metadata", {}).get("name") or getattr(denoiser, "__name__", type(denoiser).__name__)
        return denoiser, label
    if not isinstance(denoiser, (str, os.PathLike)):
        raise ConfigError(f"a denoiser is a name, a weights file or a callable, not {type(denoiser).__name__}.")
    from denoiser_priors import classical
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.networks.zoo import load_denoiser

    # The user's own names come first, so that a configuration which took one of these means what it did.
    if denoiser in classical.names() and denoiser not in config.denoisers_by_name() and not Path(denoiser).is_file():
        return classical.get(denoiser).ready(), denoiser

    network = load_denoiser(denoiser, config, device=choose_device(device))
    if isinstance(denoiser, str) and denoiser in config.denoisers_by_name():
        return network, denoiser
    return network, getattr(network, "metadata", {}).get("name") or Path(denoiser).stem


def test_images(
    dataset: str | None, images: Any, channels: int | None, limit: int | None, config: Config
) -> tuple[str, list[Image]]:
    """The dataset's name for the table, and its test images (fetched if need be), or those given."""
    if isinstance(images, (str, os.PathLike)):
        return Path(images).resolve().name, read_folder(images, channels or 1, limit=limit)
    if images is not None:
        return "images", [_image(index, image) for index, image in enumerate(images)][:limit]
    if dataset in config.datasets:
        chosen = channels or config.datasets[dataset].channels
        return dataset, load_images(dataset, config.paths.data, channels=chosen, limit=limit, folders=config.datasets)
    download.fetch(dataset, config.paths.data, mirror=config.mirror, offline=config.offline)
    return dataset, load_images(dataset, config.paths.data, split="test", channels=channels or 1, limit=limit)


def _image(index: int, image: Any) -> Image:
    if isinstance(image, Image):
        return image
    pixels = np.atleast_3d(np.asarray(image))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise DataError(
            f"image {index}: expected a uint8 array (H, W) or (H, W, 3), not {pixels.dtype} {np.shape(image)}."
        )
    return Image(name=f"image-{index:04d}", pixels=pixels)


def _lpips(config: Config, device: torch.device) -> Any:
    from denoiser_priors.metrics.quality import Lpips

    download.fetch("lpips-alexnet", config.paths.data, mirror=config.mirror, offline=config.offline)
    return Lpips(config.paths.data, device=device)
