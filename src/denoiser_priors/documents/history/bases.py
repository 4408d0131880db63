"""Eigenvectors and shrinkage of the symmetrised Jacobian, PSNR slopes, shuffled pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.history import arrays, curves, networks, plan, subjects
from denoiser_priors.documents.history.columns import SLOPE_CURVES
from denoiser_priors.errors import ConfigError
from denoiser_priors.tables import write_csv

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Shrinkage:
    """A bias-free denoiser at one image as shrinkage in a basis, f(y) = J y, J nearly symmetric.

    Attributes:
        values: (d,) eigenvalues of (J + J^T) / 2, from the largest.
        vectors: (d, d) float32, eigenvectors as columns, flattened images.
        asymmetry: |J - J^T| / |J + J^T|, Frobenius norms.
        homogeneity: |J y - f(y)| / |f(y)|.
        trace: of J.
    """

    values: np.ndarray
    vectors: np.ndarray
    asymmetry: float
    homogeneity: float
    trace: float


def shrinkage(network: nn.Module, y: np.ndarray) -> Shrinkage:
    """The basis in which a denoiser shrinks an image (C, H, W), and by which factors.

    Source: Kadkhodaie et al. 2024, Sec. 2.1, Eqs. 6-8; Mohan et al. 2020, Sec. 6.
    """
    import torch

    from denoiser_priors.analysis.jacobian import jacobian

    image = torch.from_numpy(np.ascontiguousarray(y, np.float32))
    matrix = jacobian(network, image).double().cpu().numpy()
    output = curves.denoised(network, y[None])[0].ravel().astype(float)
    symmetric = (matrix + matrix.T) / 2
    values, vectors = np.linalg.eigh(symmetric)
    return Shrinkage(
        values[::-1].copy(),
        vectors[:, ::-1].astype(np.float32),
        float(np.linalg.norm(matrix - matrix.T) / max(2 * np.linalg.norm(symmetric), 1e-20)),
        float(np.linalg.norm(matrix @ y.ravel().astype(float) - output) / max(np.linalg.norm(output), 1e-20)),
        float(np.trace(matrix)),
    )


def bases(config: Config, out: Path, *, part: int) -> list[Path]:
    """The basis of one of the subjects (figure_harmonic_bases): faces, C-alpha images, disks.

    Writes, for n test images at one noise level, `values` (n, d); of the first image `clean`, `noisy`, `denoised`
    (C, H, W) and `vectors` (K, C, H, W), those numbered `indices` (K,); `homogeneity`, `asymmetry`, `trace`, `sure`,
    `squared_error` (n,), of all pixels together: SURE = 2 sigma^2 tr J + |y - f|^2 - sigma^2 d (Kadkhodaie et al.
    2024, Eq. 10); a curve `curve_sigma`, `curve_input`, `curve_psnr`; for disks `tangent` (n,): the part of the
    manifold's tangent space, of five dimensions, that lies in the span of the first five eigenvectors. Returns the
    inputs.

    Raises:
        ConfigError: no such part.
        CheckpointError: the network is not trained yet.
    """
    names = plan.shown_in_bases(config)
    if not 0 <= part < len(names):
        raise ConfigError(f"history bases: there is no part {part}; the parts are {', '.join(names)}, counted from 0")
    what, name = list(names.items())[part]
    settings = config.history.bases
    sigma = {"faces": settings.sigma_faces, "c-alpha": settings.sigma_c_alpha, "disks": config.history.disks.sigma}[
        what
    ]
    levels = {"faces": config.history.shuffled.sigma}.get(what, config.history.slopes.sigma)
    found = subjects.subject(config, name)
    network = networks.load(config, name)
    tests = subjects.stack(found.test)
    count = min(len(tests), config.history.disks.test_images if what == "disks" else settings.images)
    clean = tests[:count]
    y = curves.noisy(clean, sigma, seed=config.seed, label=f"bases-{what}")
    output = curves.denoised(network, y)
    each = [shrinkage(network, image) for image in y]
    size = clean[0].size
    indices = [i for i in settings.vectors if i < size]
    vectors = each[0].vectors[:, indices].T.reshape(len(indices), *clean.shape[1:])
    residual = np.square(y - output).reshape(count, -1).sum(1)
    trace = np.array([one.trace for one in each])
    table = pd.DataFrame(curves.curve(network, tests, levels, seed=config.seed, label=f"curve-{what}"))
    more = {}
    if what == "disks":
        from denoiser_priors.data.synthetic import disk_parameters, disk_tangents

        parameters = disk_parameters(count, config.history.disks.side, seed=subjects.TEST_SEED)
        spaces = [disk_tangents(one, config.history.disks.side).reshape(5, -1) for one in parameters]
        more["tangent"] = [contained(space, one.vectors[:, :5]) for space, one in zip(spaces, each, strict=True)]
    arrays.save(
        out,
        {"subject": what, "network": name, "sigma": sigma, "images": count, "preset": config.preset},
        values=np.stack([one.values for one in each]),
        clean=clean[0],
        noisy=y[0],
        denoised=output[0],
        vectors=vectors,
        indices=np.array(indices),
        homogeneity=[one.homogeneity for one in each],
        asymmetry=[one.asymmetry for one in each],
        trace=trace,
        sure=2 * sigma**2 * trace + residual - sigma**2 * size,
        squared_error=np.square(output - clean).reshape(count, -1).sum(1),
        curve_sigma=table["sigma"],
        curve_input=table["input_psnr"],
        curve_psnr=table["psnr"],
        **more,
    )
    return [plan.weights(config, name)]


def contained(space: np.ndarray, basis: np.ndarray) -> float:
    """The part of a subspace, (k, d) rows in any basis, that lies in the span of orthonormal columns (d, m), 0 to 1."""
    orthonormal, _ = np.linalg.qr(space.T)
    return float(np.square(orthonormal.T @ basis).sum() / orthonormal.shape[1])


def slopes(config: Config, out: Path, *, part: int) -> list[Path]:
    """PSNR of the network of one regularity over noise levels (figure_slopes): a table of SLOPE_CURVES.

    Returns the inputs. Errors as `bases`.
    """
    alpha = plan.alpha(config, part)
    name = f"c-alpha-{alpha:g}"
    found, settings = subjects.subject(config, name), config.history.slopes
    network, rows = networks.load(config, name), []
    for split, images in (("train", found.train), ("test", found.test)):
        clean = subjects.stack(images[: settings.test_images])
        curve = curves.curve(network, clean, settings.sigma, seed=config.seed, label=f"{name}-{split}")
        rows += [{"alpha": alpha, "network": name, "split": split, **row} for row in curve]
    write_csv(pd.DataFrame(rows)[list(SLOPE_CURVES)], out)
    return [plan.weights(config, name)]


def shuffled(config: Config, out: Path) -> list[Path]:
    """A network on shuffled pixels beside one on the images (figure_shuffled).

    Writes `clean`, `noisy` (C, H, W) and for each kind of network, plain and shuffled, `denoised_<kind>` (C, H, W) of
    the same noisy image, `values_<kind>` (n, d), eigenvalues for n test images, `vectors_<kind>` (K, C, H, W) of the
    first, `psnr_<kind>` (T,) over `sigma` (T,) with `input` (T,). All images of the shuffled kind are put back in
    order; `raw` (K, C, H, W) are its eigenvectors as the network sees them. Returns the inputs.

    Raises:
        CheckpointError: a network is not trained yet.
    """
    settings, stored = config.history.shuffled, {}
    kinds = {kind: f"faces-{kind}" for kind in ("plain", "shuffled")}
    tests = subjects.stack(subjects.subject(config, kinds["plain"]).test)
    order = subjects.subject(config, kinds["shuffled"]).permutation
    count = min(len(tests), config.history.bases.images)
    y = curves.noisy(tests[:count], settings.sigma_shown, seed=config.seed, label="shuffled")
    for kind, name in kinds.items():
        network = networks.load(config, name)
        forward = order if kind == "shuffled" else np.arange(tests[0, 0].size)
        back = np.argsort(forward)
        given = subjects.permuted(y, forward)
        each = [shrinkage(network, image) for image in given]
        indices = [i for i in config.history.bases.vectors if i < tests[0].size]
        vectors = each[0].vectors[:, indices].T.reshape(len(indices), *tests.shape[1:])
        curve = curves.curve(
            network, subjects.permuted(tests, forward), settings.sigma, seed=config.seed, label="faces"
        )
        stored |= {
            f"denoised_{kind}": subjects.permuted(curves.denoised(network, given[:1]), back)[0],
            f"values_{kind}": np.stack([one.values for one in each]),
            f"vectors_{kind}": subjects.permuted(vectors, back),
            f"psnr_{kind}": [row["psnr"] for row in curve],
        }
        stored["input"] = [row["input_psnr"] for row in curve]
        if kind == "shuffled":
            stored["raw"] = vectors
    arrays.save(
        out,
        {"dataset": settings.dataset, "sigma": settings.sigma_shown, "images": count, "tests": len(tests)}
        | {"preset": config.preset, "networks": list(kinds.values())},
        clean=tests[0],
        noisy=y[0],
        indices=np.array(indices),
        sigma=settings.sigma,
        **stored,
    )
    return [plan.weights(config, name) for name in kinds.values()]


EXPERIMENTS = {"bases": bases, "slopes": slopes, "shuffled": shuffled}
