"""The released denoising autoencoder of the deep mean-shift prior (Bigdeli et al. 2017), converted from MatConvNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from denoiser_priors.data.matlab import load_variable
from denoiser_priors.errors import CheckpointError
from denoiser_priors.networks.dncnn import DnCNN

NOISE_LEVEL = 11.0
"""Standard deviation, [0, 255] scale, of the noise that the released network was trained on (Sec. 5)."""

SCALE = 255.0
"""The released network works on images in [0, 255]."""


def load_dae(path: str | Path) -> DnCNN:
    """The network of a MatConvNet file of the released code, in evaluation mode, not folded, on the CPU.

    The file holds `net`, a row of layers: 3x3 convolutions with additive constants, ReLU between them and no batch
    norm. It takes images in [0, 255], colours in the order blue, green, red, and gives what is to be added to them.
    The result is an ordinary biased `DnCNN` that takes and returns (N, C, H, W), red, green, blue, in [0, 1]: scale,
    order and sign go into its first and last layer, and its batch norm does nothing.

    Args:
        path: `.mat` file, of MATLAB's version 7 or older; read with `scipy.io.loadmat`, which runs no code.

    Raises:
        CheckpointError: no such file, damaged, no such network in it, or weights of another shape or not finite;
            names the file and the layer.

    Source: Bigdeli et al. 2017, Sec. 5 (architecture of Zhang et al. 2017); siavashBigdeli/DMSP at commit 1cf5930.
    """
    path = Path(path)
    layers = _layers(path)
    channels, width = layers[0][0].shape[1], layers[0][0].shape[0]
    _check(layers, channels, width, path)
    model = DnCNN(channels, True, depth=len(layers), width=width)
    first, *hidden, last = [(torch.from_numpy(w), torch.from_numpy(b)) for w, b in layers]
    # flip: from blue, green, red to red, green, blue; for a gray image it changes nothing.
    first = (first[0].flip(1) * SCALE, first[1])
    last = (-last[0].flip(0) / SCALE, -last[1].flip(0) / SCALE)
    with torch.no_grad():
        targets = (model.first, *model.hidden, model.last)
        for conv, (weight, bias) in zip(targets, (first, *hidden, last), strict=True):
            conv.weight.copy_(weight)
            conv.bias.copy_(bias)
        for norm in model.norms:
            _make_identity(norm)
    model.metadata = {
        "name": path.stem,
        "architecture": model.architecture,
        "bias": True,
        "channels": channels,
        "network": model.network,
        "noise_range": [NOISE_LEVEL, NOISE_LEVEL],
        "converted_from": path.name,
    }
    return model.eval()


def _make_identity(norm: nn.BatchNorm2d) -> None:
    """Statistics with which batch norm divides by one."""
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)


def _layers(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights (outputs, inputs, 3, 3) and constants (outputs,) of the convolutions, float64."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weights file.")
    try:
        net = load_variable(path, "net")
    except ValueError as error:
        raise CheckpointError(
            f"{path}: not a MATLAB file that can be read, or a damaged one ({error}). Download the file again."
        ) from None
    if net is None or net.dtype != object or not net.size:
        raise CheckpointError(f"{path}: holds no network; expected `net`, the layers of a MatConvNet network.")
    layers = []
    for index, layer in enumerate(net.ravel()):
        try:
            kind = str(layer["type"][0, 0].item())
            expected = "conv" if index % 2 == 0 else "relu"
            if kind != expected:
                raise CheckpointError(f"{path}: layer {index + 1} of net is {kind!r}, expected {expected!r}.")
            if kind == "conv":
                weight, bias = layer["weights"][0, 0].ravel()
                layers.append((_as_array(weight, 4), _as_array(bias, 2).ravel()))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise CheckpointError(
                f"{path}: layer {index + 1} of net is no layer of MatConvNet with a type and weights."
            ) from None
    if len(net.ravel()) % 2 == 0 or len(layers) < 2:
        raise CheckpointError(f"{path}: net must begin and end with a convolution, and has {len(net.ravel())} layers.")
    return [(weight.transpose(3, 2, 0, 1).copy(), bias) for weight, bias in layers]


def _as_array(value: Any, ndim: int) -> np.ndarray:
    array = np.array(value, dtype=np.float64)
    if array.ndim != ndim:
        raise ValueError
    return array


def _check(layers: list[tuple[np.ndarray, np.ndarray]], channels: int, width: int, path: Path) -> None:
    if channels not in (1, 3):
        raise CheckpointError(f"{path}: its network takes {channels} channels; expected 1 or 3.")
    for index, (weight, bias) in enumerate(layers):
        inputs = channels if index == 0 else width
        outputs = channels if index == len(layers) - 1 else width
        if weight.shape != (outputs, inputs, 3, 3) or bias.shape != (outputs,):
            raise CheckpointError(
                f"{path}: convolution {index + 1} has weights {weight.shape} and {bias.size} constants, expected "
                f"{(outputs, inputs, 3, 3)} and {outputs}."
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise CheckpointError(f"{path}: convolution {index + 1} has values that are not finite.")
