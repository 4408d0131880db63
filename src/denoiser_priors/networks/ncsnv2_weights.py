"""The released weights of NCSNv2: reading a checkpoint of the authors' code, checking it tensor by tensor."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoiser_priors.errors import CheckpointError, ConfigError
from denoiser_priors.networks.ncsnv2 import VARIANTS, NCSNv2

WEIGHTS = ("ema", "raw")


def load_ncsnv2(path: str | Path, *, weights: str = "ema", device: torch.device | str | None = None) -> NCSNv2:
    """The network in a checkpoint of the released code of NCSNv2, in evaluation mode, with the gradients off.

    A checkpoint is a list: state of the network (names may begin with `module.`), of the optimizer, epoch, step, and
    the moving average of the weights. A state alone is read too. Variant, channels and width follow from the tensors;
    half and double precision become float32. The file is unpickled with tensors and plain containers allowed, and
    nothing else.

    Args:
        path: `.pth` or `.pt` file.
        weights: "ema", the moving average, which the released code samples with, or "raw". A state alone has "raw" only
            and is taken as it is.
        device: where the network goes; the CPU by default.

    Raises:
        CheckpointError: no such file, damaged, anything in it but tensors and settings, no such weights, or another
            network: says which tensors are missing, unknown, of another shape, or not finite.
        ConfigError: unknown `weights`.
    """
    if weights not in WEIGHTS:
        raise ConfigError(f"NCSNv2: weights must be one of {', '.join(WEIGHTS)}, not {weights!r}")
    path = Path(path)
    state = _state(path, weights)
    levels = state.pop("sigmas", None)
    first = state.get("begin_conv.weight")
    if first is None or first.ndim != 4:
        raise CheckpointError(
            f"{path}: holds no NCSNv2: it has no 'begin_conv.weight', its first tensor is {min(state, default=None)!r}."
        )
    variant = next((v for v, part in (("deepest", "res31."), ("deeper", "res5.")) if _has(state, part)), "standard")
    try:
        with torch.device("meta"):
            model = NCSNv2(variant, channels=first.shape[1], features=first.shape[0])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}.") from None
    names = {ours: _theirs(ours, variant) for ours in model.state_dict()}
    _check(model, state, names, path)
    tensors = {ours: state[theirs].to(torch.float32) for ours, theirs in names.items()}
    model.load_state_dict(tensors, assign=True)
    model.levels = levels
    model.metadata = {"name": path.stem, "converted_from": path.name, "weights": weights, "variant": variant}
    return model.eval().requires_grad_(False).to(device or "cpu")


def _state(path: Path, weights: str) -> dict[str, Tensor]:
    content = _unpickled(path)
    if isinstance(content, (list, tuple)) and content and _is_state(content[0]):
        raw, average = content[0], content[-1] if len(content) > 4 else None
        if weights == "ema" and not _is_state(average):
            raise CheckpointError(f"{path}: holds no moving average of the weights; load it with weights='raw'.")
        content = average if weights == "ema" else raw
    if not _is_state(content):
        raise CheckpointError(
            f"{path}: unknown format. Expected a checkpoint of the released code of NCSNv2 (a list that begins with "
            "the state of the network), or such a state."
        )
    return {str(name).removeprefix("module."): tensor.detach().contiguous() for name, tensor in content.items()}


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch comments on odd files before refusing them
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError):
        raise CheckpointError(f"{path}: no such weights file.") from None
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: refused: it holds something other than tensors and settings, which could run code when read, or "
            "it is damaged. Expected a checkpoint of the released code of NCSNv2."
        ) from None
    except Exception as error:  # a damaged archive surfaces as almost any type
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: cannot be read as weights ({reason}). Download the file again.") from None


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(v, Tensor) for v in value.values())


def _has(state: Mapping[str, Tensor], part: str) -> bool:
    return any(name.startswith(part) for name in state)


def _theirs(ours: str, variant: str) -> str:
    """The name in the released code of a tensor of `NCSNv2`."""
    stages = [name for name, *_ in VARIANTS[variant]]
    # Their decoder is numbered from the deepest stage on, except that block 31 goes with stage 31.
    blocks = [*stages[:2], "31", *stages[2:3], *stages[4:]] if "31" in stages else stages
    part, *path = ours.split(".")
    if part in ("first", "last", "norm"):
        return ".".join([{"first": "begin_conv", "last": "end_conv", "norm": "normalizer"}[part], *path])
    index = int(path[0])
    if part == "stages":
        _, block, layer, tensor = path
        halves = VARIANTS[variant][index][2] and block == "0" and layer in ("conv2", "shortcut")
        layer = layer.replace("norm", "normalize") + (".conv" if halves else "")
        return f"res{stages[index]}.{block}.{layer}.{tensor}"
    kind, *path = path[1:]
    if kind in ("adapt", "output"):
        *which, _, unit, conv, tensor = path
        name = ".".join(["adapt_convs" if kind == "adapt" else "output_convs", *which])
        return f"refine{blocks[index]}.{name}.{int(unit) + 1}_{int(conv) + 1}_conv.{tensor}"
    return f"refine{blocks[index]}.{'msf' if kind == 'fuse' else 'crp'}.convs.{'.'.join(path)}"


def _check(model: NCSNv2, state: Mapping[str, Tensor], names: Mapping[str, str], path: Path) -> None:
    wanted = {names[ours]: tensor.shape for ours, tensor in model.state_dict().items()}
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    shapes = [
        f"{name} {tuple(state[name].shape)}, not {tuple(wanted[name])}"
        for name in sorted(wanted.keys() & state.keys())
        if state[name].shape != wanted[name]
    ]
    faults = [
        f"{len(found)} {word} (first: {found[0]})"
        for word, found in (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
        if found
    ]
    if faults:
        raise CheckpointError(
            f"{path}: not the {len(wanted)} tensors of a {model.variant} NCSNv2 of {model.features} features: "
            f"{'; '.join(faults)}."
        )
    for name, tensor in state.items():
        if not (tensor.is_floating_point() and tensor.isfinite().all()):
            raise CheckpointError(f"{path}: {name} has values that are not finite numbers. Download the file again.")
