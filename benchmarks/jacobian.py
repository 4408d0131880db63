"""The full Jacobian of BF-DnCNN at one patch: the suite's engine against a loop over rows.

The loop differentiates output after output, as one would first write it (the weights frozen, one graph for all rows).
The engine freezes the ReLU masks and pushes single pixels from both ends. So that a round stays short, the loop does
every n-th row and its time counts n times: all rows cost the same.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.networks import network
from benchmarks.rounds import Case, Settings
from denoiser_priors.analysis.jacobian import jacobian
from denoiser_priors.networks import zoo

TARGET = 3.0
MEMORY_MB = 1024
EVERY = 20
TOLERANCE = 1e-3


def cases(settings: Settings) -> Iterator[Case]:
    """One patch."""
    side = settings.size(40, 8)
    denoiser = zoo.fold(network(settings, spread=0.02))
    y = torch.rand(1, side, side, generator=torch.Generator().manual_seed(1)).to(settings.device)
    found: dict[str, Tensor] = {}

    def suite() -> None:
        found["suite"] = jacobian(denoiser, y, memory_mb=MEMORY_MB)

    def plain() -> None:
        found["plain"] = row_loop(denoiser, y, EVERY)

    def check() -> str:
        apart = float((found["suite"][::EVERY] - found["plain"]).norm() / found["plain"].norm())
        if not apart < TOLERANCE:
            raise RuntimeError(f"the two Jacobians differ by {apart:g} of their norm")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return f"relative difference {apart:.0e}; memory of the whole process {peak:.0f} MB"

    yield Case(
        part="jacobian",
        name=f"BF-DnCNN, {side}x{side} pixels ({side * side} rows)",
        suite=suite,
        plain=plain,
        reference="autograd, row by row",
        unit="rows",
        count=side * side,
        share=len(range(0, side * side, EVERY)) / side**2,
        target=None if settings.smoke else ("ratio", TARGET),
        check=check,
    )


def row_loop(denoiser: nn.Module, y: Tensor, every: int) -> Tensor:
    """Every so many rows of the Jacobian, one reverse-mode derivative each."""
    x = y[None].clone().requires_grad_()
    output = denoiser(x).flatten()
    rows = [torch.autograd.grad(value, x, retain_graph=True)[0].flatten() for value in output[::every]]
    return torch.stack(rows)
