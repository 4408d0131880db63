"""Images of one's own, restored."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from denoiser_priors.steps.common import configuration, set_threads, weights_files


def restore(options: Namespace) -> None:
    """Restore an image file with a denoiser as prior."""
    from denoiser_priors.provenance import Stopwatch, write_provenance
    from denoiser_priors.restoration import command

    watch = Stopwatch()
    config = configuration(options)
    set_threads(options)
    names = ("kernel", "kernel_index", "turn_kernel", "estimate_kernel", "kernel_size", "kernel_out", "sigma")
    names += ("noise_adaptive", "prior_sigma", "factor", "pattern", "initial", "iterations", "variant", "precision")
    settings = {name: getattr(options, name) for name in names}
    written = command.restore_file(
        options.input,
        options.out,
        options.denoiser,
        task=options.task,
        **settings,
        seed=config.seed,
        config=config,
        device=options.device,
    )
    block = {"denoiser": options.denoiser, "task": options.task, "seed": config.seed}
    block |= {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    inputs = [options.input, *weights_files(options.denoiser, config), *([options.kernel] if options.kernel else [])]
    write_provenance(written, config=block, inputs=inputs, watch=watch, device=options.device)
    for path in written:
        print(path)
