"""What each command does: reads, calls the rooms, writes results with their provenance."""

from denoiser_priors.steps.common import configuration, write_resolved
from denoiser_priors.steps.documents import compute, draw, report, score
from denoiser_priors.steps.evaluation import analyze, check_residual, denoise, evaluate
from denoiser_priors.steps.networks import fetch, fetch_weights, train
from denoiser_priors.steps.restoration import restore
from denoiser_priors.steps.samplers import inpaint, posterior, sample, solve
from denoiser_priors.steps.show import show_config, show_list

__all__ = [
    "analyze",
    "check_residual",
    "compute",
    "configuration",
    "denoise",
    "draw",
    "evaluate",
    "fetch",
    "fetch_weights",
    "inpaint",
    "posterior",
    "report",
    "restore",
    "sample",
    "score",
    "show_config",
    "show_list",
    "solve",
    "train",
    "write_resolved",
]
