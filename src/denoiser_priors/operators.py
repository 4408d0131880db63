"""Public name of the measurement operators: `from denoiser_priors.operators import BlockAverage`."""

from denoiser_priors.restoration.operators import *  # noqa: F403
from denoiser_priors.restoration.operators import __all__  # noqa: F401
