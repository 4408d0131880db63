"""Made-up results of the document implicit_prior with known numbers, so that figures and claims need no network."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.implicit_prior.tables_traces import COLUMNS, law, step_size
from denoiser_priors.tables import write_csv

SIDE = 24
H_0, SIGMA_L = 0.01, 0.01
SHAPE = (1, SIDE, SIDE)
ABOUT = {
    "denoiser": "bfcnn",
    "recipe": "released",
    "preset": "synthetic",
    "dataset": "embedded",
    "beta": 0.01,
    "sigma_0": 1.0,
    "sigma_L": SIGMA_L,
    "h_0": H_0,
    "final": "denoise",
}


def picture(seed=0, channels=1, side=SIDE):
    """An image (channels, side, side) in [0, 1]: a disc on a ramp."""
    y, x = np.mgrid[:side, :side] / (side - 1)
    rng = np.random.default_rng(seed)
    cy, cx, radius = (*rng.uniform(0.35, 0.65, 2), 0.25)
    plane = 0.15 + 0.5 * x + 0.3 * (((y - cy) ** 2 + (x - cx) ** 2) < radius**2)
    shades = np.linspace(1, 0.6, channels)[:, None, None]
    return (plane * shades).astype(np.float32)


def noise(shape, scale, *key):
    """Keyed Gaussian noise."""
    return (scale * np.random.default_rng(key).standard_normal(shape)).astype(np.float32)


def write_npz(path: Path, about, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays, about=np.array(json.dumps(about)))


def synthetic_implicit(
    root: Path,
    *,
    recipe="released",
    betas=(1, 0.1, 0.01),
    speed=1.0,
    first=1.0,
    step_error=0.0,
    gamma_error=0.0,
    rise=0.0,
    count=47,
    inconsistency=0.008,
    variety=0.1,
    gain=12.0,
    ground=0.0,
    roughness=0.05,
    end=0.5,
    one_step=0.3,
    tables=None,
) -> Path:
    """Write results/ under `root` as the workflow would and return it. With the defaults every claim holds."""
    results = root / "results"
    room = results / "implicit_prior"
    room.mkdir(parents=True, exist_ok=True)
    (results / "denoisers.csv").write_text(f"denoiser,recipe\nbfcnn,{recipe}\n", encoding="utf-8")
    about = {**ABOUT, "recipe": recipe}
    write_traces(room / "synthesis.csv", betas, speed, first, step_error, gamma_error, rise)
    write_synthesis(room / "synthesis.npz", about, count, roughness)
    write_examples(room, about, inconsistency, variety, gain)
    write_manifold(room / "manifold.npz", about, end, one_step)
    digits = {f"samples_{beta:g}": ground + glyphs(16) for beta in (1, 0.3, 0.01)}
    write_npz(room / "digits.npz", {**about, "betas": [1, 0.3, 0.01]}, **digits)
    write_tables(room, **(tables or {}))
    return results


def write_traces(path, betas, speed, first, step_error, gamma_error, rise):
    """Three runs for each beta that follow the law; `speed` is a power of it, `rise` a relative jump in the middle."""
    rows = []
    for beta in betas:
        level = first * law(2000, beta, H_0) ** speed
        steps = int(np.argmax(level <= SIGMA_L)) + 1
        level = level[:steps].copy()
        level[steps // 2] *= 1 + rise
        t = np.arange(1, steps + 1)
        h = step_size(t, H_0)
        gamma = np.sqrt((1 - beta * h) ** 2 - (1 - h) ** 2)
        for sample in range(3):
            sigma = level * (1 + 0.002 * (sample - 1))
            predicted = sigma[0] * law(steps, beta, H_0)
            removed, injected = h * sigma * (1 + step_error), gamma * sigma + gamma_error * sigma
            rows += [
                (beta, sample, *values, "bfcnn") for values in zip(t, sigma, predicted, removed, injected, strict=True)
            ]
    write_csv(pd.DataFrame(rows, columns=list(COLUMNS)), path)


def write_synthesis(path, about, count, roughness):
    """Two sequences from noise to a picture and samples at three betas; those at 0.5 are rough."""
    times = np.array([1, 9, 17, 25, 32])
    level = law(32, 1, H_0)[times - 1]
    sequence = np.stack([[picture(k) * (1 - s) + 0.5 * s + noise(SHAPE, s, k) for s in level] for k in (0, 1)]).astype(
        np.float32
    )
    samples = {
        f"samples_{beta:g}": np.stack([picture(k) + noise(SHAPE, scale, 3, k) for k in range(4)])
        for beta, scale in ((1, 0.1), (0.5, roughness), (0.1, 0.01))
    }
    iterations = {"1": [32, 32], "0.5": [count] * 4, "0.1": [127] * 4}
    write_npz(
        path,
        {**about, "betas": [0.5, 0.1], "iterations": iterations},
        sequence=sequence,
        sequence_t=times,
        sequence_sigma=np.tile(level, (2, 1)),
        **samples,
    )


def write_examples(room, about, inconsistency, variety, gain):
    """Restorations that are right but for noise: three of one image that differ by `variety` in their hole."""
    original = np.stack([picture(k, channels=3) for k in range(3)])
    hole = np.zeros(original.shape[1:], dtype=bool)
    hole[:, 6:16, 8:18] = True
    restored = np.stack([original[0] + noise(hole.shape, inconsistency, 5, k) for k in range(3)])
    restored += np.where(hole, np.stack([noise(hole.shape, variety, 6, k) for k in range(3)]), 0)
    quality = {"psnr_measured": np.array([14.0]), "ssim_measured": np.array([0.8])}
    write_npz(
        room / "examples_inpainting_samples.npz",
        about,
        original=original[:1],
        measured=np.where(hole, 0, original[:1]).astype(np.float32),
        restored=restored[None],
        setting=np.array(["10x10"]),
        psnr_restored=np.array([[26.1, 25.2, 27.3]]),
        ssim_restored=np.array([[0.93, 0.92, 0.94]]),
        **quality,
    )
    tasks = {
        "inpainting": ["10x10"],
        "random_pixels": ["30%", "10%"],
        "super_resolution": ["4x4"],
        "spectral": ["30%", "10%"],
        "projections": ["10%"],
    }
    for task, settings in tasks.items():
        images = np.concatenate([original] * len(settings))
        count = len(images)
        arrays = {"original": images, "measured": images * 0.4, "restored": images + noise(images.shape, 0.03, 7)}
        arrays["setting"] = np.repeat(settings, 3)
        quality = {"measured": 9.0, "restored": 9.0 + gain}
        if task == "projections":
            arrays["sparse_dct"] = images + noise(images.shape, 0.1, 8)
            quality["sparse_dct"] = 15.0
        for name, value in quality.items():
            arrays[f"psnr_{name}"], arrays[f"ssim_{name}"] = np.full(count, value), np.full(count, value / 40)
        write_npz(room / f"examples_{task}.npz", about, **arrays)


def write_manifold(path, about, end, one_step):
    """Runs that end `end` sigma_L off a circle's arc and least-squares solutions `one_step` off it."""
    angle = np.linspace(0.1 * np.pi, 1.6 * np.pi, 2000)
    curve = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    on = np.linspace(0.2 * np.pi, 1.5 * np.pi, 50)
    normal = np.stack([np.cos(on), np.sin(on)], axis=1)
    sigma = np.array([0.4, 0.2, 0.05])
    noisy = np.stack([normal + noise(normal.shape, s, 9) for s in sigma])
    denoised = np.stack([normal * (1 - one_step * s / sigma[0]) for s in sigma])
    ends = normal * (1 + end * SIGMA_L)
    trajectories = np.stack([noisy[0] * (1 - w) + ends * w for w in np.linspace(0, 1, 30)])
    axis = np.linspace(-2, 2, 60)
    radius = np.hypot(*np.meshgrid(axis, axis))
    density = np.stack([np.exp(-((radius - 1) ** 2) / (2 * s**2)) for s in sigma])
    write_npz(
        path,
        {**about, "h_0": 0.05, "beta": 1.0},
        curve=curve,
        noisy=noisy,
        denoised=denoised,
        density=density,
        sigma=sigma,
        limits=np.array([-2.0, 2.0]),
        trajectories=trajectories,
    )


def glyphs(count):
    """Bright strokes (count, 1, 28, 28) on black, a ring or a bar."""
    y, x = np.mgrid[:28, :28] - 13.5
    ring = np.abs(np.hypot(x, y) - 7) < 1.5
    bar = (np.abs(x) < 1.5) & (np.abs(y) < 9)
    return np.stack([(ring if k % 2 else bar)[None] for k in range(count)]).astype(np.float32)


SET5 = {
    ("4to1", "projection"): 26.36,
    ("4to1", "sample"): 29.4,
    ("4to1", "mean"): 30.9,
    ("8to1", "projection"): 23.02,
    ("8to1", "sample"): 25.1,
    ("8to1", "mean"): 25.6,
}


def write_tables(
    room,
    *,
    change=None,
    dataset="set5",
    images=5,
    blur=0.7,
    seconds=9.0,
    processor="NVIDIA Made-Up GPU",
    side=None,
    final="denoise",
    quoted=True,
):
    """Tables 1 to 4 as gathered; `change` is added to the PSNR, a fortieth of it to the SSIM, of (setting, method)."""
    for table in ("table_1", "table_2"):
        values = {**SET5}
        rows = _rows(values, change or {}, "sample", blur, final)
        rows = [{**row, "dataset": dataset if table == "table_1" else "set14"} for row in rows]
        if table == "table_1" and quoted:
            for setting, method, psnr in (
                ("4to1", "DIP", 30.04),
                ("4to1", "DeepRED", 30.22),
                ("8to1", "DIP", 24.98),
                ("8to1", "DeepRED", 24.95),
            ):
                rows.append({"setting": setting, "method": method, "psnr": psnr, "source": "quoted", "dataset": "set5"})
        _write_table(room / f"{table}.csv", rows, images, seconds, processor, side)
    for table, methods in (("table_3", {}), ("table_4", {"sparse-dct": 20.0})):
        values = {}
        for setting in ("10", "30"):
            values |= {(setting, method): value for method, value in methods.items()}
            values |= {(setting, "projection"): 10.0, (setting, "sample"): 26.0, (setting, "mean"): 27.0}
        rows = [{**row, "dataset": "set12"} for row in _rows(values, change or {}, "sample", blur, final)]
        _write_table(room / f"{table}.csv", rows, images, seconds, processor, side)


def _rows(values, change, single, blur, final):
    rows = []
    for (setting, method), psnr in values.items():
        psnr += change.get((setting, method), 0.0)
        sampled = method in ("sample", "mean")
        for last in ("none", final) if sampled else ("none",):
            rows.append(
                {
                    "setting": setting,
                    "method": method,
                    "final": last,
                    "samples": 4 if method == "mean" else 1,
                    "denoiser": "bfcnn" if sampled else "",
                    # Without the last step they are worse, so that the wrong row would be noticed.
                    "psnr": psnr - 3 * (sampled and last == "none"),
                    "ssim": psnr / 40,
                    "sharpness": 0.1 * (blur if method == "mean" else 1),
                    "source": "measured",
                }
            )
    return rows


def _write_table(path, rows, images, seconds, processor, side):
    frame = pd.DataFrame(rows)
    measured = frame["source"] == "measured"
    frame["images"] = np.where(measured, images, np.nan)
    frame["seconds"] = np.where(measured, seconds, np.nan)
    frame["processor"], frame["precision"] = np.where(measured, processor, ""), np.where(measured, "fp32", "")
    frame["side"] = np.nan if side is None else float(side)
    write_csv(frame, path)
