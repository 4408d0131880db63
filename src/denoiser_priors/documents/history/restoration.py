"""Inversion by direct iteration: one step against many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.history import arrays, networks, plan, subjects
from denoiser_priors.documents.history.columns import INDI
from denoiser_priors.tables import write_csv

_PROTOCOL = "bias_free"


def indi(config: Config, out: Path, table: Path) -> list[Path]:
    """Test images degraded, and restored in one step and in more and more (figure_indi).

    Writes, of the first `shown` images, clean and degraded (n, C, H, W), restored (K, n, C, H, W), steps (K,), and
    `about`; and a table of INDI, a row per image and number of steps, 0 being the degraded image itself. Returns
    the inputs.

    Raises:
        CheckpointError: the network is not trained yet.
        DataError: a test image that cannot be used.
    """
    import torch

    from denoiser_priors.data.images import as_tensor
    from denoiser_priors.evaluation.protocols import get_protocol
    from denoiser_priors.metrics.quality import Lpips
    from denoiser_priors.samplers.direct_iteration import restore
    from denoiser_priors.training.direct_iteration import degraded

    settings, protocol = config.history.indi, get_protocol(_PROTOCOL)
    network = networks.load(config, "indi")
    _, images = subjects.restoration_images(config)
    told = networks.spec(config, "indi", (settings.channels, settings.patch, settings.patch))
    measure = Lpips(config.paths.data)
    steps = sorted(set(settings.iterations))
    rows, kept = [], []
    for image in images:
        clean = as_tensor(image)[None]
        y = degraded(told, clean, ("indi", config.seed, image.name))
        found = [y, *(restore(network, y, count).cpu() for count in steps)]
        for count, x in zip((0, *steps), found, strict=True):
            x = protocol.denoised(x)
            psnr, ssim = protocol.psnr(x, clean).item(), protocol.ssim(x, clean).item()
            distance = measure(x, clean).item()
            rows.append((settings.dataset, image.name, *clean.shape[-2:], count, psnr, ssim, distance, _PROTOCOL))
        if len(kept) < settings.shown:
            kept.append((clean[0], y[0], torch.cat(found[1:])))
    shape = kept[0][0].shape
    kept = [each for each in kept if each[0].shape == shape]
    said = {
        "dataset": settings.dataset,
        "factor": settings.factor,
        "noise": settings.noise,
        "images": [image.name for image in images],
        "learner": settings.learner.model_dump(mode="json"),
        "preset": config.preset,
    }
    clean, blurred, restored = (torch.stack(each) for each in zip(*kept, strict=True))
    arrays.save(out, said, clean=clean, degraded=blurred, restored=restored.transpose(0, 1), steps=np.array(steps))
    write_csv(pd.DataFrame(rows, columns=list(INDI)), table)
    return [plan.weights(config, "indi"), Path(config.paths.data) / "lpips-alexnet" / "manifest.json"]


EXPERIMENTS = {"indi": indi}
