"""Errors that are addressed to the user: each names what is wrong, what was expected, and what to do."""

from __future__ import annotations

import os
import shlex


class DenoiserPriorsError(Exception):
    """Base of every error that the command prints as one message, without a traceback (exit status 2)."""


class ConfigError(DenoiserPriorsError):
    """The configuration is wrong: unknown key or name, value out of range."""


class DataError(DenoiserPriorsError):
    """A dataset, image or image folder cannot be used."""


class DownloadError(DataError):
    """A file could not be fetched from any source, or what came is not what was expected."""


class CheckpointError(DenoiserPriorsError):
    """A weights file or training checkpoint cannot be used."""


class TrainingError(DenoiserPriorsError):
    """Training cannot go on (for example, the loss is not finite)."""


class ResultError(DenoiserPriorsError):
    """A result that a later step needs is missing or malformed."""


class OperatorError(DenoiserPriorsError):
    """A measurement operator that cannot be built, does not fit an image, or is no projection."""


class SamplingError(DenoiserPriorsError):
    """A sampler that cannot start, or that diverges.

    Attributes:
        partial: what there was when it stopped (`samplers.coarse_to_fine.Samples`, its images the last finite
            iterates), or None where it did not start.
    """

    def __init__(self, message: str, partial=None):
        super().__init__(message)
        self.partial = partial


def remake(path: str | os.PathLike, what: str = "it") -> str:
    """What to do about a result that is no good; `what` is to be deleted.

    Deleting it is not enough: where what was made from it is still there, Snakemake makes it again only when asked for.
    """
    command = f"snakemake --cores 2 {shlex.quote(str(path))}"
    return f"Delete {what}, make it again by `{command}`, with the options of the run before, and go on."
