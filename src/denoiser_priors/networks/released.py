"""The authors' released weights: which there are, and their conversion to networks of this suite, tensor by tensor.

Three formats are known. `bias_free_denoising` (Mohan et al. 2020) saves a training checkpoint whose "model" is a list
of one state dictionary: DnCNN, R-CNN, UNet. `universal_inverse_problem` (Kadkhodaie and Simoncelli 2021) saves that of
BF-CNN, a bias-free DnCNN that keeps standard deviations where ours keeps variances; its output is the noise. DMSP
(Bigdeli et al. 2017) saves the layers of a MatConvNet network, see `networks.dae`; its `parameters` in the table count
those of a batch norm that does nothing.
"""

from __future__ import annotations

import argparse
import csv
import logging
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoiser_priors.errors import CheckpointError, ConfigError
from denoiser_priors.networks import zoo
from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.dae import load_dae
from denoiser_priors.networks.layers import BiasFreeBatchNorm2d

_LOG = logging.getLogger(__name__)

# Theirs -> ours; None: not used by the network. The first pattern that fits counts.
_DNCNN = (
    (r"first_layer\.(\w+)", r"first.\1"),
    (r"hidden_layer_list\.(\d+)\.(\w+)", r"hidden.\1.\2"),
    (r"bn_layer_list\.(\d+)\.(\w+)", r"norms.\1.\2"),
    (r"last_layer\.(\w+)", r"last.\1"),
)
_BIAS_FREE_DNCNN = ((r"bn_layer_list\.\d+\.(bias|running_mean|num_batches_tracked)", None), *_DNCNN)
_RCNN = tuple((rf"cnn\.{theirs}", f"cnn.{ours}") for theirs, ours in _DNCNN if "bn_layer" not in theirs)
_UNET = ((r"conv9\.(\w+)", r"last.\1"), (r"(conv[1-8]\.\w+)", r"\1"))


@dataclass(frozen=True)
class Checkpoint:
    """A released weights file: `parameters` are those the network uses, `parameters_stored` those in the file."""

    id: str
    architecture: str
    bias: bool
    channels: int
    noise_range: tuple[float, float]
    parameters_stored: int
    parameters: int
    source: str


@cache
def _table() -> dict[str, Checkpoint]:
    with (Path(__file__).parent / "released.csv").open(newline="", encoding="utf-8") as stream:
        return {
            row["id"]: Checkpoint(
                id=row["id"],
                architecture=row["architecture"],
                bias=row["bias"] == "true",
                channels=int(row["channels"]),
                noise_range=(float(row["noise_low"]), float(row["noise_high"])),
                parameters_stored=int(row["parameters_stored"]),
                parameters=int(row["parameters"]),
                source=row["source"],
            )
            for row in csv.DictReader(stream)
        }


CHECKPOINTS: dict[str, Checkpoint] = _table()


def checkpoint_of(spec: Any) -> Checkpoint:
    """The released checkpoint that a denoiser of the configuration stands for.

    By its id in `spec.released`, else the one of the same architecture, bias, channels and noise range.

    Raises:
        ConfigError: there is none; says which there are.
    """
    if spec.released is not None:
        if spec.released not in CHECKPOINTS:
            raise ConfigError(
                f"denoiser {spec.name}: no released checkpoint {spec.released!r}; known: {', '.join(CHECKPOINTS)}"
            )
        checkpoint = CHECKPOINTS[spec.released]
    else:
        same = (spec.architecture, spec.bias, spec.channels, tuple(spec.noise_range))
        fitting = (c for c in CHECKPOINTS.values() if (c.architecture, c.bias, c.channels, c.noise_range) == same)
        checkpoint = next(fitting, None)
        if checkpoint is None:
            raise ConfigError(
                f"denoiser {spec.name}: the authors released no such weights; known: {', '.join(CHECKPOINTS)}. "
                "Use `source: train`."
            )
    for key in ("architecture", "bias", "channels"):
        if getattr(spec, key) != getattr(checkpoint, key):
            raise ConfigError(
                f"denoiser {spec.name}: {key} is {getattr(spec, key)!r}, but the released checkpoint {checkpoint.id} "
                f"has {getattr(checkpoint, key)!r}"
            )
    return checkpoint


def obtain(spec: Any, config: Any) -> Denoiser:
    """Fetch (once) and convert the released weights of a denoiser of the configuration.

    Raises:
        ConfigError: no such released weights.
        DownloadError: they cannot be fetched.
        CheckpointError: they are not what they should be.
    """
    from denoiser_priors.data.download import fetch_checkpoint

    checkpoint = checkpoint_of(spec)
    path = fetch_checkpoint(checkpoint.id, config.paths.data, mirror=config.mirror, offline=config.offline)
    model = convert(path, checkpoint.architecture, checkpoint.bias, checkpoint.channels)
    model.metadata |= {"name": spec.name, "noise_range": list(checkpoint.noise_range), "released": checkpoint.id}
    return model


def convert(
    source_path: str | Path,
    architecture: str | None = None,
    bias: bool | None = None,
    channels: int | None = None,
) -> Denoiser:
    """The network in a released weights file, in evaluation mode, not folded, on the CPU.

    The file is unpickled with tensors, plain containers and `argparse.Namespace` allowed, and nothing else.

    Args:
        source_path: `.pt` file, or a `.mat` file of MatConvNet (see `networks.dae`).
        architecture, bias, channels: what the file is expected to hold; None: whatever it holds.

    Raises:
        CheckpointError: no such file, damaged, anything in it but tensors and settings, an unknown format, another
            network than expected, or a tensor missing, unknown, of another shape or type, or not finite.
    """
    path = Path(source_path)
    autoencoder = load_dae(path) if path.suffix == ".mat" else None
    state = {} if autoencoder else _read(path)
    found_architecture, found_bias, found_channels = (
        (autoencoder.architecture, autoencoder.bias, autoencoder.channels) if autoencoder else _identify(state, path)
    )
    for key, found, wanted in (
        ("architecture", found_architecture, architecture),
        ("bias", found_bias, bias),
        ("channels", found_channels, channels),
    ):
        if wanted is not None and found != wanted:
            raise CheckpointError(
                f"{path}: {key} is {found!r}, expected {wanted!r}. These are another network's weights."
            )

    if autoencoder:
        return autoencoder
    with torch.device("meta"):
        model = zoo.ARCHITECTURES[found_architecture](found_channels, found_bias)
    if "gammas.0" in state:
        tensors, unused = _from_universal_inverse_problem(state), []
    else:
        patterns = {"dncnn": _DNCNN if found_bias else _BIAS_FREE_DNCNN, "rcnn": _RCNN, "unet": _UNET}
        tensors, unused = _renamed(state, patterns[found_architecture], path)
    zoo.assign_checked(model, tensors, path)
    if unused:
        kinds = sorted({name.rsplit(".", 1)[-1] for name in unused})
        _LOG.info(
            "%s: dropped %d tensors of batch norm that the network does not use: %s",
            path,
            len(unused),
            ", ".join(kinds),
        )
    model.metadata = {
        "architecture": found_architecture,
        "bias": found_bias,
        "channels": found_channels,
        "network": model.network,
        "converted_from": path.name,
    }
    return model.eval()


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch comments on odd files before refusing them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError):
        raise CheckpointError(f"{path}: no such weights file.") from None
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: refused: it holds something other than tensors and settings, which could run code when read. "
            "Expected weights as the authors released them."
        ) from None
    except Exception as error:  # a damaged archive surfaces as almost any type
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: cannot be read as weights ({reason}). Download the file again.") from None
    if isinstance(content, Mapping) and isinstance(content.get("model"), list) and len(content["model"]) == 1:
        content = content["model"][0]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(
            f"{path}: unknown format. Expected released weights of bias_free_denoising or universal_inverse_problem, "
            "or a .safetensors file of this suite."
        )
    return {str(name): tensor.detach().clone().contiguous() for name, tensor in content.items()}


def _identify(state: Mapping[str, Tensor], path: Path) -> tuple[str, bool, int]:
    """Architecture, bias and channels, from the names of the tensors and the shape of the first layer."""
    for first, architecture, inputs_per_channel in (
        ("first_layer", "dncnn", 1),
        ("cnn.first_layer", "rcnn", 2),
        ("conv1", "unet", 1),
        ("conv_layers.0", "dncnn", 1),
    ):
        weight = state.get(f"{first}.weight")
        if weight is not None and weight.ndim == 4:
            return architecture, f"{first}.bias" in state, 3 if weight.shape[1] == 3 * inputs_per_channel else 1
    raise CheckpointError(
        f"{path}: its tensors are not those of a released DnCNN, R-CNN, UNet or BF-CNN (first: {min(state)!r})."
    )


def _renamed(state: Mapping[str, Tensor], patterns: tuple, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    tensors, unused = {}, []
    for theirs, tensor in state.items():
        fits = ((re.fullmatch(pattern, theirs), ours) for pattern, ours in patterns)
        match, ours = next((fit for fit in fits if fit[0]), (None, None))
        if match is None:
            raise CheckpointError(f"{path}: has an unknown tensor {theirs!r}.")
        if ours is None:
            unused.append(theirs)
        else:
            tensors[match.expand(ours)] = tensor
    return tensors, unused


def _from_universal_inverse_problem(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    eps = BiasFreeBatchNorm2d(1).eps
    tensors = {}
    for theirs, tensor in state.items():
        kind, _, index = theirs.removesuffix(".weight").partition(".")
        if kind == "conv_layers" and index.isdigit():
            layer = {0: "first", 19: "last"}.get(int(index), f"hidden.{int(index) - 1}")
            tensors[f"{layer}.weight"] = tensor
        elif kind == "gammas":
            tensors[f"norms.{index}.weight"] = tensor.flatten()
        elif kind == "running_sd":
            # Theirs divides by the deviation itself, ours by sqrt(variance) + eps.
            tensors[f"norms.{index}.running_var"] = (tensor.flatten() - eps).square()
        else:
            tensors[theirs] = tensor
    return tensors
