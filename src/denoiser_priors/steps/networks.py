"""Datasets, and denoisers: trained on them, or fetched."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from denoiser_priors.config import Config, Denoiser
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.steps.common import configuration


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
