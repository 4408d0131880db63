"""The measurement operators of Kadkhodaie & Simoncelli 2020, those of users, and what checks them, in one place."""

from denoiser_priors.errors import OperatorError
from denoiser_priors.restoration.contract import LinearOperator, check_operator, require_projection
from denoiser_priors.restoration.pixels import BlockAverage, Inpainting, RandomPixels
from denoiser_priors.restoration.projections import RandomProjections
from denoiser_priors.restoration.spectral import SpectralLowPass
from denoiser_priors.restoration.user import Matrix, UserOperator

__all__ = [
    "BlockAverage",
    "Inpainting",
    "LinearOperator",
    "Matrix",
    "OperatorError",
    "RandomPixels",
    "RandomProjections",
    "SpectralLowPass",
    "UserOperator",
    "check_operator",
    "require_projection",
]
