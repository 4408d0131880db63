"""Denoisers measured, applied and taken apart; residuals tested."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from denoiser_priors.errors import ConfigError
from denoiser_priors.steps.common import configuration, set_threads


def evaluate(options: Namespace) -> None:
    """Measure one denoiser across noise levels."""
    from denoiser_priors.evaluation import api
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.provenance import Stopwatch, write_provenance
    from denoiser_priors.tables import write_csv

    watch = Stopwatch()
    config = configuration(options)
    set_threads(options)
    device = choose_device(options.device)
    settings: dict[str, Any] = {
        "dataset": options.dataset,
        "images": options.images,
        "sigma": options.sigma,
        "noise": options.noise,
        "draws": options.draws,
        "limit": options.limit,
        "protocol": options.protocol,
        "lpips": not options.no_lpips,
        "seed": config.seed,
    }
    table = api.evaluate(options.name, **settings, config=config, device=device)
    write_csv(table, options.out)
    weights = config.weights_path(options.name)
    inputs = [weights] if weights.is_file() else []
    write_provenance(
        [options.out],
        config={"denoiser": options.name, **settings},
        inputs=inputs,
        watch=watch,
        device=device,
    )


def denoise(options: Namespace) -> None:
    """Denoise files."""
    from denoiser_priors.evaluation import api

    set_threads(options)
    api.denoise_file(
        options.input,
        options.output,
        options.denoiser,
        config=configuration(options),
        device=options.device,
        sigma=options.sigma,
    )


def analyze(options: Namespace) -> None:
    """Take one denoiser apart."""
    from denoiser_priors.analysis import command
    from denoiser_priors.evaluation import api
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.provenance import Stopwatch, write_provenance

    watch = Stopwatch()
    config = configuration(options)
    set_threads(options)
    device = choose_device(options.device)
    for key in ("limit", "memory_mb"):
        value = getattr(options, key)
        if value is not None and value < 1:
            raise ConfigError(f"--{key.replace('_', '-')} must be at least 1, not {value}")
    network, label = api.resolve(options.name, config, device)
    if hasattr(network, "at"):
        raise ConfigError(f"analyze takes networks; {label} is a classical method, which has no derivatives here")
    channels = getattr(network, "channels", None)
    dataset, images = api.test_images(options.dataset, options.images, channels, options.limit, config)
    settings = {"patch": options.patch, "seed": config.seed, "memory_mb": options.memory_mb}
    written = command.analyze(
        network, images, options.sigma, options.out, name=label, dataset=dataset, **settings, progress=True
    )
    weights = next((path for path in (config.weights_path(options.name), Path(options.name)) if path.is_file()), None)
    block = {"denoiser": label, "dataset": dataset, "sigma": options.sigma, "limit": options.limit, **settings}
    write_provenance(written, config=block, inputs=[weights] if weights else [], watch=watch, device=device)
    for path in written:
        print(path)


def check_residual(options: Namespace) -> None:
    """Test whether what was removed from images could be the noise."""
    from denoiser_priors.metrics import residual_command
    from denoiser_priors.provenance import Stopwatch, write_provenance
    from denoiser_priors.tables import write_csv

    watch = Stopwatch()
    settings = {"sigma": options.sigma, "alpha": options.alpha}
    table, inputs = residual_command.check(options.noisy, options.denoised, **settings)
    if options.out:
        write_csv(table, options.out)
        write_provenance([options.out], config=settings, inputs=inputs, watch=watch)
    print(residual_command.report(table, alpha=options.alpha), end="")
