"""Subspaces: closed forms for projections, randomised singular values against exact ones, the table."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from analysis_cases import image, network, one_thread  # noqa: F401
from torch import nn

from denoiser_priors.analysis.checks import AnalysisError, NotPiecewiseLinearError
from denoiser_priors.analysis.curves import SUBSPACE_COLUMNS, subspace_table
from denoiser_priors.analysis.jacobian import jacobian
from denoiser_priors.analysis.low_rank import Products, largest_singular
from denoiser_priors.analysis.subspace import (
    asymmetry,
    energy_kept,
    filter_sums,
    negativity,
    nestedness,
    subspace,
)
from denoiser_priors.errors import ConfigError, DataError


def orthonormal(size, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, count, generator=generator, dtype=torch.float64)).Q


@pytest.mark.parametrize("rank", [1, 5, 12])
def test_a_projection_keeps_its_subspace_and_nothing_else(rank):
    everything = orthonormal(12, 12)
    basis = everything[:, :rank]
    parts = subspace((basis @ basis.T).float())
    assert parts.singular_values.dtype == torch.float64
    assert parts.dimension == pytest.approx(rank, rel=1e-6)
    assert parts.rank == rank
    assert parts.near_zero() == pytest.approx(1 - rank / 12)
    np.testing.assert_allclose(parts.cosines(), 1, atol=1e-6)
    inside = basis @ torch.arange(1.0, rank + 1, dtype=torch.float64)
    assert energy_kept(parts.axes, inside) == pytest.approx(1, abs=1e-6)
    if rank < 12:
        outside = inside + math.sqrt(3) * inside.norm() * everything[:, rank]
        assert energy_kept(parts.axes, outside.view(1, 3, 4)) == pytest.approx(1 / 4, abs=1e-6)


def test_nested_projections_are_nested():
    basis = orthonormal(20, 20)
    small, large = (subspace(basis[:, :k] @ basis[:, :k].T).axes for k in (4, 9))
    assert nestedness(small, large) == pytest.approx(1)
    assert nestedness(large, small) == pytest.approx(4 / 9)
    assert nestedness(small, basis[:, 10:]) == pytest.approx(0, abs=1e-12)
    # One of two axes inside, the other at 60 degrees to what contains it.
    tilted = torch.stack([basis[:, 0], 0.5 * basis[:, 1] + math.sqrt(0.75) * basis[:, 15]], dim=1)
    assert nestedness(tilted, large) == pytest.approx((1 + 0.25) / 2)


def test_singular_values_of_a_matrix_that_is_put_together():
    left, right = orthonormal(8, 8, 1), orthonormal(8, 8, 2)
    values = torch.tensor([2.0, 1.0, 0.5, 0.2, 0.09, 0.05, 0.01, 0.0], dtype=torch.float64)
    parts = subspace(left @ values.diag() @ right.T)
    torch.testing.assert_close(parts.singular_values, values, rtol=0, atol=1e-12)
    assert parts.dimension == pytest.approx(float((values**2).sum()))
    assert parts.rank == 5
    assert parts.near_zero() == 0.5
    assert parts.near_zero(0.5) == 5 / 8
    torch.testing.assert_close(parts.cosines(), (left * right).sum(0)[:5])
    torch.testing.assert_close((parts.left.T @ left).abs(), torch.eye(8).double(), rtol=0, atol=1e-8)


def test_dimension_is_the_noise_that_passes():
    matrix = torch.randn(30, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 10
    noise = torch.randn(30, 20000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert (matrix @ noise).square().sum(0).mean() == pytest.approx(subspace(matrix).dimension, rel=0.01)


def test_filters():
    matrix = torch.tensor([[0.5, 0.5, 0.0], [1.5, -0.5, 0.0], [0.0, 0.0, 0.0]])
    assert filter_sums(matrix).tolist() == [1, 1, 0]
    assert negativity(matrix).tolist() == [0, 0.25, 0]


def test_asymmetry_has_its_bounds():
    matrix = torch.randn(9, 9, generator=torch.Generator().manual_seed(0))
    assert asymmetry(matrix + matrix.T) == 0
    assert asymmetry(matrix - matrix.T) == pytest.approx(2)
    assert asymmetry(torch.tensor([[0.0, 1.0], [0.0, 0.0]])) == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("architecture", ["dncnn", "rcnn", "unet", "densenet"])
def test_products_are_those_of_the_matrix(architecture, folded):
    model, y = network(architecture, bias=True, channels=3, folded=folded), image(3, 7, 8)
    matrix, products = jacobian(model, y), Products(model, y)
    vectors = torch.randn(168, 4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(products.forward(vectors), matrix @ vectors, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(products.adjoint(vectors), matrix.T @ vectors, rtol=1e-4, atol=1e-5)


def smooth():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1)).eval()


@pytest.mark.parametrize("model", [network("unet", bias=False), network("rcnn", bias=True), smooth()])
def test_randomised_singular_values_are_the_exact_ones(model):
    y = image(1, 13, 12)
    exact = subspace(jacobian(model, y, dtype=torch.float64))
    values, left, right = largest_singular(model, y, 6, dtype=torch.float64)
    torch.testing.assert_close(values, exact.singular_values[:6], rtol=1e-6, atol=0)
    matrix = jacobian(model, y, dtype=torch.float64)
    torch.testing.assert_close(matrix @ right, left * values, rtol=1e-5, atol=1e-6)
    for vectors in (left, right):
        torch.testing.assert_close(vectors.T @ vectors, torch.eye(6).double(), rtol=0, atol=1e-10)
    rough = largest_singular(model, y, 6, depth=0, dtype=torch.float64)[0]
    assert (rough <= exact.singular_values[:6] * (1 + 1e-10)).all()
    assert (rough < values).any()


def test_randomised_singular_values_of_all_of_a_small_image():
    model, y = network("dncnn", bias=False), image(1, 4, 5)
    exact = subspace(jacobian(model, y, dtype=torch.float64)).singular_values
    torch.testing.assert_close(largest_singular(model, y, 20, dtype=torch.float64)[0], exact, rtol=1e-8, atol=1e-10)
    with pytest.raises(AnalysisError, match="k: expected 1 to 20"):
        largest_singular(model, y, 21)


def test_the_table_measures_what_the_functions_do():
    model = network("unet", bias=False)
    patches = {"a": image(seed=1), "b": image(seed=2)}
    seen = {}
    table = subspace_table(
        model,
        patches,
        [80, 10, 40],
        name="net",
        dataset="none",
        reference_sigma=40,
        visit=lambda name, sigma, matrix, parts: seen.update({(name, sigma): (matrix, parts)}),
    )
    assert list(table.columns) == list(SUBSPACE_COLUMNS)
    assert table[["image", "sigma"]].values.tolist() == [[name, sigma] for name in "ab" for sigma in (10, 40, 80)]
    for row in table.to_dict("records"):
        matrix, parts = seen[row["image"], row["sigma"]]
        _, reference = seen[row["image"], 40.0]
        assert row["dimension"] == pytest.approx(float(matrix.double().square().sum()))
        assert row["rank"] == min(72, max(1, round(row["dimension"])))
        assert row["largest"] == pytest.approx(float(torch.linalg.matrix_norm(matrix.double(), 2)))
        assert row["absolute_cosine"] == pytest.approx(float(parts.cosines().abs().mean()))
        assert row["energy"] == pytest.approx(energy_kept(parts.axes, patches[row["image"]]))
        assert row["nestedness"] == pytest.approx(nestedness(parts.axes, reference.axes))
        assert row["filter_sum"] == pytest.approx(float(matrix.double().sum()) / 72)
        assert row["filter_sum_min"] <= row["filter_sum"] <= row["filter_sum_max"]
        assert row["asymmetry"] == pytest.approx(asymmetry(matrix))
    assert table.loc[table["sigma"] == 40, "nestedness"].tolist() == pytest.approx([1, 1])
    again = subspace_table(model, {"b": patches["b"]}, [40, 10, 80], name="net", dataset="none", reference_sigma=40)
    pd.testing.assert_frame_equal(again, table.iloc[3:].reset_index(drop=True))


def test_a_linear_denoiser_is_the_same_at_every_noise_level():
    kernel = torch.ones(1, 1, 3, 3) / 9
    table = subspace_table(
        lambda y: torch.conv2d(y, kernel, padding=1), {"a": image()}, [10, 100], name="mean", dataset="none"
    )
    assert table["nestedness"].tolist() == pytest.approx([1, 1])
    assert table["asymmetry"].tolist() == [0, 0]
    assert table["negative"].tolist() == [0, 0]
    assert table["filter_sum_max"].tolist() == pytest.approx([1, 1])
    assert table["filter_sum_min"].tolist() == pytest.approx([4 / 9, 4 / 9])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"denoiser": smooth()}, NotPiecewiseLinearError, "not piecewise linear"),
        ({"patches": {}}, AnalysisError, "no patches"),
        ({"patches": {"x": torch.zeros(4, 4)}}, AnalysisError, r"patch 'x': expected a tensor \(C, H, W\)"),
        ({"patches": {"x": torch.full((1, 4, 4), torch.inf)}}, DataError, "patch 'x'.*not finite"),
        ({"sigmas": [-5]}, ConfigError, "sigma"),
        ({"sigmas": []}, AnalysisError, "not among the noise levels"),
        ({"reference_sigma": 7}, AnalysisError, "7.0 is not among"),
        ({"noise_protocol": "none"}, ConfigError, "noise_protocol"),
    ],
)
def test_refusals_of_the_table(arguments, error, message):
    given = {"denoiser": network("dncnn", bias=False), "patches": {"a": image()}, "sigmas": [10], **arguments}
    with pytest.raises(error, match=message):
        subspace_table(name="n", dataset="d", **given)


def test_refusals_of_the_measures():
    with pytest.raises(AnalysisError, match=r"full Jacobian \(N, N\), got \(3, 4\)"):
        subspace(torch.zeros(3, 4))
    with pytest.raises(AnalysisError, match="not finite"):
        subspace(torch.full((3, 3), torch.nan))
    with pytest.raises(AnalysisError, match="zeros has no asymmetry"):
        asymmetry(torch.zeros(3, 3))
    with pytest.raises(AnalysisError, match="5 values but the subspace is one of images with 4"):
        energy_kept(torch.eye(4), torch.ones(5))
    with pytest.raises(AnalysisError, match="zero or not finite"):
        energy_kept(torch.eye(4), torch.zeros(4))
    with pytest.raises(AnalysisError, match="4 and 5 values"):
        nestedness(torch.eye(4), torch.eye(5))
    with pytest.raises(AnalysisError, match="without axes"):
        nestedness(torch.zeros(4, 0), torch.eye(4))
