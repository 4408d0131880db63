"""The table of all denoisers that a configuration declares: what each is and where it comes from."""

from __future__ import annotations

import csv
import io

from denoiser_priors.config import Config

COLUMNS = (
    "denoiser",
    "architecture",
    "bias",
    "noise_low",
    "noise_high",
    "trained_on",
    "blur_low",
    "blur_high",
    "training_set",
    "channels",
    "seed",
    "source",
    "recipe",
    "preset",
)


def inventory(config: Config) -> str:
    """The table as CSV text, one row per denoiser in the configuration's order.

    Columns: denoiser, architecture, bias (True or False), noise_low and noise_high (training range of sigma, [0, 255]
    scale), trained_on (gaussian or uniform noise), blur_low and blur_high (training range of Gaussian blur, pixels),
    training_set, channels, seed, source, recipe, preset.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, spec in config.denoisers_by_name().items():
        low, high = spec.noise_range
        writer.writerow(
            (
                name,
                spec.architecture,
                spec.bias,
                f"{low:g}",
                f"{high:g}",
                spec.noise,
                *(f"{width:g}" for width in spec.blur_range),
                spec.dataset,
                spec.channels,
                spec.seed,
                spec.source,
                spec.recipe,
                config.preset,
            )
        )
    return text.getvalue()
