"""Samples from the prior that is implicit in a denoiser, from posteriors, and what they restore."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from denoiser_priors.config import Config
from denoiser_priors.errors import DataError
from denoiser_priors.steps.common import configuration, set_threads, weights_files

if TYPE_CHECKING:
    from denoiser_priors.samplers.noisy_files import Missing


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


def posterior(options: Namespace) -> None:
    """Draw samples from the posterior of noisy images."""
    _langevin(options, None)


def inpaint(options: Namespace) -> None:
    """Draw samples from the posterior of noisy images with missing pixels."""
    from denoiser_priors.samplers.noisy_files import Missing

    keys = ("mask", "invert", "rows", "layout", "text", "line_height")
    _langevin(options, Missing(**{key: getattr(options, key) for key in keys}))


def _langevin(options: Namespace, missing: Missing | None) -> None:
    from denoiser_priors.evaluation import api
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.provenance import Stopwatch, write_provenance
    from denoiser_priors.samplers import noisy_files, posterior_command

    watch = Stopwatch()
    config = configuration(options)
    set_threads(options)
    noisy_files.check_sigma(options.sigma0, zero=missing is not None)
    device = choose_device(options.device)
    network, label = api.resolve(options.name, config, device)
    keys = ("schedule", "levels", "steps_per_level", "epsilon", "samples", "final", "precision")
    keys += ("intermediates", "protocol") + (() if missing is None else ("highest",))
    settings = {key: getattr(options, key) for key in keys}
    settings["seed"] = config.seed if options.seed is None else options.seed
    plan = posterior_command.Plan(**settings, progress=True)
    source = {"clean": options.clean, "add_noise": options.add_noise, "seed": settings["seed"], "missing": missing}
    given, mask = noisy_files.load(options.image, options.sigma0, getattr(network, "channels", None), **source)
    block = {"denoiser": label, "sigma_0": options.sigma0, "add_noise": options.add_noise, **settings}
    if missing is None:
        block["classical"] = options.classical
        written = posterior_command.denoise(
            network, given, options.sigma0, options.out, plan, name=label, classical=options.classical
        )
    else:
        block["missing"] = vars(missing)
        written = posterior_command.inpaint(network, given, mask, options.sigma0, options.out, plan, name=label)
    inputs = [*given.files, *([missing.mask] if missing and missing.mask else []), *weights_files(options.name, config)]
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
