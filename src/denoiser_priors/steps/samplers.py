"""Samples from the prior that is implicit in a denoiser, and what they restore."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from denoiser_priors.config import Config
from denoiser_priors.errors import DataError
from denoiser_priors.steps.common import configuration, set_threads, weights_files


def sample(options: Namespace) -> None:
    """Draw samples from the prior of one denoiser."""
    from denoiser_priors.evaluation import api
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.provenance import Stopwatch, write_provenance
    from denoiser_priors.samplers import command

    watch = Stopwatch()
    config = configuration(options)
    set_threads(options)
    device = choose_device(options.device)
    network, label = api.resolve(options.name, config, device)
    settings = _sampler_settings(options, config)
    settings |= {"size": options.size, "n": options.n, "intermediates": options.intermediates}
    written = command.sample(network, options.out, name=label, progress=True, **settings)
    inputs = weights_files(options.name, config)
    write_provenance(written, config={"denoiser": label, **settings}, inputs=inputs, watch=watch, device=device)
    for path in written:
        print(path)


def solve(options: Namespace) -> None:
    """Restore images from linear measurements."""
    from denoiser_priors.evaluation import api
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.provenance import Stopwatch, write_provenance
    from denoiser_priors.samplers import restore

    watch = Stopwatch()
    config = configuration(options)
    set_threads(options)
    if options.out.resolve() == options.input.resolve():
        raise DataError(f"{options.out}: the output would be mixed with the input; choose another folder.")
    chosen = {key: getattr(options, key) for key in ("hole", "position", "mask", "keep", "factor")}
    task = restore.Task(options.task, **chosen)
    device = choose_device(options.device)
    network, label = api.resolve(options.name, config, device)
    images = restore.load(options.input, getattr(network, "channels", None))
    settings = _sampler_settings(options, config)
    settings |= {"samples": options.samples, "protocol": options.protocol}
    written = restore.solve(network, images, task, options.out, name=label, progress=True, **settings)
    block = {"denoiser": label, "task": options.task, "setting": task.setting, **chosen, **settings}
    read = sorted(options.input.iterdir()) if options.input.is_dir() else [options.input]
    inputs = [*(path for path in read if path.is_file() and not path.name.startswith(".")), options.mask]
    inputs = [path for path in inputs if path] + weights_files(options.name, config)
    write_provenance(written, config=block, inputs=inputs, watch=watch, device=device)
    for path in written:
        print(path)


def _sampler_settings(options: Namespace, config: Config) -> dict[str, Any]:
    """Keyword arguments of the samplers; noise levels on the [0, 1] scale."""
    return {
        "beta": options.beta,
        "h_0": options.h0,
        "sigma_0": options.sigma_0,
        "sigma_L": options.sigma_l,
        "seed": config.seed if options.seed is None else options.seed,
        "max_iterations": options.max_iterations,
        "final": options.final,
        "precision": options.precision,
    }
