"""Denoisers from before learning, under one contract: `get(name)(y, sigma)`; and editing in the gradient domain."""

from denoiser_priors.classical.registry import METHODS, AtLevel, Classical, get, names

__all__ = ["METHODS", "AtLevel", "Classical", "get", "names"]
