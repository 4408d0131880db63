"""Posterior samples measured, and written as pictures and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from denoiser_priors.errors import DataError
from denoiser_priors.evaluation.imagefiles import write_image
from denoiser_priors.evaluation.protocols import get_protocol
from denoiser_priors.files import atomic_path, write_arrays
from denoiser_priors.metrics.residual import residual_tests
from denoiser_priors.samplers.descent import PosteriorSamples
from denoiser_priors.samplers.noisy_files import Given
from denoiser_priors.samplers.sheets import as_array, sheet


class Judge:
    """Measures estimates of given images.

    Args:
        given: the images.
        sigma_0: standard deviation of their noise, [0, 1] scale.
        protocol: how images are compared, see `evaluation.protocols`.
        mask: of inpainting, bool (H, W), True where measured.

    Raises:
        ConfigError: unknown protocol.
        DataError: images too small for it.
    """

    def __init__(self, given: Given, sigma_0: float, protocol: str, mask: Tensor | None = None):
        self.given, self.sigma_0, self.mask = given, sigma_0, mask
        self.protocol = get_protocol(protocol)
        height, width = given.noisy.shape[-2:]
        smallest = self.protocol.smallest()
        if given.clean is not None and min(height, width) < smallest:
            raise DataError(
                f"{given.files[0]}: {width} x {height} pixels; at least {smallest} x {smallest} are needed to compare."
            )

    def residuals(self, estimates: Tensor, method: str) -> pd.DataFrame:
        """The residual tests of estimates (S, B, C, H, W), a row for each; samples are counted from 1."""
        table = residual_tests(self.given.noisy, estimates, self.sigma_0).table(self.given.names)
        return table.assign(method=method, sample=table["sample"] + 1 if method == "sample" else None)

    def rows(self, single: Mapping[str, Tensor | None], drawn: PosteriorSamples) -> Iterator[dict[str, Any]]:
        """What is measured of every image: of single estimates (B, C, H, W) by method, of the samples, of their mean.

        The keys are `posterior_command.METRICS_COLUMNS` as far as they differ between rows or images.
        """
        each = drawn.seconds / (drawn.images.shape[0] * drawn.images.shape[1])
        estimates = [(method, None, images, None) for method, images in single.items() if images is not None]
        estimates += [("sample", k + 1, images, each) for k, images in enumerate(drawn.images)]
        if len(drawn.images) > 1:
            estimates.append(("mean", None, drawn.mean, each * len(drawn.images)))
        for b, name in enumerate(self.given.names):
            about = {"image": name, "sigma_0": self.sigma_0, "protocol": self.protocol.label}
            about |= dict(zip(("height", "width"), drawn.images.shape[-2:], strict=True))
            mmse = single.get("mmse")
            reference = self._quality(mmse[b : b + 1], b).get("mse") if mmse is not None else None
            for method, sample, images, seconds in estimates:
                quality = self._quality(images[b : b + 1], b)
                if reference and method != "noisy":
                    quality["mse_ratio"] = quality["mse"] / reference
                if method != "noisy" and self.sigma_0:
                    quality["std_ratio"] = self._std_ratio(images[b], b)
                yield {**about, "method": method, "sample": sample, "seconds": seconds, **quality}

    def _quality(self, x: Tensor, b: int) -> dict[str, float]:
        if self.given.clean is None:
            return {}
        clean = self.given.clean[b : b + 1]
        seen, truth = self.protocol.denoised(x), self.protocol.crop(clean)
        squares = (x - clean).double().square()
        values = {
            "psnr": self.protocol.psnr(seen, truth).item(),
            "ssim": self.protocol.ssim(seen, truth).item(),
            "mse": squares.mean().item(),
        }
        if self.mask is not None and not self.mask.all():
            values["mse_missing"] = squares[..., ~self.mask].mean().item()
        return values

    def _std_ratio(self, x: Tensor, b: int) -> float:
        removed = (self.given.noisy[b] - x).double()
        removed = removed if self.mask is None else removed[..., self.mask]
        return removed.std().item() / self.sigma_0


def write(
    out: Path,
    given: Given,
    drawn: PosteriorSamples,
    *,
    single: Mapping[str, Tensor | None],
    way: tuple[list[Tensor], list[float]],
    about: Mapping[str, Any],
    mask: Tensor | None = None,
) -> list[Path]:
    """Write pictures of every image, and all arrays; see `posterior_command.denoise`.

    Args:
        single: what there is one of for each image, by name, (B, C, H, W): the first is what was given to the sampler.
        way: iterates (K, B, C, H, W), and their noise levels.
        about: what `about` of the arrays says.
        mask: of inpainting, bool (H, W).

    Returns:
        The files.
    """
    shown = {"clean": given.clean, **single}
    several = len(drawn.images) > 1
    white = drawn.std.square().mean(dim=1).sqrt() if several else None
    written: list[Path] = []
    for b, name in enumerate(given.names):
        samples = drawn.images[:, b]
        pictures = {key: images[b] for key, images in shown.items() if images is not None}
        pictures |= {f"sample-{k + 1}": x for k, x in enumerate(samples)} if several else {"sample": samples[0]}
        if white is not None:
            pictures["mean"] = drawn.mean[b]
            pictures["std"] = (white[b] / white[b].max().clamp(min=1e-12))[None]
        pages = {key: as_array(image) for key, image in pictures.items()}
        pages["sheet"] = sheet(torch.stack([x.expand_as(samples[0]) for x in pictures.values()]))
        if way[0]:
            rows = torch.stack([*(images[:, b] for images in way[0]), samples.cpu()], dim=1)
            pages["way"] = sheet(rows.flatten(0, 1), columns=rows.shape[1])
        for key, page in pages.items():
            written.append(out / f"{name}-{key}.png")
            write_image(written[-1], page)
        if given.added:
            written.append(out / f"{name}-noisy.npy")
            with atomic_path(written[-1]) as temporary, open(temporary, "wb") as stream:
                np.save(stream, given.noisy[b].numpy())
    arrays = {key: images for key, images in shown.items() if images is not None}
    arrays["samples"] = drawn.images.transpose(0, 1)
    if drawn.before_final is not drawn.images:
        arrays["before_final"] = drawn.before_final.transpose(0, 1)
    if several:
        arrays |= {"mean": drawn.mean, "std": drawn.std}
    if way[0]:
        arrays |= {"intermediates": torch.stack(way[0]).transpose(1, 2), "intermediate_sigma": torch.tensor(way[1])}
    arrays["levels"] = drawn.levels
    if mask is not None:
        arrays["mask"] = mask
    said = {**about, "images": given.names, "network_calls": drawn.network_calls, "seconds": round(drawn.seconds, 2)}
    if white is not None:
        said["white_of_std"] = white.amax(dim=(1, 2)).tolist()
    written.append(out / "samples.npz")
    write_arrays(written[-1], said, **arrays)
    return written
