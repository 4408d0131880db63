"""What each command does: reads, calls the rooms, writes results with their provenance."""

from __future__ import annotations

import inspect
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from denoiser_priors.config import Config, Denoiser, working_config
from denoiser_priors.errors import ConfigError, DataError, DenoiserPriorsError
from denoiser_priors.files import write_text


def configuration(options: Namespace) -> Config:
    """The configuration that a command line asks for."""
    config = working_config(options.config)
    mirror = getattr(options, "mirror", None)
    return config.model_copy(update={"mirror": mirror}) if mirror else config


def show_list(options: Namespace) -> None:
    """Print what there is, one line each."""
    config = configuration(options)
    if options.what == "denoisers":
        rows = [("NAME", "ARCHITECTURE", "BIAS", "SIGMA", "CHANNELS", "SOURCE", "RECIPE", "STATE")]
        for name, spec in config.denoisers_by_name().items():
            low, high = spec.noise_range
            state = "ready" if config.weights_path(name).is_file() else "-"
            bias = "biased" if spec.bias else "bias-free"
            kind = f"{low:g}-{high:g}" + (" uniform" if spec.noise == "uniform" else "")
            kind += " blur {:g}-{:g}".format(*spec.blur_range) if any(spec.blur_range) else ""
            rows.append((name, spec.architecture, bias, kind, str(spec.channels), spec.source, spec.recipe, state))
        from denoiser_priors import classical

        for name in classical.names():
            method = classical.METHODS[name]
            state = "ready" if method.available else f'pip install "denoiser-priors[{method.extra}]"'
            rows.append((name, "classical", "-", "told: --sigma", "1", "-", "-", state))
    elif options.what == "datasets":
        from denoiser_priors.data import registry

        rows = [("NAME", "IMAGES", "SIZE", "LICENCE", "STATE")]
        for name, dataset in registry.datasets().items():
            state = "ready" if (Path(config.paths.data) / name / "manifest.json").is_file() else "-"
            rows.append((name, dataset.title, f"{dataset.bytes / 1e6:.1f} MB", dataset.licence, state))
        rows += [(name, folder.images, "", "your own", "") for name, folder in config.datasets.items()]
    else:
        from denoiser_priors.documents import registry as documents

        if options.what == "figures":
            rows = [("TARGET", "WHAT")]
            rows += [
                (f"{d}_{i}", figure.title) for d in documents.documents() for i, figure in documents.figures(d).items()
            ]
        else:
            rows = [("CLAIM", "DOCUMENT", "SHOWN IN", "STATEMENT")]
            rows += [(c.id, d, c.figure, c.statement) for d in documents.documents() for c in documents.claims(d)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_config(options: Namespace) -> None:
    """Print the configuration or what the model says of itself."""
    import yaml

    from denoiser_priors.config import docs as config_docs

    if options.defaults:
        text = config_docs.documented_yaml()
    elif options.schema:
        text = config_docs.schema_yaml()
    elif options.docs:
        text = config_docs.reference_markdown()
    else:
        text = yaml.safe_dump(configuration(options).model_dump(mode="json"), sort_keys=False)
    sys.stdout.write(text)


def fetch(options: Namespace) -> None:
    """Download datasets."""
    from denoiser_priors.data import download, registry

    config = configuration(options)
    names = list(registry.datasets()) if options.all else options.datasets
    if not names:
        raise DataError("nothing to fetch: name datasets (see `denoiser-priors list datasets`) or give --all")
    for name in names:
        registry.dataset(name)
    for name in names:
        print(download.fetch(name, config.paths.data, mirror=config.mirror, offline=config.offline))


def train(options: Namespace) -> None:
    """Train one denoiser."""
    from denoiser_priors.provenance import Stopwatch, write_provenance

    watch = Stopwatch()
    config = configuration(options)
    spec = config.denoiser(options.name)
    if spec.source != "train":
        raise ConfigError(
            f"the denoiser {spec.name} is not trained but taken from elsewhere (source: {spec.source}); "
            f"run `denoiser-priors fetch-weights {spec.name}`"
        )
    out = options.out or config.weights_path(spec.name)
    log = options.log_csv or out.with_name("training.csv")
    images = _images(config, spec.dataset, spec, split="train")
    validation = _validation(config, spec, images)
    from denoiser_priors.data.images import content_hash
    from denoiser_priors.training.loop import train as run

    summary = run(
        spec,
        images,
        validation,
        out=out,
        log=log,
        cache=Path(config.paths.cache),
        data_key=content_hash(spec.dataset, folders=config.datasets),
        device=options.device,
        threads=options.threads,
    )
    block = spec.model_dump(mode="json")
    write_provenance([out, log], config=block, watch=watch, device=summary.get("device"), extra={"training": summary})


def _images(config: Config, dataset: str, spec: Denoiser, *, split: str) -> list:
    """The images of a dataset, fetched if need be, or of a user's folder."""
    from denoiser_priors.data import download
    from denoiser_priors.data.images import load_images

    if dataset in config.datasets:
        return load_images(dataset, config.paths.data, channels=spec.channels, folders=config.datasets)
    download.fetch(dataset, config.paths.data, mirror=config.mirror, offline=config.offline)
    return load_images(dataset, config.paths.data, split=split, channels=spec.channels)


def _validation(config: Config, spec: Denoiser, images: list) -> list:
    """Validation images: a dataset's, or else the centres of the first training images."""
    import dataclasses

    count = spec.training.validation_images
    if spec.validation is not None:
        return _images(config, spec.validation, spec, split="test")[:count]
    side = 128
    centres = []
    for image in images[:count]:
        height, width = image.pixels.shape[:2]
        top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
        centres.append(dataclasses.replace(image, pixels=image.pixels[top : top + side, left : left + side].copy()))
    return centres


def fetch_weights(options: Namespace) -> None:
    """Fetch and convert released weights, or check and copy a weights file of the user's."""
    from denoiser_priors.networks import released, zoo
    from denoiser_priors.provenance import Stopwatch, write_provenance

    watch = Stopwatch()
    config = configuration(options)
    spec = config.denoiser(options.name)
    if spec.source == "train":
        raise ConfigError(
            f"the denoiser {spec.name} has no released weights to fetch (source: train); "
            f"run `denoiser-priors train {spec.name}`"
        )
    out = options.out or config.weights_path(spec.name)
    block = spec.model_dump(mode="json", exclude={"training"})
    model = released.obtain(spec, config) if spec.source == "released" else zoo.load_spec(spec, config)
    zoo.save(model, out, block)
    write_provenance([out], config=block, inputs=[spec.weights] if spec.weights else [], watch=watch)


def evaluate(options: Namespace) -> None:
    """Measure one denoiser across noise levels."""
    from denoiser_priors.evaluation import api
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.provenance import Stopwatch, write_provenance
    from denoiser_priors.tables import write_csv

    watch = Stopwatch()
    config = configuration(options)
    _set_threads(options)
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

    _set_threads(options)
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
    _set_threads(options)
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


def restore(options: Namespace) -> None:
    """Restore an image file with a denoiser as prior."""
    from denoiser_priors.provenance import Stopwatch, write_provenance
    from denoiser_priors.restoration import command

    watch = Stopwatch()
    config = configuration(options)
    _set_threads(options)
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
    weights = (config.weights_path(options.denoiser), Path(options.denoiser), options.kernel)
    inputs = [options.input, *(path for path in weights if path and path.is_file())]
    write_provenance(written, config=block, inputs=inputs, watch=watch, device=options.device)
    for path in written:
        print(path)


def compute(options: Namespace) -> None:
    """Run one experiment of a document."""
    from denoiser_priors.documents import registry as documents
    from denoiser_priors.provenance import Stopwatch, write_provenance

    watch = Stopwatch()
    config = configuration(options)
    _set_threads(options)
    experiment = documents.experiment(options.document, options.experiment)
    chosen = {key: getattr(options, key) for key in ("denoiser", "part")}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    try:
        inspect.signature(experiment).bind(config, *options.out, **chosen)
    except TypeError as error:
        raise ConfigError(
            f"{options.document} {options.experiment}: not run that way ({error}); see --out, --denoiser and --part"
        ) from None
    inputs = experiment(config, *options.out, **chosen)
    block = getattr(config, options.document).model_dump(mode="json")
    write_provenance(options.out, config=block, inputs=inputs or (), watch=watch, device=options.device)


def draw(options: Namespace) -> None:
    """Draw one figure from results."""
    from denoiser_priors.documents import registry as documents

    config = configuration(options)
    documents.draw(options.document, options.figure, Path(config.paths.results), options.out)


def score(options: Namespace) -> None:
    """Decide the claims."""
    from denoiser_priors.documents import claims
    from denoiser_priors.provenance import Stopwatch, write_provenance

    watch = Stopwatch()
    config = configuration(options)
    results = Path(config.paths.results)
    outputs = options.out or [results / "scorecard.csv", results / "scorecard.md"]
    claims.write_scorecard(config, outputs)
    write_provenance(outputs, config={"preset": config.preset}, watch=watch)


def _set_threads(options: Namespace) -> None:
    if options.threads is not None:
        if options.threads < 1:
            raise DenoiserPriorsError(f"--threads must be at least 1, not {options.threads}")
        import torch

        torch.set_num_threads(options.threads)


def write_resolved(config: Config, path: str | Path) -> bool:
    """Write the whole configuration to `path` when it is not there already; returns whether it was written."""
    import yaml

    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    path = Path(path)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True
