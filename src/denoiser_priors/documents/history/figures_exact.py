"""Figures without a network of the document's own, from the heat equation to Tweedie's formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.classical import METHODS
from denoiser_priors.documents import style
from denoiser_priors.documents.history.arrays import Stored, load
from denoiser_priors.documents.sheets import sheet, show, write_under

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE, _TWO_LINES = 0.16, 0.27
"""Inches under a row."""

_PENALTIES = {
    "energy": ("energy", r"$\|x\|_2^2$"),
    "tikhonov": ("Tikhonov", r"$\|\nabla x\|_2^2$"),
    "tv": ("total variation", r"$\|\nabla x\|_1$"),
    "wavelet-soft": ("wavelets", r"$\|W x\|_1$"),
    "ksvd": ("learned dictionary", r"$\|\gamma\|_0$, $D\gamma = x$"),
    "deep": ("deep", "a network"),
}

_GREEN, _PURPLE, _ORANGE = "#009E73", "#CC79A7", "#E69F00"


def figure_scales(results: Path) -> Figure:
    """A photograph at several times of the heat equation."""
    stored = load(results, "scales.npz", ("images", "times"))
    drawn = sheet(1, [len(stored["times"])], stored["images"].shape[1:], left=0.06, head=0.2, under=_LINE)
    drawn.name_columns([f"$t$ = {time:g}" for time in stored["times"]])
    for axes, image, time in zip(drawn.panels[0], stored["images"], stored["times"], strict=True):
        show(axes, image[None])
        write_under(axes, "the photograph" if time == 0 else f"Gaussian, std {math.sqrt(2 * time):.3g} pixels")
    drawn.say(f"{_where(stored)} · heat equation, exact; times in pixels squared")
    return drawn.figure


def figure_diffusion(results: Path) -> Figure:
    """Original, noisy, heat equation, Perona-Malik; below, what each took away."""
    stored = load(results, "diffusion.npz", ("clean", "noisy", "heat", "perona_malik"))
    names = {"clean": "original", "noisy": "noisy", "heat": "heat equation", "perona_malik": "Perona-Malik"}
    psnr = stored.about["psnr"]
    drawn = sheet(2, [4], stored["clean"].shape, left=0.35, head=0.2, under=_LINE, lines=2)
    drawn.name_columns(list(names.values()))
    drawn.name_rows(["image", "removed"])
    for column, key in zip(drawn.panels.T, names, strict=True):
        show(column[0], stored[key][None])
        quality = psnr.get(key.replace("_", "-"))
        if quality is not None:
            write_under(column[0], f"{quality:.1f} dB")
        if key in ("heat", "perona_malik"):
            show(column[1], 0.5 + 2 * (stored["noisy"] - stored[key])[None])
        elif key == "noisy":
            show(column[1], 0.5 + 2 * (stored["noisy"] - stored["clean"])[None])
            write_under(column[1], "the noise")
    drawn.panels[1, 0].patch.set_visible(False)
    parameters = stored.about["parameters"]
    told = [f"{METHODS[m].title}: " + ", ".join(f"{k} {v:.3g}" for k, v in p.items()) for m, p in parameters.items()]
    drawn.say(f"{_where(stored)} · {style.SIGMA} = {stored.about['sigma']:g} of 255", "; ".join(told))
    return drawn.figure


def figure_regularizers(results: Path) -> Figure:
    """Original and noisy, then the restored image under each penalty."""
    stored = load(results, "regularizers.npz", ("clean", "noisy", "restored"))
    methods, psnr = stored.about["methods"], stored.about["psnr"]
    shown = [("original", "", stored["clean"], None), ("noisy", "", stored["noisy"], psnr["noisy"])]
    shown += [(*_PENALTIES[m], x, psnr[m]) for m, x in zip(methods, stored["restored"], strict=True)]
    drawn = sheet(2, [4], stored["clean"].shape, left=0.06, head=0.0, under=0.42, lines=2)
    for axes, (name, penalty, image, quality) in zip(drawn.panels.flat, shown, strict=True):
        show(axes, image[None])
        below = [penalty] if penalty else []
        below += [f"{quality:.1f} dB"] if quality is not None else []
        axes.set_xlabel("\n".join([name, "   ".join(below)]), fontsize=7.5, labelpad=3)
    about = stored.about
    drawn.say(
        f"{_where(stored)} · {style.SIGMA} = {about['sigma']:g} of 255",
        f"least of $|x - y|^2 + R(x)$ for each penalty $R$; deep: {about['denoiser']} (recipe {about['recipe']})",
    )
    return drawn.figure


def figure_thresholding(results: Path) -> Figure:
    """Marginal of wavelet coefficients with two models; estimators of the clean coefficient."""
    names = ("edges", "centres", "density", "gaussian", "generalized", "y")
    estimates = ("soft", "hard", "wiener", "bayes", "laplace")
    stored = load(results, "thresholding.npz", (*names, *estimates))
    about = stored.about
    figure = style.figure(style.PAGE_WIDTH, 3.0)
    left, right, far = figure.subplots(1, 3)
    filled = stored["density"] > 0
    left.stairs(np.where(filled, stored["density"], np.nan), stored["edges"], color="black", label="photographs")
    left.plot(stored["centres"], stored["gaussian"], color=style.BIASED, label="Gaussian")
    exponent = about["exponent"]
    left.plot(stored["centres"], stored["generalized"], color=style.BIAS_FREE, label=f"exponent {exponent:.2f}")
    left.set(yscale="log", ylim=(stored["density"][filled].min() / 2, stored["density"].max() * 20))
    left.set(xlabel="wavelet coefficient, standard deviations", ylabel="density", title="heavy-tailed marginal")
    left.legend(frameon=False, loc="upper center", fontsize=6.5, handlelength=1.2, ncols=2)
    y = stored["y"]
    for axes in (right, far):
        axes.plot(y, y, color=style.NEUTRAL, linewidth=0.7, linestyle=":")
        axes.set(xlabel="noisy coefficient", xlim=(y[0], y[-1]), ylim=(y[0], y[-1]))
    right.plot(y, stored["soft"], color=_GREEN, label="soft")
    right.plot(y, stored["hard"], color=_PURPLE, label="hard")
    right.plot(y, stored["wiener"], color=style.BIASED, label="Wiener")
    right.set(ylabel="estimate", title="thresholds")
    far.plot(y, stored["wiener"], color=style.BIASED, label="Gaussian: Wiener")
    far.plot(y, stored["laplace"], color=_ORANGE, label="Laplacian")
    far.plot(y, stored["bayes"], color=style.BIAS_FREE, label=f"exponent {exponent:.2f}")
    far.set(title="Bayes: posterior mean")
    for axes in (right, far):
        axes.legend(frameon=False, loc="upper left", fontsize=6.5, handlelength=1.2)
    text = f"training photographs of {about['dataset']}, finest diagonal band, {about['coefficients']:,} coefficients, "
    text += (
        f"kurtosis {about['kurtosis']:.1f} (Gaussian: 3)\nnoise {about['noise']:g} of the signal's standard deviation"
    )
    figure.suptitle(f"{text} · preset {about['preset']}", fontsize=7, color=style.NEUTRAL)
    return figure


def figure_poisson_editing(results: Path) -> Figure:
    """Target, source with its mask, and the three ways to clone."""
    keys = ("target", "source", "mask", "copy_paste", "replace", "maximum")
    stored = load(results, "poisson_editing.npz", keys)
    drawn = sheet(1, [2, 3], stored["target"].shape, left=0.06, head=0.2, under=0.0, largest=1.5)
    drawn.name_columns(["target", "source", "copy-paste", "replace", "maximum"])
    for axes, key in zip(drawn.panels[0], ("target", "source", "copy_paste", "replace", "maximum"), strict=True):
        show(axes, stored[key][None])
        if key in ("target", "source"):
            axes.contour(stored["mask"], [0.5], colors=[style.BIASED], linewidths=1)
    about = stored.about
    drawn.say(f"{about['source']} into {about['target']} ({about['dataset']}) · preset {about['preset']}")
    return drawn.figure


def figure_decomposition(results: Path) -> Figure:
    """The photograph, its smooth part and the residuals, for a classical and a learned denoiser."""
    keys = [f"{part}_{kind}" for kind in ("classical", "learned") for part in ("smooth", "residuals")]
    stored = load(results, "decomposition.npz", ("picture", *keys))
    about, count = stored.about, len(stored["residuals_classical"])
    drawn = sheet(2, [2, count], stored["picture"].shape, left=0.35, head=0.2, under=_LINE, lines=2)
    names = ["$x$", f"$f^{{{count}}}(x)$", *(f"$r_{k}$" for k in reversed(range(count)))]
    drawn.name_columns(names)
    drawn.name_rows([METHODS[about["classical"]].title, "learned"])
    for row, kind in zip(drawn.panels, ("classical", "learned"), strict=True):
        show(row[0], stored["picture"][None])
        show(row[1], stored[f"smooth_{kind}"][None])
        residuals = stored[f"residuals_{kind}"][::-1]
        for axes, residual in zip(row[2:], residuals, strict=True):
            spread = max(float(residual.std()), 1e-6)
            show(axes, 0.5 + residual[None] / (6 * spread))
            write_under(axes, f"std {spread:.4f}")
    errors = about["error"]
    drawn.say(
        f"{_where(stored)} · {style.SIGMA} = {about['sigma']:g} of 255 for the classical denoiser; learned: "
        f"{about['denoiser']} (recipe {about['recipe']})",
        f"residuals from black at minus to white at plus three standard deviations; the sum misses the photograph by "
        f"at most {max(errors.values()):.0e}",
    )
    return drawn.figure


def figure_tweedie(results: Path) -> Figure:
    """In one dimension: density of noisy values, and two ways to the posterior mean; in many: both, pixel by pixel."""
    keys = ("y", "sigma", "density", "tweedie", "mean", "bins", "sampled")
    stored = load(results, "tweedie.npz", (*keys, "pixels_noisy", "pixels_mean", "pixels_tweedie"))
    figure = style.figure(style.PAGE_WIDTH, 2.6)
    left, middle, right = figure.subplots(1, 3)
    colours = (style.BIAS_FREE, _GREEN, style.BIASED)
    for sigma, colour, density, tweedie, mean, sampled in zip(
        stored["sigma"], colours, *(stored[key] for key in ("density", "tweedie", "mean", "sampled")), strict=True
    ):
        label = f"{style.SIGMA} = {sigma:g}"
        left.plot(stored["y"], density, color=colour, label=label)
        middle.plot(stored["y"], tweedie, color=colour, label=label)
        chosen = slice(None, None, 16)
        middle.plot(stored["y"][chosen], mean[chosen], "o", color=colour, markersize=2.6, markerfacecolor="none")
        middle.plot(stored["bins"], sampled, "x", color=colour, markersize=3, markeredgewidth=0.7)
    left.set(xlabel="noisy value $y$", ylabel="density $p(y)$", title="mixture of Gaussians")
    left.legend(frameon=False, fontsize=6.5)
    middle.plot(stored["y"], stored["y"], color=style.NEUTRAL, linewidth=0.7, linestyle=":")
    middle.set(xlabel="noisy value $y$", ylabel="estimate", title=r"line: $y + \sigma^2 \nabla \log p(y)$")
    text = "circles: posterior mean,\nby quadrature\ncrosses: from samples"
    middle.text(0.97, 0.03, text, transform=middle.transAxes, ha="right", va="bottom", fontsize=6.5)
    right.plot([0, 1], [0, 1], color=style.NEUTRAL, linewidth=0.7, linestyle=":")
    right.plot(
        stored["pixels_mean"].ravel(), stored["pixels_tweedie"].ravel(), ".", color=style.BIAS_FREE, markersize=2
    )
    right.set(xlabel="posterior mean, by definition", ylabel="Tweedie, by autograd")
    right.set(title=f"prior of {stored.about['points']:,} patches")
    about = stored.about
    text = f"largest difference of the two on patches {about['deviation']:.0e} · preset {about['preset']}"
    figure.suptitle(text, fontsize=7, color=style.NEUTRAL)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    function.__name__: function
    for function in (
        figure_scales,
        figure_diffusion,
        figure_poisson_editing,
        figure_decomposition,
        figure_regularizers,
        figure_thresholding,
        figure_tweedie,
    )
}


def _where(stored: Stored) -> str:
    return f"{stored.about['image']} ({stored.about['dataset']}) · preset {stored.about['preset']}"
