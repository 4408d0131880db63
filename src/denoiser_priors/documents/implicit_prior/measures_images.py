"""The numbers that decide what the document claims of the images in its figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.implicit_prior.figures_arrays import Stored, load


def consistency(results: Path) -> Measurement:
    """Rms difference of inpainted images from what was measured of them, largest over the images, [0, 1] scale."""
    stored = load(results, "examples_inpainting_samples.npz", ("original", "measured", "restored"))
    restored = stored["restored"]
    found = []
    for i, known in enumerate(_known(stored)):
        difference = restored[i] - stored["original"][i]
        found += [float(np.sqrt(np.mean(sample[known] ** 2))) for sample in difference]
    return _measurement(np.max(found), f"{len(found)} restorations", stored)


def variety(results: Path) -> Measurement:
    """Rms difference of two restorations of an image inside its hole over that outside, smallest over the images.

    The mean over all pairs; outside, all restorations agree but for the noise that they end with.
    """
    stored = load(results, "examples_inpainting_samples.npz", ("original", "measured", "restored"))
    restored = stored["restored"]
    if restored.shape[1] < 2:
        raise NotTested("needs two restorations or more of an image")
    spread = restored.astype(float).var(axis=1, ddof=1)
    found = []
    for deviation, known in zip(spread, _known(stored), strict=True):
        inside, outside = (float(np.sqrt(deviation[where].mean())) for where in (~known, known))
        found.append((inside / outside if outside else np.inf, inside, outside))
    ratio, inside, outside = min(found)
    return _measurement(ratio, f"standard deviation {inside:.4f} in the hole, {outside:.4f} around it", stored)


def recovery(results: Path, *, example: str) -> Measurement:
    """Mean PSNR of the restored images of a figure minus that of M M^T x, dB, smallest over the settings."""
    stored = load(results, f"examples_{example}.npz", ("setting", "psnr_measured", "psnr_restored"))
    settings = stored["setting"].astype(str)
    gain = {
        str(name): float((stored["psnr_restored"] - stored["psnr_measured"])[settings == name].mean())
        for name in dict.fromkeys(settings)
    }
    detail = ", ".join(f"{name}: {value:+.2f} dB" for name, value in gain.items())
    return _measurement(np.min(list(gain.values())), detail, stored)


def smoothness(results: Path, *, betas: tuple[float, float]) -> Measurement:
    """Mean gradient of samples at the smaller of two betas over that at the larger."""
    stored = load(results, "synthesis.npz")
    samples = stored.samples()
    more, less = min(betas), max(betas)
    if not {more, less} <= set(samples):
        raise NotTested(f"needs samples at beta {more:g} and {less:g}")
    steep = {beta: _gradient(samples[beta]) for beta in (more, less)}
    detail = ", ".join(f"beta {beta:g}: {value:.4f}" for beta, value in steep.items())
    return _measurement(steep[more] / steep[less], detail, stored)


def dark_ground(results: Path) -> Measurement:
    """Share of the pixels of samples of digits that are below 0.1, smallest over the betas."""
    stored = load(results, "digits.npz")
    share = {beta: float((images < 0.1).mean()) for beta, images in stored.samples().items()}
    detail = ", ".join(f"beta {beta:g}: {value:.2f}" for beta, value in share.items())
    return _measurement(np.min(list(share.values())), detail, stored)


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function for function in (consistency, variety, recovery, smoothness, dark_ground)
}


def _known(stored: Stored) -> list[np.ndarray]:
    """Where an image was measured, bool (C, H, W): a hole is zero in M M^T x and hardly ever in the image.

    The bounding box of what is missing, since a pixel of the image inside the hole may be zero by itself.
    """
    found = []
    for original, measured in zip(stored["original"], stored["measured"], strict=True):
        missing = (measured == 0) & (original != 0)
        known = np.ones(original.shape, dtype=bool)
        if missing.any():
            rows, columns = (np.flatnonzero(missing.any(axis=axes)) for axes in ((0, 2), (0, 1)))
            known[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = False
        if known.all() or not known.any():
            raise NotTested("needs images with a hole")
        found.append(known)
    return found


def _gradient(images: np.ndarray) -> float:
    """Mean magnitude of the gradient of the mean over channels, one-pixel differences, images (n, C, H, W)."""
    gray = images.astype(float).mean(axis=1)
    across, down = np.diff(gray, axis=2)[:, :-1], np.diff(gray, axis=1)[:, :, :-1]
    return float(np.hypot(across, down).mean())


def _measurement(value: float, detail: str, stored: Stored) -> Measurement:
    return Measurement(float(value), detail, (stored.about["denoiser"],), str(stored.about.get("dataset", "")))
