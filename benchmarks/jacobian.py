"""The full Jacobian of BF-DnCNN at one patch: the suite's engine against a loop over rows, in one run.

The loop differentiates output after output, as one would first write it (the weights frozen, one graph for all rows).
The engine freezes the ReLU masks and pushes single pixels from both ends. The two alternate, so that whatever else the
machine does slows both; the ratio is the median over rounds of the ratio in each. So that a round stays short, the loop
does every n-th row and its time is multiplied by n: all rows cost the same.

With random weights, unless a weights file is given; the sizes are those of the authors' released network.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from denoiser_priors import load_denoiser
from denoiser_priors.analysis.jacobian import jacobian
from denoiser_priors.files import write_text
from denoiser_priors.networks import zoo
from denoiser_priors.provenance import processor

TARGET = 3.0
MEMORY_TARGET_MB = 2048
SIZES = {"depth": 20, "width": 64}


def random_network() -> nn.Module:
    """A folded BF-DnCNN whose output differs from its input, which that of a new one does not."""
    model = zoo.build("dncnn", bias=False, **SIZES)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.last.weight.normal_(0, 0.02, generator=generator)
    return zoo.fold(model)


def row_loop(denoiser: nn.Module, y: Tensor, every: int) -> Tensor:
    """Every so many rows of the Jacobian, one reverse-mode derivative each."""
    x = y[None].clone().requires_grad_()
    output = denoiser(x).flatten()
    rows = [torch.autograd.grad(value, x, retain_graph=True)[0].flatten() for value in output[::every]]
    return torch.stack(rows)


def timed(function: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Seconds and result."""
    start = time.perf_counter()
    result = function()
    if result.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def measure(denoiser: nn.Module, side: int, rounds: int, every: int, memory_mb: float) -> dict:
    """Seconds of both for one patch, their ratio, and how far apart their results are."""
    device = next(denoiser.parameters()).device
    y = torch.rand(1, side, side, generator=torch.Generator().manual_seed(1)).to(device)
    timed(lambda: jacobian(denoiser, y, memory_mb=memory_mb))  # the first call also loads parts of torch
    engine, loop = [], []
    for _ in range(rounds):
        seconds, full = timed(lambda: jacobian(denoiser, y, memory_mb=memory_mb))
        engine.append(seconds)
        seconds, rows = timed(lambda: row_loop(denoiser, y, every))
        loop.append(seconds * side * side / len(rows))
    return {
        "values": side * side,
        "engine_s": statistics.median(engine),
        "loop_s": statistics.median(loop),
        "ratio": statistics.median(slow / fast for slow, fast in zip(loop, engine, strict=True)),
        "target": TARGET,
        "relative_difference": float((full[::every] - rows).norm() / rows.norm()),
        # Of the whole process: Python, torch, the weights, and all that was computed so far.
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "target_peak_mb": MEMORY_TARGET_MB,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[30, 40], help="of the patches (default: 30 40)")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each, the median counts (default: 3)")
    parser.add_argument("--every", type=int, default=8, help="rows of the loop: 1 for all of them (default: 8)")
    parser.add_argument("--memory-mb", type=float, default=1024, help="for the engine (default: 1024)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of a denoiser for gray images")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=int, help="processor threads (default: torch's choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE as well")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    device = torch.device(arguments.device)
    denoiser = (load_denoiser(arguments.weights) if arguments.weights else random_network()).to(device)
    machine = processor() if device.type == "cpu" else torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    print(
        f"{machine} ({device.type}, {threads} threads), Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"{'matrix':<12}{'engine':>10}{'row loop':>11}{'ratio':>8}{'target':>8}{'peak memory':>14}{'difference':>12}")
    rows = []
    for side in arguments.sides:
        row = measure(denoiser, side, arguments.rounds, arguments.every, arguments.memory_mb)
        rows.append({"device": device.type, "machine": machine, **row})
        print(
            f"{row['values']:>4}x{row['values']:<7}{row['engine_s']:>8.2f} s{row['loop_s']:>9.2f} s{row['ratio']:>8.2f}"
            f"{row['target']:>8.1f}{row['peak_mb']:>11.0f} MB{row['relative_difference']:>12.1e}",
            flush=True,
        )
    if arguments.json:
        about = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": threads,
            "memory_mb": arguments.memory_mb,
            "rounds": arguments.rounds,
            "weights": str(arguments.weights or "random"),
        }
        write_text(arguments.json, json.dumps({**about, "results": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
