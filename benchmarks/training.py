"""Training throughput of DnCNN: the suite's step against a plain float32 loop of the same network, in one run.

The suite's step: bfloat16 autocast where the processor has it, channels-last layout, fused bias-free batch norm,
float32 master weights. The plain loop: float32, contiguous layout, bias-free batch norm written out as its formula.
Both do forward, mean squared error, backward and Adam on the same patches from the same initial weights. The two
alternate, so that whatever else the machine does slows both; the ratio is the median over rounds of the ratio in each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from denoiser_priors.files import write_text
from denoiser_priors.networks import precision, zoo
from denoiser_priors.networks.layers import bias_free_batch_norm
from denoiser_priors.provenance import processor

TARGETS = {"BF-DnCNN": 2.2, "DnCNN": 2.0}
SIZES = {"depth": 20, "width": 64}
PATCH = 50


class PlainDnCNN(nn.Module):
    """DnCNN as one would first write it, with the weights of `model`."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.first, self.hidden, self.norms, self.last = model.first, model.hidden, model.norms, model.last
        self.bias = model.bias

    def forward(self, noisy: Tensor) -> Tensor:
        x = torch.relu(self.first(noisy))
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = layer(x)
            x = norm(x) if self.bias else bias_free_batch_norm(x, norm.weight, norm.eps)
            x = torch.relu(x)
        return noisy - self.last(x)


def suite_step(model: nn.Module, device: torch.device) -> Callable[[Tensor, Tensor], float]:
    """A training step as the suite does it."""
    model = precision.prepare(model, device, "bf16").train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step(clean: Tensor, noisy: Tensor) -> float:
        with precision.autocast(device, "bf16"):
            loss = nn.functional.mse_loss(model(noisy), clean)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        return loss.item()

    return step


def plain_step(model: nn.Module, device: torch.device) -> Callable[[Tensor, Tensor], float]:
    """A training step in float32, contiguous, nothing fused."""
    model = PlainDnCNN(model).to(device).train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step(clean: Tensor, noisy: Tensor) -> float:
        loss = nn.functional.mse_loss(model(noisy), clean)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    return step


def measure(bias: bool, device: torch.device, batch: int, rounds: int) -> dict:
    """Patches per second of both, and their ratio, for the biased or the bias-free network."""
    generator = np.random.default_rng(0)
    clean = torch.from_numpy(generator.random((batch, 1, PATCH, PATCH), dtype=np.float32)).to(device)
    noisy = clean + torch.from_numpy(generator.standard_normal(clean.shape, dtype=np.float32)).to(device) * (25 / 255)
    steps = [make(zoo.build("dncnn", bias=bias, **SIZES), device) for make in (suite_step, plain_step)]
    first = [step(clean, noisy) for step in steps]
    if abs(first[0] / first[1] - 1) > 0.05:
        raise RuntimeError(f"the two loops are not of the same network: losses {first[0]:.5g} and {first[1]:.5g}")
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        for times, step in zip(seconds, steps, strict=True):
            start = time.perf_counter()
            step(clean, noisy)
            times.append(time.perf_counter() - start)
    name = "DnCNN" if bias else "BF-DnCNN"
    return {
        "network": name,
        "suite_patches_per_s": batch / statistics.median(seconds[0]),
        "plain_patches_per_s": batch / statistics.median(seconds[1]),
        "ratio": statistics.median(plain / suite for suite, plain in zip(*seconds, strict=True)),
        "target": TARGETS[name],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128, help="patches of 50x50 pixels in a step (default: 128)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each loop, the median counts (default: 5)")
    parser.add_argument("--threads", type=int, help="processor threads (default: torch's choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE as well")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    devices = [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else [])
    rows = []
    for device in devices:
        machine = processor() if device.type == "cpu" else torch.cuda.get_device_name(device)
        native = "native bf16" if precision.supports_bf16(device) else "no native bf16: float32"
        threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
        print(f"{machine} ({device.type}, {native}{threads}), torch {torch.__version__}, batch {arguments.batch}")
        print(f"{'network':<10}{'suite':>16}{'plain fp32':>16}{'ratio':>8}{'target':>8}")
        for bias in (False, True):
            row = measure(bias, device, arguments.batch, arguments.steps)
            rows.append({"device": device.type, "machine": machine, **row})
            print(
                f"{row['network']:<10}"
                f"{row['suite_patches_per_s']:>10.1f} pat/s{row['plain_patches_per_s']:>10.1f} pat/s"
                f"{row['ratio']:>8.2f}{row['target']:>8.1f}",
                flush=True,
            )
    if arguments.json:
        about = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "batch": arguments.batch,
            "patch": PATCH,
            "steps": arguments.steps,
        }
        write_text(arguments.json, json.dumps({**about, "results": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
