"""The training loop: from a spec and images to a weights file."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from denoiser_priors.config import Denoiser
from denoiser_priors.data.images import Image
from denoiser_priors.errors import ConfigError, TrainingError
from denoiser_priors.files import write_text
from denoiser_priors.networks import zoo
from denoiser_priors.networks.precision import choose_device
from denoiser_priors.training import schedules
from denoiser_priors.training.batches import Batches
from denoiser_priors.training.checkpoint import Store, open_store
from denoiser_priors.training.interruption import Interruption, TrainingInterrupted
from denoiser_priors.training.losses import Diverged, decibels
from denoiser_priors.training.memory import keep_freed_memory
from denoiser_priors.training.reporting import Reporter, log_csv
from denoiser_priors.training.trainer import Trainer
from denoiser_priors.training.validation import validation_crops

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 60.0


def train(
    spec: Denoiser,
    images: Sequence[Image],
    validation: Sequence[Image],
    *,
    out: Path,
    log: Path,
    cache: Path,
    data_key: str,
    device: str | torch.device | None = None,
    progress: bool | None = None,
    threads: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> dict[str, Any]:
    """Train a denoiser, or go on with a training that was stopped, or take a finished one from the cache.

    The loss is the mean squared error over all pixels of the batch, for images in [0, 1]; `clip_grad_norm` bounds
    the norm of its gradient over all weights. (The authors' code sums the squares and divides by twice the batch;
    the factor between the two does not matter to Adam.) Patches, noise and everything else that is random are
    functions of (seed, step), and a checkpoint holds the rest, so where and how often a training is stopped, kill -9
    included, does not change a bit of its result on a CPU with the same number of threads.

    Args:
        spec: the network and how it is trained.
        images, validation: training and validation images.
        out: the weights (safetensors), written only when training is complete.
        log: CSV log, see `reporting.log_csv`; rewritten as a whole at the end of every epoch.
        cache: folder for checkpoints; the same settings and data find the same ones.
        data_key: stands for the training images; those of `validation` are looked at here.
        device: "cpu", "cuda", "cuda:1", ...; by default the environment variable DENOISER_PRIORS_DEVICE, else one
            GPU where there is one.
        progress: show a bar; by default only on a terminal.
        threads: of the CPU; torch's default otherwise.
        checkpoint_seconds: a checkpoint is written at the end of every epoch, and after so many seconds within one.

    Returns:
        Summary: what was kept (steps, epoch, validation PSNR, ...), whether all of it came from the cache (`reused`),
        and the speed of this run.

    Raises:
        DataError: an image is smaller than the patch, or there is no validation image.
        TrainingError: the loss is not finite, or training has diverged; the last good checkpoint is kept.
        TrainingInterrupted: after Ctrl-C or SIGTERM; a checkpoint has been written.
        DenoiserPriorsError: the disk is full.
    """
    try:
        device = choose_device(device)
    except ConfigError as error:
        raise TrainingError(str(error)) from None
    with _backend(threads), Interruption() as interruption:
        key = f"{data_key} {_content(validation)}"
        with open_store(cache, spec, key, waiting=lambda: _stop_waiting(spec, interruption)) as store:
            start = time.monotonic()
            trainer, first = _begin(spec, device, store)
            reused = trainer.finished
            if not reused:
                _run(trainer, store, images, validation, Path(log), interruption, progress, checkpoint_seconds)
            outcome = _write(trainer, Path(out), Path(log))
            seconds = time.monotonic() - start
            return {
                **outcome,
                "best_epoch": schedules.best_epoch(trainer.psnrs) + 1,
                "stopped_early": len(trainer.epochs) < spec.training.epochs,
                "reused": reused,
                "resumed_from_step": first,
                "seconds": round(seconds, 2),
                "steps_per_second": None if reused else round((trainer.step - first) / max(seconds, 1e-9), 3),
                "precision": spec.training.precision,
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
                "threads": torch.get_num_threads(),
            }


def _begin(spec: Denoiser, device: torch.device, store: Store) -> tuple[Trainer, int]:
    """A trainer at its newest checkpoint, and the step that it is at."""
    trainer = Trainer(spec, device)
    state = store.load()
    if state is None:
        return trainer, 0
    try:
        trainer.restore(state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        logger.warning("%s: the checkpoints in %s are of another version (%s); training anew", spec.name, store, error)
        return Trainer(spec, device), 0
    if trainer.finished:
        logger.info("%s: trained already, weights taken from %s", spec.name, store)
    else:
        logger.info("%s: going on from step %d", spec.name, trainer.step)
    return trainer, trainer.step


def _run(
    trainer: Trainer,
    store: Store,
    images: Sequence[Image],
    validation: Sequence[Image],
    log: Path,
    interruption: Interruption,
    progress: bool | None,
    checkpoint_seconds: float,
) -> None:
    """Train to the end, with a checkpoint after every epoch and every `checkpoint_seconds`."""
    spec = trainer.spec
    steps = spec.training.epochs * spec.training.steps_per_epoch
    crops = validation_crops(spec, validation)
    batches = Batches(spec, images, trainer.device)
    reporter = Reporter(spec.name, steps, trainer.step, progress)
    saved, saved_step = time.monotonic(), trainer.step

    def save() -> None:
        nonlocal saved, saved_step
        trainer.check()
        store.save(trainer.state())
        saved, saved_step = time.monotonic(), trainer.step

    def stop_if_asked() -> None:
        if interruption.requested:
            save()
            raise TrainingInterrupted(
                f"{spec.name}: stopped by {interruption.requested} after step {trainer.step} of {steps}; "
                "run the same command again to go on from there"
            )

    try:
        while not trainer.finished:
            stop_if_asked()
            # An earlier run can have been stopped between the last step of an epoch and the end of its validation.
            if not trainer.at_epoch_end:
                trainer.take_step(batches)
                reporter.step(trainer.step, decibels(trainer.losses.recent))
            if trainer.at_epoch_end:
                trainer.end_epoch(crops, between=stop_if_asked)
                save()
                write_text(log, log_csv(trainer.epochs))
                reporter.epoch(trainer.step, trainer.epochs[-1]["train_psnr"], trainer.psnrs[-1])
            elif time.monotonic() - saved >= checkpoint_seconds:
                save()
    except Diverged as error:
        if error.step == saved_step:
            # The weights of the newest checkpoint, finite as they are, are those that gave this loss.
            store.withdraw()
        raise trainer.explain(error) from None
    finally:
        batches.close()
        reporter.close()


def _write(trainer: Trainer, out: Path, log: Path) -> dict[str, Any]:
    """Write log and weights; how training went, as it stands in the weights file too."""
    write_text(log, log_csv(trainer.epochs))
    kept, model = len(trainer.epochs) - 1, trainer.kept()
    if trainer.spec.training.select == "best":
        kept = schedules.best_epoch(trainer.psnrs)
        model.load_state_dict(trainer.best)
    # Nothing that differs from run to run: the file depends on the spec and the data alone.
    outcome = {"steps": trainer.step, "epochs": len(trainer.epochs), "kept": trainer.epochs[kept]}
    zoo.save(model, out, trainer.spec.model_dump(mode="json"), {"training": outcome})
    return outcome


def _stop_waiting(spec: Denoiser, interruption: Interruption) -> None:
    if interruption.requested:
        raise TrainingInterrupted(f"{spec.name}: stopped by {interruption.requested} while waiting for another process")


def _content(images: Sequence[Image]) -> str:
    """Hash of images, names included."""
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        digest.update(f"{image.name} {image.pixels.shape} ".encode())
        digest.update(image.pixels.tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _backend(threads: int | None) -> Iterator[None]:
    """Torch with so many threads, and convolutions on a GPU tuned to the one shape that training has."""
    if threads is not None and threads < 1:
        raise TrainingError(f"threads must be at least 1, not {threads}")
    keep_freed_memory()
    before = torch.get_num_threads(), torch.backends.cudnn.benchmark
    try:
        torch.set_num_threads(threads or before[0])
        torch.backends.cudnn.benchmark = True
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.benchmark = before[1]
