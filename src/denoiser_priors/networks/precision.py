"""Memory layout and arithmetic of a network on a device: shared by training, evaluation and benchmarks."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

PRECISIONS = ("fp32", "bf16")


def supports_bf16(device: torch.device | str) -> bool:
    """Whether the device computes in bfloat16 natively; elsewhere it is emulated and slower than float32."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, bool)() for check in checks)
    return False


def prepare(model: nn.Module, device: torch.device | str, precision: str) -> nn.Module:
    """Move `model` to `device` in the layout that is fastest there (channels last). The weights stay float32.

    Args:
        precision: "fp32" or "bf16", the same as for `autocast`.

    Raises:
        ValueError: unknown precision.
    """
    _check(precision)
    return model.to(torch.device(device), memory_format=torch.channels_last)


def autocast(device: torch.device | str, precision: str) -> contextlib.AbstractContextManager:
    """Context for the forward pass and the loss: bfloat16 convolutions for "bf16", where the device has them.

    On a device without native bfloat16, and for "fp32", it does nothing.

    Raises:
        ValueError: unknown precision.
    """
    _check(precision)
    device = torch.device(device)
    if precision == "bf16" and supports_bf16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def _check(precision: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
