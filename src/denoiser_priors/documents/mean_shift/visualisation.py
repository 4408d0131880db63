"""What priors prefer (figure 1): pictures that are bent, step by step, towards what each prior holds more probable.

The document uses the method of Shaham & Michaeli 2016 ("Visualizing image priors"), which deforms an image so that its
probability under a prior grows. Here the deformation is smooth, follows the gradient of the prior's logarithm, and ends
where it has moved pixels by the same distance for every prior, so that what differs is only where to.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from denoiser_priors.config import Config
from denoiser_priors.documents.mean_shift import patch_mixture, plan, runs
from denoiser_priors.files import write_arrays

PRIORS = ("tv", "sparse", "mixture", "mean_shift")

EXPONENT = 0.8
"""Of gradients in the sparse prior, as is usual for photographs (Levin et al. 2007)."""

SMOOTHNESS = 3.5
"""Standard deviation of the Gaussian that smooths the deformation, pixels."""

MEMORY = 0.9
"""Momentum of the deformation: keeps it from swinging, and averages the noise that the mean-shift prior injects."""

EPSILON = 0.01
"""Gradients below this, [0, 1] scale, count as this."""


def figure_01(config: Config, out: Path) -> list[Path]:
    """A drawing and a photograph, each bent towards four priors. Returns the inputs.

    Writes float32 arrays on the [0, 1] scale: original (2, 1, H, H), H of the settings or the photograph's shorter
    side; for each of PRIORS, an array of the same shape; and `about` as JSON, with `moved`, the root mean square of the
    displacement in pixels, by prior.
    """
    from denoiser_priors.data.images import as_tensor, load_images

    settings = config.mean_shift.figure_01
    chosen = plan.visualised(config)
    network = runs.load_network(config, chosen)
    where = {"channels": 1, "folders": config.datasets, "minimum": patch_mixture.SIDE}
    training = load_images(settings.dataset, config.paths.data, split="train", **where)
    mixture = patch_mixture.fit(
        [image.pixels[..., 0] / 255 for image in training],
        patches=settings.patches,
        components=settings.components,
        seed=config.seed,
    )
    photograph = as_tensor(load_images(settings.dataset, config.paths.data, split="test", limit=1, **where)[0])
    side = min(settings.side, *photograph.shape[-2:])
    originals = [drawing(side), runs.middle(photograph, side)]
    bent: dict[str, list[Tensor]] = {name: [] for name in PRIORS}
    moved: dict[str, list[float]] = {name: [] for name in PRIORS}
    for number, original in enumerate(originals):
        for name, gradient in gradients(config, network, mixture, key=number).items():
            image, distance = bend(original, gradient, iterations=settings.iterations, reach=settings.reach)
            bent[name].append(image)
            moved[name].append(distance)
    said = {"denoiser": chosen.name, "prior_sigma": chosen.sigma, "recipe": config.denoiser(chosen.name).recipe}
    said |= {"preset": config.preset, "moved": moved, "components": settings.components, "patches": settings.patches}
    write_arrays(out, said, original=torch.stack(originals), **{name: torch.stack(bent[name]) for name in PRIORS})
    return [config.weights_path(chosen.name), Path(config.paths.data) / settings.dataset / "manifest.json"]


def gradients(
    config: Config, network: runs.Network, mixture: patch_mixture.PatchMixture, key: int
) -> dict[str, Callable[[Tensor], Tensor]]:
    """For each prior, the gradient of minus its logarithm (up to a factor) at an image (1, 1, H, W)."""
    from denoiser_priors.evaluation.apply import evaluating
    from denoiser_priors.restoration.mean_shift_descent import Prior

    prior = Prior(
        denoiser=network.denoiser,
        sigma=network.prior.sigma,
        seed=config.seed,
        part=0,
        keys=[f"figure_01/{key}"],
        precision=config.mean_shift.precision,
        chunk=None,
    )

    def mean_shift(image: Tensor) -> Tensor:
        with evaluating(network.denoiser) as device:
            return prior.shift(image.to(device)).cpu().clone()

    return {
        "tv": lambda image: slopes(image, 1.0),
        "sparse": lambda image: slopes(image, EXPONENT),
        "mixture": mixture.gradient,
        "mean_shift": mean_shift,
    }


def slopes(image: Tensor, exponent: float) -> Tensor:
    """Gradient of the sum over pixels of the length of the image's gradient to a power; image (1, 1, H, W)."""
    x = image.detach().clone().requires_grad_()
    down, right = x[..., 1:, :-1] - x[..., :-1, :-1], x[..., :-1, 1:] - x[..., :-1, :-1]
    (down.square() + right.square() + EPSILON**2).pow(exponent / 2).sum().backward()
    return x.grad


def bend(image: Tensor, gradient: Callable[[Tensor], Tensor], *, iterations: int, reach: float) -> tuple[Tensor, float]:
    """An image (1, H, W), deformed against `gradient` until its pixels have moved by `reach`; and how far they have.

    Args:
        gradient: from an image (1, 1, H, W) to the gradient of what is to become less.
        iterations: steps at most; a step is a thirtieth of `reach`, or more where there are fewer.
        reach: pixels, root mean square.
    """
    height, width = image.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    field = torch.zeros(2, height, width)
    heading = torch.zeros_like(field)
    step = max(reach / 30, reach / iterations)

    def warped() -> Tensor:
        at = torch.stack([2 * (columns + field[1]) / (width - 1) - 1, 2 * (rows + field[0]) / (height - 1) - 1], -1)
        return F.grid_sample(image[None], at[None], mode="bicubic", padding_mode="border", align_corners=True)

    for _ in range(iterations):
        now = warped()
        slope = torch.stack(torch.gradient(now[0, 0], dim=(0, 1)))
        heading = MEMORY * heading + _unit(_smoothed(gradient(now)[0] * slope))
        field = field - step * _unit(heading)
        if float(field.square().sum(0).mean().sqrt()) >= reach:
            break
    return warped()[0].clamp(0, 1), float(field.square().sum(0).mean().sqrt())


def _smoothed(field: Tensor) -> Tensor:
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(field.numpy(), (0, SMOOTHNESS, SMOOTHNESS), mode="nearest"))


def _unit(field: Tensor) -> Tensor:
    return field / field.square().sum(0).mean().sqrt().clamp(min=1e-12)


def drawing(side: int) -> Tensor:
    """Dark strokes on a light ground (1, side, side): a spiral, a zigzag, a wave and a ring, drawn without steps."""
    fine = 4
    centres = (np.arange(side * fine) + 0.5) / (side * fine)
    y, x = np.meshgrid(centres, centres, indexing="ij")
    turn = np.linspace(0, 1, 1500)
    curves = [
        (0.27 + 0.2 * turn * np.cos(14 * turn), 0.27 + 0.2 * turn * np.sin(14 * turn)),
        (0.56 + 0.36 * turn, 0.12 + 0.26 * np.abs((turn * 3) % 1 * 2 - 1)),
        (0.06 + 0.4 * turn, 0.74 + 0.09 * np.sin(18 * turn)),
        (0.74 + 0.16 * np.cos(2 * np.pi * turn), 0.72 + 0.16 * np.sin(2 * np.pi * turn)),
    ]
    from scipy.spatial import cKDTree

    tree = cKDTree(np.concatenate([np.stack(curve, axis=1) for curve in curves]))
    distance = tree.query(np.stack([x.ravel(), y.ravel()], axis=1))[0].reshape(x.shape)
    ink = np.where(distance < 0.018, 0.15, 0.85)
    return torch.from_numpy(ink.reshape(side, fine, side, fine).mean(axis=(1, 3)).astype(np.float32))[None]
