"""The samplers of two documents on a batch of problems: the suite's way against a plain loop.

The loops draw one sample after the other in fp32, with batch norm left in the network, as one would first write them.
The suite draws all at once, with batch norm folded into the convolutions, pixels in the networks' order of memory, and
bfloat16 in the network where the processor has it. Both call the network equally often for each sample.

The overhead is the time that a sampler spends outside of its calls of the network, over the time inside.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.networks import network
from benchmarks.rounds import Case, Settings
from denoiser_priors.networks import zoo
from denoiser_priors.networks.precision import supports_bf16
from denoiser_priors.operators import LinearOperator, RandomPixels
from denoiser_priors.samplers import noise_levels
from denoiser_priors.samplers.coarse_to_fine import solve_linear_inverse
from denoiser_priors.samplers.langevin import posterior_denoise
from denoiser_priors.samplers.schedule import Schedule

TARGET = 2.0
SPREAD = 0.002
BETA, H_0 = 0.01, 0.01
SIGMA_0, SIGMA_L = 0.2, 0.05


class Timed(nn.Module):
    """A network that takes down how long its calls take."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.channels, self.seconds = network, network.channels, 0.0
        self.overheads: list[float] = []

    def forward(self, noisy: Tensor) -> Tensor:
        start = _now(noisy)
        denoised = self.network(noisy)
        self.seconds += _now(noisy) - start
        return denoised

    def overhead(self) -> str:
        """The median over runs."""
        return f"overhead {statistics.median(self.overheads):.1%}"


def coarse_to_fine(settings: Settings) -> Iterator[Case]:
    """Algorithm 2 of the implicit prior on random pixels."""
    # The sampler would say each time that it was stopped before it had arrived.
    logging.getLogger("denoiser_priors").setLevel(logging.ERROR)
    problems, side, iterations = settings.size((16, 64, 5), (2, 16, 2))
    model = network(settings, spread=SPREAD)
    operator = RandomPixels((1, side, side), keep=0.3)
    clean = torch.rand(problems, 1, side, side, generator=torch.Generator().manual_seed(1)).to(settings.device)
    measurements = operator.measure(clean)
    for precision in _precisions(settings):
        folded = Timed(zoo.fold(model))

        def suite(precision: str = precision, folded: Timed = folded) -> None:
            with _clocked(folded, measurements):
                solve_linear_inverse(
                    folded,
                    operator,
                    measurements,
                    beta=BETA,
                    h_0=H_0,
                    max_iterations=iterations,
                    precision=precision,
                )

        yield Case(
            part="sampler",
            name=f"implicit prior, {problems} problems of {side}x{side}, {precision}",
            suite=suite,
            plain=lambda: plain_solve(model, operator, measurements, iterations),
            reference="loop over problems, fp32",
            unit="calls per image",
            count=problems * iterations,
            target=("ratio", TARGET) if precision == "bf16" and not settings.smoke else None,
            check=folded.overhead,
        )


def posterior(settings: Settings) -> Iterator[Case]:
    """Algorithm 1 of the posterior sampler, with few levels."""
    images, samples, side, count = settings.size((4, 4, 64, 6), (2, 2, 16, 3))
    model = network(settings, spread=SPREAD)
    schedule = noise_levels.geometric(SIGMA_0, SIGMA_L, count, steps_per_level=1)
    noisy = torch.rand(images, 1, side, side, generator=torch.Generator().manual_seed(1)).to(settings.device)
    calls = count - 1
    for precision in _precisions(settings):
        folded = Timed(zoo.fold(model))

        def suite(precision: str = precision, folded: Timed = folded) -> None:
            with _clocked(folded, noisy):
                posterior_denoise(folded, noisy, SIGMA_0, schedule=schedule, samples=samples, precision=precision)

        yield Case(
            part="posterior",
            name=f"{samples} samples each of {images} images of {side}x{side}, {precision}",
            suite=suite,
            plain=lambda: plain_posterior(model, noisy, schedule, samples),
            reference="loop over samples, fp32",
            unit="calls per image",
            count=images * samples * calls,
            target=("ratio", TARGET) if precision == "bf16" and not settings.smoke else None,
            check=folded.overhead,
        )


@torch.inference_mode()
def plain_solve(model: nn.Module, operator: LinearOperator, measurements: Tensor, iterations: int) -> Tensor:
    """Algorithm 2 of Kadkhodaie & Simoncelli 2021, one image after the other."""
    generator = torch.Generator(measurements.device).manual_seed(0)
    solved = []
    for m in measurements.split(1):
        target = operator.reconstruct(m)
        gray = torch.full_like(target, 0.5)
        y = gray - operator.project(gray) + target
        y = y + torch.randn(y.shape, generator=generator, device=y.device)
        for t in range(1, iterations + 1):
            h = H_0 * t / (1 + H_0 * (t - 1))
            f = model(y) - y
            d = f - operator.project(f) + target - operator.project(y)
            sigma = float(d.norm()) / d.numel() ** 0.5
            gamma = sigma * ((1 - BETA * h) ** 2 - (1 - h) ** 2) ** 0.5
            y = y + h * d + gamma * torch.randn(y.shape, generator=generator, device=y.device)
        solved.append(y)
    return torch.cat(solved)


@torch.inference_mode()
def plain_posterior(model: nn.Module, noisy: Tensor, schedule: Schedule, samples: int) -> Tensor:
    """Algorithm 1 of Kawar et al. 2021, one sample after the other."""
    generator = torch.Generator(noisy.device).manual_seed(0)
    drawn = []
    for y in noisy.split(1):
        for _ in range(samples):
            x = y
            for sigma in schedule.sigmas[1:]:
                alpha = schedule.rate * sigma**2
                drift = (model(x) - x) / sigma**2 + (y - x) / (SIGMA_0**2 - sigma**2)
                x = x + alpha * drift + (2 * alpha) ** 0.5 * torch.randn(x.shape, generator=generator, device=x.device)
            drawn.append(x)
    return torch.cat(drawn)


class _clocked:
    """Takes down what the sampler adds to the time of the network."""

    def __init__(self, network: Timed, tensor: Tensor):
        self._network, self._tensor = network, tensor

    def __enter__(self) -> None:
        self._network.seconds = 0.0
        self._start = _now(self._tensor)

    def __exit__(self, *_: object) -> None:
        inside = self._network.seconds
        self._network.overheads.append((_now(self._tensor) - self._start - inside) / inside)


def _now(tensor: Tensor) -> float:
    if tensor.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def _precisions(settings: Settings) -> list[str]:
    return ["fp32", "bf16"] if supports_bf16(settings.device) else ["fp32"]
