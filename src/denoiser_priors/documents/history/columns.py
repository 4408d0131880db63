"""Columns of the document's tables, for those who write and those who read them."""

from __future__ import annotations

_CURVE = ("sigma", "images", "input_psnr", "psnr")

CURVES = ("family", "dataset", "size", "network", "half", "split", *_CURVE)
"""PSNR curves of the ladder: sigma on the [0, 1] scale."""

SLOPE_CURVES = ("alpha", "network", "split", *_CURVE)

GENERALIZATION = (
    "family",
    "dataset",
    "size",
    "samples",
    "between",
    "between_se",
    "own",
    "own_se",
    "other",
    "difference",
    "train_psnr_slope",
    "test_psnr_slope",
    "gap",
    "test_psnr_low",
    "sigma_low",
    "images_test",
)
"""Means of cosine similarities, see `ladder.generalization`; difference = between - own; PSNR in dB."""

SLOPES = ("alpha", "network", "slope", "slope_train", "theory", "stated", "low", "high", "images")

INDI = ("dataset", "image", "height", "width", "steps", "psnr", "ssim", "lpips", "protocol")

TIMELINE = (
    "method",
    "year",
    "denoiser",
    "dataset",
    "sigma",
    "images",
    "input_psnr",
    "psnr",
    "psnr_se",
    "ssim",
    "lpips",
    "seconds",
    "gain_worst",
    "published",
    "difference",
    "precision",
    "protocol",
    "processor",
    "source",
)
"""sigma on the [0, 255] scale; gain_worst: of all images, the smallest gain over the noisy one in dB."""

TEXT = ("denoiser", "dataset", "image", "noise", "protocol", "precision", "processor", "family", "network", "half")
"""Columns that stay text even where they look like numbers."""
