"""The document's experiments: from denoisers and images to the tables and arrays under results/implicit_prior/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.implicit_prior import examples, manifold, plan, restorations, runs, tables
from denoiser_priors.documents.implicit_prior.tables_traces import COLUMNS as TRACE_COLUMNS
from denoiser_priors.documents.implicit_prior.tables_traces import law
from denoiser_priors.files import write_arrays
from denoiser_priors.tables import write_csv

if TYPE_CHECKING:
    from torch import Tensor

    from denoiser_priors.samplers.coarse_to_fine import Samples


def synthesis(config: Config, out: Path, traces: Path) -> list[Path]:
    """Samples from the prior of the denoiser of photographs, and how they came about (figures 1, 2, 11 and 12).

    Sample k starts from the same noise at every beta. Writes to `out` sequence (2, K, C, H, W), the iterates at
    sequence_t (K,) without injected noise and the noise level sequence_sigma (2, K) estimated from each, and
    samples_<beta> (n, C, H, W); to `traces` one row per iteration of a run, the columns of `tables_traces.COLUMNS`.
    Images and noise levels on the [0, 1] scale. Returns the inputs.

    Raises:
        ConfigError: the configuration has no denoiser for it.
    """
    settings = config.implicit_prior.synthesis
    prior = runs.load_prior(config, plan.photographs(config, settings.channels))
    counts = dict.fromkeys((1.0, *settings.betas), settings.samples)
    counts[1.0] = max(counts[1.0], settings.sequences)
    for beta in settings.convergence:
        counts[beta] = max(counts.get(beta, 0), settings.convergence_samples)
    keep = _Sequence(settings.every, settings.sequences)
    drawn = _draw(config, prior, counts, (settings.channels, settings.side, settings.side), "synthesis", keep)
    names, times = drawn.keys, keep.times(drawn.samples)
    first = [names.index((1.0, k)) for k in range(settings.sequences)]
    sequence, sigma = keep.images(drawn.samples, first, times)
    shown = {beta: _of(names, beta, settings.samples) for beta in dict.fromkeys((1.0, *settings.betas))}
    said = runs.about(
        config,
        prior,
        betas=list(settings.betas),
        iterations={f"{beta:g}": drawn.samples.iterations[own].tolist() for beta, own in shown.items()},
        final=drawn.final,
    )
    arrays = {f"samples_{beta:g}": drawn.samples.images[own] for beta, own in shown.items()}
    write_arrays(out, said, sequence=sequence, sequence_t=np.array(times), sequence_sigma=sigma, **arrays)
    own = [name for beta in settings.convergence for name in _keys(beta, settings.convergence_samples)]
    write_csv(_traces(config, prior.name, drawn.samples, {name: names.index(name) for name in own}), traces)
    return [config.weights_path(prior.name)]


def digits(config: Config, out: Path) -> list[Path]:
    """Samples from the prior of the denoiser of digits, samples_<beta> (n, 1, H, W) (figure 13). Returns the inputs.

    Raises:
        ConfigError: the configuration has no denoiser of digits.
    """
    settings = config.implicit_prior.digits
    prior = runs.load_prior(config, plan.denoiser(config, "digits"))
    counts = dict.fromkeys(settings.betas, settings.samples)
    drawn = _draw(config, prior, counts, (1, settings.side, settings.side), "digits")
    shown = {beta: _of(drawn.keys, beta, settings.samples) for beta in settings.betas}
    iterations = {f"{beta:g}": drawn.samples.iterations[own].tolist() for beta, own in shown.items()}
    said = runs.about(config, prior, betas=list(settings.betas), iterations=iterations, final=drawn.final)
    write_arrays(out, said, **{f"samples_{beta:g}": drawn.samples.images[own] for beta, own in shown.items()})
    return [config.weights_path(prior.name)]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    "synthesis": synthesis,
    "digits": digits,
    **manifold.EXPERIMENTS,
    **examples.EXPERIMENTS,
    **restorations.EXPERIMENTS,
    **tables.EXPERIMENTS,
}


class _Drawn:
    """Samples at several betas; `keys` says which, (beta, number of the sample)."""

    def __init__(self, keys: list[tuple[float, int]], samples: Samples, final: str):
        self.keys, self.samples, self.final = keys, samples, final


def _draw(
    config: Config,
    prior: runs.Prior,
    counts: dict[float, int],
    shape: tuple[int, int, int],
    room: str,
    callback: Callable | None = None,
) -> _Drawn:
    from denoiser_priors.samplers.coarse_to_fine import sample_prior

    keys = [key for beta, count in counts.items() for key in _keys(beta, count)]
    # Without measurements there are none to restore.
    final = "none" if config.implicit_prior.final == "none" else "denoise"
    samples = sample_prior(
        prior.network,
        (len(keys), *shape),
        beta=[beta for beta, _ in keys],
        keys=[f"{room}/{k}" for _, k in keys],
        final=final,
        callback=callback,
        **runs.options(config, prior, shape[1] * shape[2]),
    )
    return _Drawn(keys, samples, final)


def _keys(beta: float, count: int) -> list[tuple[float, int]]:
    return [(beta, k) for k in range(count)]


def _of(keys: list[tuple[float, int]], beta: float, count: int) -> list[int]:
    return [keys.index(key) for key in _keys(beta, count)]


class _Sequence:
    """Keeps the iterates y_t of the first samples, t = 1, 1 + every, ..., as the sampler calls it."""

    def __init__(self, every: int, count: int):
        self._every, self._count, self._kept = every, count, {}

    def __call__(self, iteration: int, images: Tensor, sigma: Tensor) -> None:
        if (iteration - 1) % self._every == 0:
            self._kept[iteration] = images[: self._count].detach().cpu().clone()

    def times(self, samples: Samples) -> list[int]:
        """Iterations that are shown: those kept while any of the sequences runs, and the last."""
        last = int(samples.iterations[: self._count].max())
        return [t for t in sorted(self._kept) if t < last] + [last]

    def images(self, samples: Samples, own: list[int], times: list[int]) -> tuple[Tensor, np.ndarray]:
        """The sequences (n, K, C, H, W) and the noise level (n, K) that the next iteration estimates from each."""
        import torch

        before = samples.before_final[own].detach().cpu()
        stacked = torch.stack([*(self._kept[t] for t in times[:-1]), before], dim=1)
        trace = samples.sigma_trace[:, own].detach().cpu().numpy()
        sigma = np.stack([trace[min(t, len(trace) - 1)] for t in times], axis=1)
        for k, run in enumerate(sigma):
            ended = trace[int(samples.iterations[own[k]]) - 1, k]
            run[np.isnan(run)] = ended
        return stacked, sigma


def _traces(config: Config, denoiser: str, samples: Samples, columns: dict[tuple[float, int], int]) -> pd.DataFrame:
    found = []
    for (beta, number), column in columns.items():
        count = int(samples.iterations[column])
        sigma, removed, injected = (
            trace[:count, column].detach().cpu().double().numpy()
            for trace in (samples.sigma_trace, samples.removed, samples.injected)
        )
        run = {"beta": beta, "sample": number, "iteration": np.arange(1, count + 1), "sigma": sigma}
        run |= {"predicted_sigma": sigma[0] * law(count, beta, config.implicit_prior.h_0)}
        found.append(pd.DataFrame({**run, "removed": removed, "injected": injected, "denoiser": denoiser}))
    return pd.concat(found, ignore_index=True)[list(TRACE_COLUMNS)]
