"""The loop of the coarse-to-fine sampler, over a batch in which each sample stops on its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import SamplingError
from denoiser_priors.evaluation.apply import apply, evaluating
from denoiser_priors.networks.precision import autocast, supports_bf16
from denoiser_priors.restoration.contract import LinearOperator
from denoiser_priors.samplers.recording import Bar, Samples, Trace
from denoiser_priors.samplers.settings import Settings, check_images, injected_noise, step_size

logger = logging.getLogger(__name__)

GROWTH = 10
"""A noise level of so many times that of the start is taken for divergence."""

PIXELS_PER_CALL = {"cpu": 96 * 1024, "cuda": 1024 * 1024}
"""Of all images in one call of the denoiser, unless `chunk` says otherwise. On two cores the colour BF-CNN takes 1.7
microseconds per pixel in bf16 for calls of 64k pixels and 2.5 for 256k: what no longer fits in the cache is slower."""


class _Constraint:
    """Images whose measurements are the given ones, for the samples of a batch that are still under way."""

    def __init__(self, operator: LinearOperator, target: Tensor):
        self.operator, self.target = operator, target

    def impose(self, images: Tensor) -> Tensor:
        """(I - M M^T) x + M m, a new tensor."""
        return (images - self.operator.project(images)).add_(self.target)

    def take(self, going: Tensor) -> _Constraint:
        return _Constraint(self.operator, self.target[going])


def sample(
    denoiser: Callable[[Tensor], Tensor],
    shape: tuple[int, int, int, int],
    settings: Settings,
    initial: Tensor | None,
    measured: tuple[LinearOperator, Tensor] | None,
    device: torch.device | str | None,
) -> Samples:
    """What `sample_prior` and, with an operator and measurements, `solve_linear_inverse` return, see there.

    Raises:
        SamplingError: as there.
    """
    settings = settings.checked(shape[0], constrained=measured is not None)
    channels = getattr(denoiser, "channels", None)
    if channels not in (None, shape[1]):
        raise SamplingError(
            f"the denoiser is for images of {channels} channel(s), but the samples of shape {shape} have {shape[1]}; "
            "choose another denoiser or shape."
        )
    if initial is not None:
        check_images(initial, shape, "initial")
    began = time.perf_counter()
    with evaluating(denoiser) as own:
        # Without parameters, a module is as much at home on one device as on another.
        placed = isinstance(denoiser, torch.nn.Module) and any(True for _ in denoiser.parameters())
        where = own if placed else torch.device(device or "cpu")
        if settings.precision == "bf16" and not supports_bf16(where):
            logger.warning("no bfloat16 on this device (%s): the network computes in fp32", where)
        constraint = None
        if measured is not None:
            operator, measurements = measured
            constraint = _Constraint(operator, operator.reconstruct(measurements.to(where, torch.float32)))
        run = _Run(denoiser, shape, settings, constraint, where, began)
        return run.run(initial)


class _Run:
    """One run of the sampler. The samples that have not arrived are kept together, so that no call is wasted."""

    def __init__(
        self,
        denoiser: Callable[[Tensor], Tensor],
        shape: tuple[int, int, int, int],
        settings: Settings,
        constraint: _Constraint | None,
        device: torch.device,
        began: float,
    ):
        self.denoiser, self.shape, self.settings, self.device = denoiser, shape, settings, device
        self.all_constraint = self.constraint = constraint
        self.chunk = settings.chunk or max(1, PIXELS_PER_CALL.get(device.type, 2**20) // (shape[2] * shape[3]))
        self.noise = settings.noise(shape)
        self.trace = Trace(shape[0])
        self.began = began
        self.going = np.arange(shape[0])

    def run(self, initial: Tensor | None) -> Samples:
        settings = self.settings
        self.y = self._start(initial)
        self.stopped = torch.empty_like(self.y)
        limit, t = None, 0
        with Bar(settings) as bar:
            while len(self.going) and t < settings.max_iterations:
                t += 1
                beta, h = settings.beta[self.going], step_size(settings.h_0[self.going], t)
                direction = self._direction()
                # Drawn before the noise level is asked for, so that a GPU works on the direction meanwhile.
                z = self.noise.draw(self.going, self.device)
                sigma = self._noise_level(direction)
                limit = GROWTH * np.maximum(settings.sigma_0, sigma) if limit is None else limit
                self._check_divergence(sigma, limit[self.going], t)
                gamma = injected_noise(beta, h, sigma)
                self.y.addcmul_(direction, self._column(h))
                if z is not None:
                    self.y.addcmul_(z, self._column(gamma))
                self.trace.add(self.going, sigma, h * sigma, gamma)
                if settings.callback is not None:
                    with torch.inference_mode(False):
                        current = self._current().clone(memory_format=torch.contiguous_format)
                        settings.callback(t, current, self.trace.last())
                bar.update(t, sigma)
                self._retire(sigma <= settings.sigma_L)
        converged = np.ones(self.shape[0], bool)
        converged[self.going] = False
        if len(self.going):
            logger.warning(
                "sampling stopped at %d iterations with %d of %d samples above sigma_L = %g (the noisiest at %.3g): "
                "they are returned as they are; raise max_iterations, beta or h_0",
                t,
                len(self.going),
                self.shape[0],
                settings.sigma_L,
                self.trace.last().max(),
            )
        before = self._current()
        return self._samples(before, self._final(before), converged)

    def _start(self, initial: Tensor | None) -> Tensor:
        if initial is not None:
            # A copy, since iterates replace each other in place.
            y = initial.detach().to(self.device, torch.float32, copy=True)
        else:
            y = torch.full(self.shape, float(self.settings.mean), device=self.device)
            if self.constraint is not None:
                y = self.constraint.impose(y)
            y.add_(self.noise.initial().to(self.device), alpha=self.settings.sigma_0)
        # Pixels in the order of memory that networks are fastest in.
        return _channels_last(y)

    def _denoise(self, y: Tensor) -> Tensor:
        with autocast(self.device, self.settings.precision):
            parts = [apply(self.denoiser, part) for part in y.split(self.chunk)]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).float()

    def _direction(self) -> Tensor:
        denoised = self._denoise(self.y)
        if self.constraint is None:
            return denoised - self.y
        # (I - P)(x - y) + M m - P y with the denoised image x, in one projection instead of two.
        return self.constraint.impose(denoised).sub_(self.y)

    def _noise_level(self, direction: Tensor) -> np.ndarray:
        flat = direction.permute(0, 2, 3, 1).flatten(1)
        norms = torch.linalg.vector_norm(flat, dim=1)
        return norms.double().cpu().numpy() / np.sqrt(flat.shape[1])

    def _check_divergence(self, sigma: np.ndarray, limit: np.ndarray, t: int) -> None:
        bad = ~(np.isfinite(sigma) & (sigma <= limit))
        if not bad.any():
            return
        first = int(np.flatnonzero(bad)[0])
        converged = np.ones(self.shape[0], bool)
        converged[self.going] = False
        current = self._current()
        said = f"a noise level of {sigma[first]:.3g}" if np.isfinite(sigma[first]) else "values that are not finite"
        raise SamplingError(
            f"sampling diverges: sample {self.going[first]} has {said} in iteration {t} ({t - 1} done). The denoiser "
            "may not be made for noise that strong or for images on the [0, 1] scale; try a smaller sigma_0 or h_0.",
            self._samples(current, current, converged),
        )

    def _retire(self, arrived: np.ndarray) -> None:
        """Put the samples that have arrived aside and go on with the others."""
        if not arrived.any():
            return
        mask = torch.from_numpy(arrived).to(self.device)
        self.stopped[torch.from_numpy(self.going[arrived]).to(self.device)] = self.y[mask]
        self.going, self.y = self.going[~arrived], _channels_last(self.y[~mask])
        if self.constraint is not None:
            self.constraint = self.constraint.take(~mask)

    def _current(self) -> Tensor:
        """The iterates of all samples, (B, C, H, W)."""
        if len(self.going) == self.shape[0]:
            return self.y
        current = self.stopped.clone()
        current[torch.from_numpy(self.going).to(self.device)] = self.y
        return current

    def _final(self, images: Tensor) -> Tensor:
        if self.settings.final == "none":
            return images
        denoised = self._denoise(images)
        return self.all_constraint.impose(denoised) if self.settings.final == "denoise-project" else denoised

    def _samples(self, before: Tensor, images: Tensor, converged: np.ndarray) -> Samples:
        # Made anew outside of inference mode, whose tensors cannot be used in training.
        with torch.inference_mode(False):
            kept = before.clone(memory_format=torch.contiguous_format)
            after = kept if images is before else images.clone(memory_format=torch.contiguous_format)
            return self.trace.samples(after, kept, torch.from_numpy(converged), time.perf_counter() - self.began)

    def _column(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device, torch.float32).view(-1, 1, 1, 1)


def _channels_last(y: Tensor) -> Tensor:
    # Said by the strides, since with one channel a tensor counts as being in either order.
    return y.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
