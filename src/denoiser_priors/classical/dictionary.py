"""Sparse representations over a dictionary learned from the noisy image itself: K-SVD."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import idct

from denoiser_priors.errors import ConfigError

_CHUNK = 4096
"""Patches coded at a time: their correlations with 256 atoms take 8 MB."""


def sparse(
    image: np.ndarray,
    sigma: float,
    gain: float = 1.15,
    patch: int = 8,
    atoms: int = 256,
    iterations: int = 10,
    training_patches: int = 4000,
    fidelity: float = 30.0,
    seed: int = 0,
) -> np.ndarray:
    """Every patch becomes the sparsest sum of atoms that is as far from it as the noise; overlaps are averaged.

    The dictionary starts as an overcomplete cosine transform and is learned on patches of the noisy image, by turns of
    orthogonal matching pursuit and K-SVD's update of one atom after the other (its approximate form). Pursuit stops
    where the error falls to gain * sigma per pixel. Means of patches are taken off before and added after.

    Args:
        image: (H, W).
        sigma: standard deviation of the noise in units of the image, above 0.
        gain: C of the paper, above 0.
        patch: side of a patch in pixels.
        atoms: of the dictionary, the constant one among them; the square of a whole number of at least `patch`.
        iterations: of learning; 0 leaves the cosine transform as it is.
        training_patches: how many patches to learn from at most; drawn at random.
        fidelity: the noisy image counts as lambda = fidelity / (255 sigma) patches more in the average, as in the
            paper; 0 leaves it out.
        seed: of the draw.

    Returns:
        (H, W). The same for the same image and seed.

    Raises:
        ConfigError: a value out of range.

    Source: Elad & Aharon 2006 (IEEE Trans. Image Process. 15(12)); Aharon, Elad & Bruckstein 2006 (IEEE Trans. Signal
    Process. 54(11)); approximate update Rubinstein, Zibulevsky & Elad 2008 (Technion CS-2008-08).
    """
    side = round(atoms**0.5)
    if patch < 2 or side * side != atoms or side < patch:
        raise ConfigError(
            f"atoms must be the square of a whole number >= patch, and patch at least 2, not {atoms!r} and {patch!r}."
        )
    if not (gain > 0 and fidelity >= 0 and iterations >= 0 and training_patches >= 1):
        raise ConfigError("gain must be above 0, fidelity and iterations not below, training_patches at least 1.")
    height, width = image.shape
    padded = np.pad(image, ((0, max(0, patch - height)), (0, max(0, patch - width))), mode="symmetric")
    patches = sliding_window_view(padded, (patch, patch)).reshape(-1, patch * patch)
    means = patches.mean(axis=1, keepdims=True)
    centred = patches - means
    tolerance = patch * patch * (gain * sigma) ** 2
    # A patch that is nearer to its mean than the tolerance needs no atoms, and is no example of what atoms are for.
    busy = np.flatnonzero(np.square(centred).sum(axis=1) > tolerance)
    denoised = np.repeat(means, patch * patch, axis=1)
    if len(busy):
        chosen = np.random.default_rng(seed).permutation(busy)[:training_patches]
        dictionary = learn(cosines(patch, side), centred[chosen], tolerance, iterations)
        for start in range(0, len(busy), _CHUNK):
            part = busy[start : start + _CHUNK]
            denoised[part] += pursue(dictionary, centred[part], tolerance) @ dictionary
    weight = fidelity / (255 * sigma)
    total, count = _overlapped(denoised, padded.shape, patch)
    return ((total + weight * padded) / (count + weight))[:height, :width]


def cosines(patch: int, side: int) -> np.ndarray:
    """An overcomplete cosine transform: (side^2 - 1, patch^2), atoms of unit norm and zero mean.

    Products of `side` cosines of `patch` samples with frequencies from 0 to half a period a sample; the constant atom
    is left out, since means are taken off the patches.
    """
    waves = idct(np.eye(side), axis=0, norm="ortho")[:patch].T
    waves[1:] -= waves[1:].mean(axis=1, keepdims=True)
    atoms = np.einsum("ai,bj->abij", waves, waves).reshape(side * side, patch * patch)[1:]
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


def learn(dictionary: np.ndarray, patches: np.ndarray, tolerance: float, iterations: int) -> np.ndarray:
    """The dictionary (K, P) after some iterations of K-SVD on patches (N, P); atoms stay of unit norm.

    An atom that no patch uses is replaced by the patch that is represented worst, of those without it.
    """
    dictionary = dictionary.copy()
    for _ in range(iterations):
        codes = pursue(dictionary, patches, tolerance)
        residual = patches - codes @ dictionary
        errors = np.square(residual).sum(axis=1)
        for k in range(len(dictionary)):
            users = np.flatnonzero(codes[:, k])
            if len(users) == 0:
                worst = int(np.argmax(errors))
                errors[worst] = 0
                dictionary[k] = patches[worst] / np.linalg.norm(patches[worst])
                continue
            without = residual[users] + np.outer(codes[users, k], dictionary[k])
            atom = codes[users, k] @ without
            length = np.linalg.norm(atom)
            if length > 0:
                dictionary[k] = atom / length
            codes[users, k] = without @ dictionary[k]
            residual[users] = without - np.outer(codes[users, k], dictionary[k])
    return dictionary


def pursue(dictionary: np.ndarray, patches: np.ndarray, tolerance: float, most: int | None = None) -> np.ndarray:
    """Orthogonal matching pursuit of many patches at once.

    As scikit-learn's `orthogonal_mp_gram`, which takes one patch after the other and so takes many times as long.

    Args:
        dictionary: (K, P), rows of unit norm.
        patches: (N, P).
        tolerance: squared error at or below which the pursuit of a patch stops.
        most: atoms for a patch at most; by default half of P.

    Returns:
        Codes (N, K): patches are about codes @ dictionary.

    Source: Rubinstein, Zibulevsky & Elad 2008 (batch OMP).
    """
    gram, products = dictionary @ dictionary.T, patches @ dictionary.T
    squares = np.square(patches).sum(axis=1)
    codes = np.zeros_like(products)
    open_ = np.flatnonzero(squares > tolerance)
    support = np.zeros((len(open_), 0), int)
    for _ in range(most or max(1, dictionary.shape[1] // 2)):
        if len(open_) == 0:
            break
        correlation = np.abs(products[open_] - codes[open_] @ gram)
        np.put_along_axis(correlation, support, -1, axis=1)
        support = np.hstack([support, correlation.argmax(axis=1)[:, None]])
        # The ridge is below rounding for atoms that are independent, and keeps the others from dividing by zero.
        grams = gram[support[:, :, None], support[:, None, :]] + 1e-12 * np.eye(support.shape[1])
        wanted = np.take_along_axis(products[open_], support, axis=1)
        weights = np.linalg.solve(grams, wanted[..., None])[..., 0]
        codes[open_[:, None], support] = weights
        left = squares[open_] - (weights * wanted).sum(axis=1) > tolerance
        open_, support = open_[left], support[left]
    return codes


def _overlapped(patches: np.ndarray, shape: tuple[int, int], patch: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum of all patches (N, patch^2) in their places, and how many there are at each pixel."""
    total, count = np.zeros(shape), np.zeros(shape)
    down, along = (n - patch + 1 for n in shape)
    stack = patches.reshape(down, along, patch, patch)
    for i in range(patch):
        for j in range(patch):
            total[i : i + down, j : j + along] += stack[:, :, i, j]
            count[i : i + down, j : j + along] += 1
    return total, count
