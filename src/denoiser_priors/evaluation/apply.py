"""Applying a denoiser to image tensors of any size: evaluation mode, memory layout, tiles, what colour means."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import nn

from denoiser_priors.errors import DataError
from denoiser_priors.networks.base import Denoiser
from denoiser_priors.training.memory import keep_freed_memory

TILE = 512
"""Side in pixels of the part of the output that one tile gives."""

LARGEST_UNTILED = 1536 * 1024
"""Images of more pixels are processed in tiles (64 channels of so many pixels take 400 MB)."""

_ALIGNMENT = 64


@contextlib.contextmanager
def evaluating(denoiser: Callable, device: str | torch.device | None = None) -> Iterator[torch.device]:
    """Put a denoiser in the state that results are computed in; yields the device its inputs belong on.

    A module is moved to `device` if one is given and is in evaluation mode inside, and in the mode it was in after.
    Gradients are off, and so are reduced-precision convolutions, which GPUs use by default and which show in PSNR.
    From then on, this process keeps the memory that tensors free (`training.memory`).
    """
    # What one layer frees, tens of megabytes, the next one asks for: a third of the time of a network on a CPU.
    keep_freed_memory()
    module = denoiser if isinstance(denoiser, nn.Module) else None
    training = [] if module is None else [part for part in module.modules() if part.training]
    if module is not None:
        if device is not None:
            module.to(device)
        else:
            device = next((tensor.device for tensor in module.parameters()), None)
        # Up to twice as fast on a CPU; the values are the same, only their order in memory changes.
        module.eval().to(memory_format=torch.channels_last)
    precise = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with torch.inference_mode(), precise:
            yield torch.device(device or "cpu")
    finally:
        for part in training:
            part.training = True


def apply(denoiser: Callable, noisy: torch.Tensor, *, largest: int = LARGEST_UNTILED, tile: int = TILE) -> torch.Tensor:
    """The denoised images, inside `evaluating`.

    Large images go through the suite's networks in tiles that overlap by more than the networks see around a pixel, so
    the result is that of the whole image up to rounding. Any other denoiser gets the whole image.

    Args:
        denoiser: from (N, C, H, W) to the same shape.
        noisy: (N, C, H, W) float, values on the [0, 1] scale.
        largest: number of pixels H * W above which there are tiles.
        tile: side of the output of a tile, rounded up to a multiple of 64.

    Raises:
        DataError: the output is not a tensor of the input's shape.
    """
    h, w = noisy.shape[-2:]
    if h * w <= largest or not isinstance(denoiser, Denoiser):
        return _whole(denoiser, noisy)
    margin, step = _aligned(reach(denoiser)), _aligned(tile)
    output = torch.empty_like(noisy)
    for top in range(0, h, step):
        for left in range(0, w, step):
            # Tiles start at multiples of 64, so that layers with strides see the grid that they see in the whole image.
            y, x = max(0, top - margin), max(0, left - margin)
            part = _whole(denoiser, noisy[..., y : top + step + margin, x : left + step + margin])
            inner = part[..., top - y : top - y + step, left - x : left - x + step]
            output[..., top : top + step, left : left + step] = inner
    return output


@torch.inference_mode()
def reach(network: nn.Module) -> int:
    """How far from a pixel, in pixels, the inputs lie that a convolutional network's output there can depend on.

    An upper bound: the reaches of all convolutions added up, each counted in pixels of the input.
    """
    size, total = 64, 0.0

    def add(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        pixels = size / min(inputs[0].shape[-1], output.shape[-1])
        total += max(d * (k // 2) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)) * pixels

    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    try:
        network(torch.zeros(1, network.channels, size, size, device=next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return int(total + 1)


def match_channels(denoiser: Callable, image: torch.Tensor) -> torch.Tensor:
    """Images as a batch that the denoiser takes: for a gray denoiser, the channels of a colour image one by one.

    Args:
        denoiser: its attribute `channels` (1 or 3) is looked at; one without takes anything.
        image: (1, C, H, W).

    Returns:
        (1, C, H, W), or (C, 1, H, W) if a gray denoiser meets a colour image.

    Raises:
        DataError: a gray image for a colour denoiser.
    """
    channels = getattr(denoiser, "channels", None)
    if channels in (None, image.shape[1]):
        return image
    if channels == 1:
        return image.transpose(0, 1)
    raise DataError("the image is gray but the denoiser is for colour images; choose a denoiser with channels: 1.")


def _whole(denoiser: Callable, noisy: torch.Tensor) -> torch.Tensor:
    # With one channel, "channels last" is ambiguous unless the strides say it; convolutions follow the strides.
    noisy = noisy.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    denoised = denoiser(noisy)
    if not isinstance(denoised, torch.Tensor) or denoised.shape != noisy.shape:
        got = tuple(denoised.shape) if isinstance(denoised, torch.Tensor) else type(denoised).__name__
        raise DataError(f"the denoiser returned {got} for an input of shape {tuple(noisy.shape)}; expected that shape.")
    return denoised


def _aligned(pixels: int) -> int:
    return -(-pixels // _ALIGNMENT) * _ALIGNMENT
