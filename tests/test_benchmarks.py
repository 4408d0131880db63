"""The benchmarks: how work is counted against the machine's ceilings, and that the command writes its table."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import Ceilings, Work, _products, work_of  # noqa: E402
from benchmarks.run import PARTS  # noqa: E402

CEILINGS = {"fp32": 100.0, "bf16": 400.0, "copy": 10.0}


def test_a_convolution_counts_its_products_forward_and_backward():
    x, weight = torch.rand(2, 3, 8, 8, requires_grad=True), torch.rand(5, 3, 3, 3, requires_grad=True)
    once = 2 * 9 * 3 * 5 * 64 * 2
    assert work_of(lambda: F.conv2d(x.detach(), weight.detach(), padding=1)).flops == once
    assert work_of(lambda: F.conv2d(x, weight, padding=1).sum().backward()).flops == 3 * once
    with torch.inference_mode():
        assert work_of(lambda: F.conv2d(x, weight, padding=1)).flops == once


def test_an_operation_reads_its_inputs_and_writes_its_output():
    x, y = torch.rand(10, 20), torch.rand(10, 20)
    work = work_of(lambda: x + y)
    assert (work.bytes, work.flops) == (3 * 800, 0)
    assert work_of(lambda: x.add_(y)).bytes == 3 * 800
    assert work_of(lambda: x[0].expand(10, 20).add(y)).bytes == 80 + 2 * 800


def test_views_cost_nothing():
    x = torch.rand(4, 6)
    assert work_of(lambda: x.T.reshape(6, 4)[1:].unsqueeze(0)).bytes == 0


def test_bfloat16_is_counted_as_such():
    x = torch.rand(16, 16, dtype=torch.bfloat16)
    assert work_of(lambda: x @ x).precision == "bf16"
    assert work_of(lambda: x.float() @ x.float()).precision == "fp32"


def test_the_least_time_is_the_longer_of_computing_and_moving_for_each_operation():
    product, copies = ("fp32", 1000, 20), ("fp32", 0, 30)
    whole, arithmetic = Work([product, copies, copies]).seconds(CEILINGS)
    assert whole == pytest.approx(1000 / 100 + 2 * 30 / 10)
    assert arithmetic == pytest.approx(1000 / 100)
    # In bfloat16 the same product would take less than what it moves.
    assert Work([("bf16", 1000, 40)]).seconds(CEILINGS) == pytest.approx((4.0, 0.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_ways_to_multiply_matrices_multiply_matrices(dtype):
    side = 64
    a, b = (torch.rand(side, side).to(dtype) for _ in range(2))
    plain, image, *others = (way() for way in _products(a, b))
    assert torch.equal(plain, a @ b)
    other = [image.reshape(side, side).T, *(product.to_dense() for product in others)]
    assert all(torch.allclose(product, a @ b.T, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5) for product in other)


def test_ceilings_are_in_operations_and_bytes_in_a_second():
    ticks = iter(range(10**6))
    ceilings = Ceilings(torch.device("cpu"), side=64, copied=2**16, clock=lambda: next(ticks))
    found = ceilings.measure()
    # A clock that is a second later whenever it is asked, and is asked before and after the one run.
    assert found == {"fp32": 2 * 64**3 / 2, "bf16": 2 * 64**3 / 2, "copy": 2 * 2**16 / 2}


def test_the_command_writes_its_table(tmp_path):
    # Planning is what tests/test_workflow.py does all the time, and takes longest.
    parts = [part for part in PARTS if part != "planning"]
    command = [sys.executable, "-m", "benchmarks", *parts, "--smoke", "--threads", "1", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "benchmarks.csv")
    assert set(table["part"]) == set(parts)
    assert (table["ratio"] > 0).all()
    assert table[["processor", "torch", "cores", "memory", "fp32_gflop_per_s", "copy_gb_per_s"]].notna().all().all()
    networks = table[table["part"] != "start-up"]
    assert (networks[["of_product", "of_roofline", "gflop"]] > 0).all().all()
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert all(f"| {part}" in page for part in parts)
    assert "Sizes as small as can be" in page


def test_an_unknown_part_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "trainig", "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "there is no part 'trainig'" in done.stderr
    assert not list(tmp_path.iterdir())
