"""Device, memory layout and arithmetic of a network: shared by training, evaluation and benchmarks."""

from __future__ import annotations

import contextlib
import logging
import os

import torch
from torch import nn

from denoiser_priors import devices
from denoiser_priors.errors import ConfigError

logger = logging.getLogger(__name__)

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


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device that is asked for, by argument or DENOISER_PRIORS_DEVICE; else a GPU where there is one, or the CPU.

    In a step of the workflow (`devices.take_turns`) it may be a GPU that no other step has, waited for.

    Raises:
        ConfigError: there is no such device here.
    """
    asked = device or os.environ.get("DENOISER_PRIORS_DEVICE") or None
    name = asked
    if torch.backends.cuda.is_built() and not torch.cuda.is_initialized():
        name = devices.one_device(None if asked is None else str(asked))
    if asked is None and name != "cpu" and not torch.cuda.is_available():
        if name is not None:
            logger.warning("no GPU can be used, though the driver shows some; computing on the CPU")
            devices.release()
        name = "cpu"
    name = name or "cuda"
    try:
        chosen = torch.device(name)
        known = chosen.type == "cpu" or (chosen.type == "cuda" and (chosen.index or 0) < torch.cuda.device_count())
    except RuntimeError:
        known = False
    if not known:
        raise ConfigError(f"device {str(name)!r}: there is no such device here; expected cpu or cuda")
    return chosen


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
