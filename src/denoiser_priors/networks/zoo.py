"""The zoo: networks by name, their weights in safetensors files, and `load_denoiser`, which finds either."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from denoiser_priors.errors import CheckpointError, ConfigError
from denoiser_priors.files import atomic_path
from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.densenet import DenseNet
from denoiser_priors.networks.dncnn import DnCNN
from denoiser_priors.networks.layers import initialise
from denoiser_priors.networks.ncsnv2_denoiser import NCSNv2Denoiser
from denoiser_priors.networks.pyramid import Pyramid, TimedPyramid
from denoiser_priors.networks.rcnn import RCNN
from denoiser_priors.networks.unet import UNet
from denoiser_priors.provenance import require_unaltered

ARCHITECTURES: dict[str, type[Denoiser]] = {cls.architecture: cls for cls in (DnCNN, RCNN, UNet, DenseNet)}
"""Blind networks, which find out the noise level themselves."""

TOLD: dict[str, type[Denoiser]] = {cls.architecture: cls for cls in (NCSNv2Denoiser, TimedPyramid)}
"""Networks that are told the noise level, or the time."""

OTHERS: dict[str, type[Denoiser]] = {cls.architecture: cls for cls in (Pyramid,)}
"""Blind networks of single documents, which the configuration's `denoisers` cannot name."""

_METADATA_KEY = "denoiser_priors"


def build(architecture: str, *, bias: bool, channels: int = 1, seed: int = 0, **network: Any) -> Denoiser:
    """A new network, float32 on the CPU, in training mode, its weights a function of `seed` and the sizes alone.

    Args:
        architecture: a key of `ARCHITECTURES`, `TOLD` or `OTHERS`.
        bias: with additive constants, or bias-free. Twins of one seed start from the same filters.
        channels: 1 (gray) or 3 (colour).
        seed: of the initial weights; the global random state is neither used nor changed.
        network: sizes that differ from the defaults of the class.

    Raises:
        ConfigError: unknown architecture or size.
    """
    cls = _architecture(architecture)
    sizes = cls.sizes(**network)
    with torch.random.fork_rng(devices=[]):
        model = cls(channels, bias, **sizes)
    if isinstance(model, NCSNv2Denoiser):
        model.initialise_(seed)
    else:
        initialise(model, seed)
        model.start_as_identity_()
    return model


def fold(model: Denoiser) -> Denoiser:
    """A copy for evaluation: batch norm merged into the convolutions, weights frozen; convolutions and ReLU remain."""
    model = copy.deepcopy(model).eval()
    model.fold_()
    model.folded = True
    return model.requires_grad_(False)


def save(model: Denoiser, path: str | os.PathLike, spec: Mapping[str, Any], extra: Mapping | None = None) -> None:
    """Write the weights, float32, with a description that `load` rebuilds the network from, in one step.

    Args:
        path: of the safetensors file.
        spec: what else the description holds, JSON values: name, noise_range, ... Architecture, bias, channels and
            sizes are those of `model`, whatever `spec` says.
        extra: kept in the description under "extra".

    Raises:
        ValueError: a folded network.
        DenoiserPriorsError: the file cannot be written; nothing is left of it.
    """
    if model.folded:
        raise ValueError("a folded network cannot be saved: save the network it was folded from")
    description = {
        **spec,
        "architecture": model.architecture,
        "bias": model.bias,
        "channels": model.channels,
        "network": model.network,
    }
    if extra is not None:
        description["extra"] = dict(extra)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_path(path) as temporary:
        # Written by us and not by the library, whose errors do not tell a full disk from others.
        temporary.write_bytes(serialise(tensors, {_METADATA_KEY: json.dumps(description, sort_keys=True)}))


def load(path: str | os.PathLike, *, expect: Mapping[str, Any] | None = None) -> Denoiser:
    """The network in a safetensors file written by `save`, in evaluation mode, not folded, on the CPU.

    Its `metadata` is the description in the file.

    Args:
        expect: values that the description must have, for instance {"architecture": "unet", "bias": False}.

    Raises:
        CheckpointError: no such file, damaged or altered, not written by this suite, another network than expected, or
            a tensor missing, unknown, of another shape or type, or not finite; names the file, the key and what was
            expected.
    """
    path = Path(path)
    require_unaltered(path, CheckpointError)
    description, tensors = _read(path)
    for key, wanted in (expect or {}).items():
        found = description.get(key)
        if found != _as_json(wanted):
            raise CheckpointError(
                f"{path}: {key} is {found!r}, expected {_as_json(wanted)!r}. These are another network's weights."
            )
    try:
        cls = _architecture(description["architecture"])
        sizes = cls.sizes(**description["network"])
        bias, channels = description["bias"], description["channels"]
        # True and 1.0 equal 1, and are no number of channels.
        if not isinstance(bias, bool) or type(channels) is not int or channels not in (1, 3):
            raise ConfigError(f"bias {bias!r}, channels {channels!r}")
    except KeyError as error:
        raise CheckpointError(f"{path}: its description lacks {error}; it was not written by this suite.") from None
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"{path}: its description does not name a network of this suite ({error}).") from None
    with torch.device("meta"):
        model = cls(channels, bias, **sizes)
    assign_checked(model, tensors, path)
    model.metadata = description
    return model.eval()


def assign_checked(model: Denoiser, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Give `model` the `tensors` for its weights, after checking names, shapes, types and values of all of them.

    Raises:
        CheckpointError: naming `path`, the tensor and what was expected.
    """
    wanted = model.state_dict()
    kind = f"{'biased' if model.bias else 'bias-free'} {model.architecture}"
    for word, names in (("lacks", wanted.keys() - tensors.keys()), ("has an unknown", tensors.keys() - wanted.keys())):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise CheckpointError(
                f"{path}: {word} tensor {min(names)!r}{more}; expected the {len(wanted)} tensors of a {kind}."
            )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, expected {tuple(wanted[name].shape)} in this {kind}."
            )
        if tensor.dtype != wanted[name].dtype:
            raise CheckpointError(f"{path}: {name} is {tensor.dtype}, expected {wanted[name].dtype}.")
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{path}: {name} has values that are not finite. Train or download the weights again."
            )
    model.load_state_dict(tensors, assign=True)


def load_denoiser(
    name_or_spec_or_path: Any, config: Any = None, *, device: torch.device | str | None = None
) -> Denoiser:
    """A denoiser ready for use: a module from (N, C, H, W) float in [0, 1] to the same, folded, in evaluation mode.

    Args:
        name_or_spec_or_path: name of a denoiser of the configuration; or what `Config.denoiser` returns for it; or the
            path of a weights file, `.safetensors` of this suite, `.pt` or `.mat` of the authors' released weights.
        config: a `Config`, the path of a configuration file or several, or None for that of the working folder.
        device: where the network goes; the CPU by default.

    Raises:
        ConfigError: unknown name.
        CheckpointError: weights that are missing (says how to make them), damaged, or of another network.
        DownloadError: released weights that cannot be fetched.
    """
    if _is_path(name_or_spec_or_path):
        model = _load_file(Path(name_or_spec_or_path))
    else:
        config = _as_config(config)
        spec = name_or_spec_or_path
        model = load_spec(config.denoiser(spec) if isinstance(spec, str) else spec, config)
    return fold(model).to(device or "cpu")


def load_spec(spec: Any, config: Any) -> Denoiser:
    """The network of a denoiser of the configuration, in evaluation mode, not folded. Errors as `load_denoiser`."""
    expect = {"architecture": spec.architecture, "bias": spec.bias, "channels": spec.channels}
    if spec.source == "file":
        return _load_file(Path(spec.weights), expect)
    path = config.weights_path(spec.name)
    if path.exists():
        if spec.source == "train":
            expect["network"] = _architecture(spec.architecture).sizes(**spec.network)
        return load(path, expect=expect)
    if spec.source == "released":
        from denoiser_priors.networks import released

        return released.obtain(spec, config)
    raise CheckpointError(
        f"{path}: the denoiser {spec.name} is not trained yet. Train it with `denoiser-priors train {spec.name}` "
        f"or `snakemake --cores 2 {path}`."
    )


def _load_file(path: Path, expect: Mapping[str, Any] | None = None) -> Denoiser:
    if path.suffix == ".safetensors":
        return load(path, expect=expect)
    if expect is not None and expect["architecture"] == NCSNv2Denoiser.architecture:
        return NCSNv2Denoiser.from_released(path, channels=expect["channels"])
    from denoiser_priors.networks import released

    return released.convert(path, **(expect or {}))


def _is_path(value: Any) -> bool:
    if isinstance(value, str):
        return Path(value).suffix in (".safetensors", ".pt", ".pth", ".mat") or os.sep in value
    return isinstance(value, os.PathLike)


def _as_config(config: Any) -> Any:
    from denoiser_priors.config import working_config

    if isinstance(config, (str, os.PathLike)):
        return working_config([config])
    return working_config(config or ()) if config is None or isinstance(config, Sequence) else config


def _architecture(name: str) -> type[Denoiser]:
    known = {**ARCHITECTURES, **TOLD, **OTHERS}
    if name not in known:
        raise ConfigError(f"unknown architecture {name!r}; expected one of {', '.join(known)}")
    return known[name]


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (FileNotFoundError, IsADirectoryError):
        raise CheckpointError(f"{path}: no such weights file.") from None
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: not a safetensors file, or a damaged one ({error}). Train or download the weights again."
        ) from None
    try:
        description = json.loads(metadata[_METADATA_KEY])
        if not isinstance(description, dict) or not isinstance(description.get("network", {}), dict):
            raise ValueError
    except (KeyError, ValueError):
        raise CheckpointError(
            f"{path}: holds tensors but not the description that this suite writes with them; expected a weights file "
            "made by `denoiser-priors train`."
        ) from None
    return description, tensors
