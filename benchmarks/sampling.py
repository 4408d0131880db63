"""The coarse-to-fine sampler on a batch of problems: the suite's way against a plain loop, in one run.

The loop solves one image after the other in fp32, with batch norm left in the network, as one would first write it.
The suite solves all at once, with batch norm folded into the convolutions, pixels in the networks' order of memory,
bfloat16 in the network where the processor has it, and stops each sample on its own. Both run the same number of
iterations on the same random-pixel problems. They alternate, so that whatever else the machine does slows both; the
ratio is the median over rounds of the ratio in each.

The overhead is the time that the sampler spends outside of its calls of the network, over the time inside, in one run.

With random weights, unless a weights file is given; the sizes are those of the authors' released network.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from denoiser_priors.files import write_text
from denoiser_priors.networks import released, zoo
from denoiser_priors.networks.precision import supports_bf16
from denoiser_priors.operators import LinearOperator, RandomPixels
from denoiser_priors.provenance import processor
from denoiser_priors.samplers.coarse_to_fine import solve_linear_inverse

TARGET = 2.0
OVERHEAD_TARGET = 0.05
SIZES = {"depth": 20, "width": 64}
BETA, H_0 = 0.01, 0.01


class Timed(nn.Module):
    """A network that adds up the seconds spent in it."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.channels, self.seconds, self.cuda = network, network.channels, 0.0, False

    def forward(self, noisy: Tensor) -> Tensor:
        start = self._now()
        denoised = self.network(noisy)
        self.seconds += self._now() - start
        return denoised

    def _now(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def network(weights: Path | None) -> nn.Module:
    """BF-CNN in evaluation mode, not folded: from a file, or random with an output that differs from its input."""
    if weights is not None:
        return zoo.load(weights) if weights.suffix == ".safetensors" else released.convert(weights)
    model = zoo.build("dncnn", bias=False, **SIZES)
    with torch.no_grad():
        model.last.weight.normal_(0, 0.002, generator=torch.Generator().manual_seed(0))
    return model.eval()


@torch.inference_mode()
def plain_loop(model: nn.Module, operator: LinearOperator, measurements: Tensor, iterations: int) -> Tensor:
    """Algorithm 2, one image after the other."""
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


def measure(model: nn.Module, problems: int, side: int, iterations: int, rounds: int, device: torch.device) -> dict:
    """Seconds of both ways, their ratio, and the overhead in both precisions."""
    model = model.to(device)
    folded = Timed(zoo.fold(model))
    folded.cuda = device.type == "cuda"
    shape = (model.channels, side, side)
    operator = RandomPixels(shape, keep=0.3)
    clean = torch.rand(problems, *shape, generator=torch.Generator().manual_seed(1)).to(device)
    measurements = operator.measure(clean)
    fastest = "bf16" if supports_bf16(device) else "fp32"
    precisions = dict.fromkeys(("fp32", fastest))

    def suite(precision: str, count: int = iterations) -> tuple[float, float]:
        folded.seconds = 0.0
        start = time.perf_counter()
        solve_linear_inverse(
            folded, operator, measurements, beta=BETA, h_0=H_0, max_iterations=count, precision=precision
        )
        return time.perf_counter() - start, folded.seconds

    def loop() -> float:
        start = time.perf_counter()
        plain_loop(model, operator, measurements, iterations)
        return time.perf_counter() - start

    for precision in precisions:
        suite(precision, 1)  # the first call also loads parts of torch
    total, inside = ({precision: [] for precision in precisions} for _ in range(2))
    slow = []
    for _ in range(rounds):
        slow.append(loop())
        for precision in precisions:
            seconds, network_seconds = suite(precision)
            total[precision].append(seconds)
            inside[precision].append(network_seconds)
    overhead = {
        precision: statistics.median(
            (all_ - own) / own for all_, own in zip(total[precision], inside[precision], strict=True)
        )
        for precision in precisions
    }
    return {
        "problems": problems,
        "side": side,
        "iterations": iterations,
        "precision": fastest,
        "loop_s": statistics.median(slow),
        "suite_s": {precision: statistics.median(seconds) for precision, seconds in total.items()},
        "ratio": {
            precision: statistics.median(a / b for a, b in zip(slow, seconds, strict=True))
            for precision, seconds in total.items()
        },
        "target": TARGET,
        "overhead": overhead,
        "target_overhead": OVERHEAD_TARGET,
        "microseconds_per_pixel_and_iteration": {
            precision: 1e6 * statistics.median(seconds) / (problems * side**2 * iterations)
            for precision, seconds in total.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=16, help="solved in one batch (default: 16)")
    parser.add_argument("--side", type=int, default=64, help="of the images, pixels (default: 64)")
    parser.add_argument("--iterations", type=int, default=20, help="of both ways (default: 20)")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each, the median counts (default: 3)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of a bias-free DnCNN")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=int, help="processor threads (default: torch's choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE as well")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    # The sampler would say each time that it was stopped before it had arrived.
    logging.getLogger("denoiser_priors").setLevel(logging.ERROR)

    device = torch.device(arguments.device)
    machine = processor() if device.type == "cpu" else torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    print(f"{machine} ({device.type}, {threads} threads), {versions}")
    model = network(arguments.weights)
    found = measure(model, arguments.problems, arguments.side, arguments.iterations, arguments.rounds, device)
    size = f"{found['side']}x{found['side']}"
    print(f"{found['problems']} problems of {size}, {found['iterations']} iterations; loop {found['loop_s']:.2f} s")
    print(
        f"{'precision':<10}{'batch':>9}{'ratio':>8}{'target':>8}{'overhead':>10}{'target':>8}{'us/pixel/iteration':>20}"
    )
    for precision, seconds in found["suite_s"].items():
        pace = found["microseconds_per_pixel_and_iteration"][precision]
        target = f"{TARGET:.1f}" if precision == found["precision"] else ""
        print(
            f"{precision:<10}{seconds:>7.2f} s{found['ratio'][precision]:>8.2f}{target:>8}"
            f"{found['overhead'][precision]:>10.1%}{OVERHEAD_TARGET:>8.0%}{pace:>20.2f}"
        )
    if arguments.json:
        about = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": threads,
            "rounds": arguments.rounds,
            "weights": str(arguments.weights or "random"),
            "device": device.type,
            "machine": machine,
        }
        write_text(arguments.json, json.dumps({**about, "results": [found]}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
