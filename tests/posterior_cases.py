"""Gaussian images of which everything is known: the exact denoiser, the posterior, and what the sampler must give.

An image is made of independent blocks, each Gaussian with uncorrelated coefficients of the cosine transform. Many
blocks in one image are many samples. The iteration is linear there, so its own mean and covariance are known too:
samples must agree with these up to the error of sampling, and these with the posterior up to what the steps cost.
"""

import numpy as np
import torch
from scipy.fft import dct

MEAN = 0.4


class GaussianBlocks:
    """Blocks of side `side`; coefficient (i, j) has the standard deviation `deviations[i, j]`."""

    def __init__(self, deviations):
        self.deviations = np.asarray(deviations, dtype=np.float64)
        self.side = len(self.deviations)
        self.basis = dct(np.eye(self.side), norm="ortho", axis=0)

    def transform(self, images):
        """Coefficients (..., blocks, side, side) of images (..., H, W) less their mean."""
        n = self.side
        x = np.asarray(images, dtype=np.float64) - MEAN
        x = x.reshape(*x.shape[:-2], x.shape[-2] // n, n, x.shape[-1] // n, n).swapaxes(-3, -2)
        return (self.basis @ x @ self.basis.T).reshape(*x.shape[:-4], -1, n, n)

    def inverse(self, coefficients, height, width):
        n = self.side
        x = self.basis.T @ coefficients @ self.basis
        x = x.reshape(*x.shape[:-3], height // n, width // n, n, n).swapaxes(-3, -2)
        return torch.from_numpy(x.reshape(*x.shape[:-4], height, width) + MEAN)

    def draw(self, shape, seed=0):
        *batch, height, width = shape
        blocks = height * width // self.side**2
        z = np.random.default_rng(seed).standard_normal((*batch, blocks, self.side, self.side))
        return self.inverse(z * self.deviations, height, width)

    def denoiser(self, x, sigma):
        """The exact MMSE denoiser."""
        gain = self.deviations**2 / (self.deviations**2 + sigma**2)
        return self.inverse(self.transform(x) * gain, *x.shape[-2:]).to(x)

    def covariance(self):
        """(side^2, side^2), of the pixels of a block."""
        basis = np.kron(self.basis, self.basis)
        return basis.T @ np.diag(self.deviations.ravel() ** 2) @ basis

    def posterior(self, sigma_0):
        """Of each coefficient: the factor of y in the posterior's mean, and the posterior's variance."""
        gain = self.deviations**2 / (self.deviations**2 + sigma_0**2)
        return gain, gain * sigma_0**2

    def iterated(self, schedule, sigma_0):
        """The same two after the iteration of Algorithm 1 from x = y, whatever its steps."""
        _, sigma_0, levels = schedule.split(sigma_0)
        factor, variance = np.ones_like(self.deviations), np.zeros_like(self.deviations)
        for sigma, alpha in zip(levels, schedule.steps(levels, sigma_0)[:, 0], strict=True):
            pull = alpha / (sigma_0**2 - sigma**2)
            keep = 1 - alpha / (self.deviations**2 + sigma**2) - pull
            for _ in range(schedule.steps_per_level):
                factor, variance = keep * factor + pull, keep**2 * variance + 2 * alpha
        return factor, variance

    def inpainted(self, y, measured, sigma_0):
        """Mean (n, m) and covariance (m, m) of the pixels of blocks y (n, m), given those that are `measured` (m,)."""
        prior, seen = self.covariance(), np.flatnonzero(measured)
        gain = prior[:, seen] @ np.linalg.inv(prior[np.ix_(seen, seen)] + sigma_0**2 * np.eye(len(seen)))
        return MEAN + (y[:, seen] - MEAN) @ gain.T, prior - gain @ prior[seen]

    def inpainting_iterated(self, y, measured, schedule, sigma_0):
        """The same two after the iteration of Algorithm 2 with Eq. 10."""
        above, _, below = schedule.split(sigma_0) if sigma_0 else (np.array(schedule.sigmas), 0, [])
        levels = np.concatenate([above, below])
        prior, size = self.covariance(), self.side**2
        mean, covariance = np.full_like(y, 0.5 - MEAN), above[0] ** 2 * np.eye(size)
        for sigma, steps in zip(levels, schedule.steps(levels, sigma_0), strict=True):
            alpha = np.where(measured, *steps)
            pull = measured / abs(sigma_0**2 - sigma**2)
            curvature = np.linalg.inv(prior + sigma**2 * np.eye(size)) + np.diag(pull)
            if sigma > sigma_0:
                curvature[measured] = np.diag(pull)[measured]
            keep = np.eye(size) - alpha[:, None] * curvature
            for _ in range(schedule.steps_per_level):
                mean = mean @ keep.T + alpha * pull * (y - MEAN)
                covariance = keep @ covariance @ keep.T + np.diag(2 * alpha)
        return mean + MEAN, covariance
