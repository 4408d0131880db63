"""What image denoisers know: a replication suite for five documents on denoisers as priors."""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_PUBLIC = {
    "load_denoiser": "denoiser_priors.networks.zoo",
    "evaluate": "denoiser_priors.evaluation.api",
    "denoise": "denoiser_priors.evaluation.api",
    "jacobian": "denoiser_priors.analysis.jacobian",
    "net_bias": "denoiser_priors.analysis.net_bias",
    "subspace": "denoiser_priors.analysis.subspace",
    "sample_prior": "denoiser_priors.samplers.coarse_to_fine",
    "solve_linear_inverse": "denoiser_priors.samplers.coarse_to_fine",
    "residual_tests": "denoiser_priors.metrics.residual",
    "deblur": "denoiser_priors.restoration.mean_shift",
    "super_resolve": "denoiser_priors.restoration.mean_shift",
    "demosaic": "denoiser_priors.restoration.mean_shift",
    "posterior_denoise": "denoiser_priors.samplers.langevin",
    "posterior_inpaint": "denoiser_priors.samplers.langevin",
}

_MODULES = ("operators",)

__all__ = ["__version__", *_MODULES, *_PUBLIC]


def __getattr__(name: str):
    """Import the public functions on first use, so that `import denoiser_priors` costs nothing."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"denoiser_priors.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
