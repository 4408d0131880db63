"""Made-up results of stochastic_denoising: fields of a Gaussian prior, whose posterior is known exactly."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.stochastic_denoising import columns
from denoiser_priors.metrics.residual import residual_tests
from denoiser_priors.tables import write_csv

ROOM = "stochastic_denoising"

SETS = {
    # name: (dataset, images, samples, (C, H, W), stated noise levels, schedule, steps per level)
    "faces": ("embedded-faces", 6, 4, (1, 25, 25), (0.1, 0.203, 0.406, 0.607), "celeba", 5),
    "photographs": ("embedded", 4, 2, (3, 64, 64), (0.198, 0.403, 0.606), "snr", 1),
}

PRESET, DENOISER, RECIPE = "synthetic", "unet-bf-0to100", "quick"

STATED_LEVELS = {0.1: 127, 0.203: 166, 0.406: 204, 0.607: 226}


class Prior:
    """Stationary Gaussian fields of mean 0.5 and standard deviation 0.2, periodic, whose spectrum falls as 1/f^7."""

    def __init__(self, shape):
        fy, fx = (np.fft.fftfreq(n) for n in shape[-2:])
        power = (fy[:, None] ** 2 + fx[None] ** 2 + 2e-3) ** -3.5
        self.shape, self.power = shape, 0.2**2 * power / power.mean()

    def _coloured(self, rng, count, power):
        white = rng.standard_normal((count, *self.shape))
        return np.fft.ifft2(np.fft.fft2(white) * np.sqrt(power)).real

    def draw(self, rng, count):
        return 0.5 + self._coloured(rng, count, self.power)

    def mmse(self, noisy, sigma):
        gain = self.power / (self.power + sigma**2)
        return 0.5 + np.fft.ifft2(np.fft.fft2(noisy - 0.5) * gain).real

    def spread(self, rng, count, sigma):
        """What a sample from the posterior has beside the MMSE estimate."""
        return self._coloured(rng, count, self.power * sigma**2 / (self.power + sigma**2))


def synthetic_results(
    results: Path,
    *,
    sets=None,
    preset=PRESET,
    recipe=RECIPE,
    spread=0.9,
    remove=1.0,
    lpips=(0.4, 0.2),
    seconds=1.0,
    overwrite=None,
    kept_noise=1.0,
) -> Path:
    """Write results/ as the workflow would, without a network.

    Args:
        spread: of the samples about the MMSE estimate; 1 is the exact posterior, and 0.9 about what the document has.
        remove: what sampler and MMSE denoiser remove, times this.
        lpips: of the MMSE denoiser and of the samples.
        seconds: of each sample.
        overwrite: columns of the residual tests that are not as measured, by method.
        kept_noise: share of the noise that inpainting removes at the measured pixels.
    """
    room = results / ROOM
    (room / "samples").mkdir(parents=True)
    line = f"{DENOISER},unet,False,0,100,gaussian,0,0,bsd400,1,0,train,{recipe},{preset}\n"
    header = "denoiser,architecture,bias,noise_low,noise_high,trained_on,blur_low,blur_high,training_set,channels,seed"
    (results / "denoisers.csv").write_text(f"{header},source,recipe,preset\n{line}", encoding="utf-8")
    measured = []
    for name, (dataset, images, samples, shape, sigmas, schedule, steps) in (sets or SETS).items():
        rng = np.random.default_rng(len(name))
        prior = Prior(shape)
        clean = prior.draw(rng, images)
        for sigma in sigmas:
            levels = STATED_LEVELS.get(sigma, 61) if schedule == "celeba" else 61
            noisy = clean + sigma * rng.standard_normal(clean.shape)
            mmse = noisy + remove * (prior.mmse(noisy, sigma) - noisy)
            extra = prior.spread(rng, images * samples, sigma).reshape(images, samples, *shape)
            drawn = noisy[:, None] + remove * (prior.mmse(noisy, sigma)[:, None] + spread * extra - noisy[:, None])
            classical = 0.5 + 0.7 * (mmse - 0.5)
            about = {
                "set": name, "dataset": dataset, "images": [f"{name}-{i}" for i in range(images)],
                "denoiser": DENOISER, "recipe": recipe, "preset": preset, "classical": "bm3d",
                "sigma_0": sigma, "levels": {"name": schedule, "count": levels}, "steps_per_level": steps,
                "epsilon": 3.3e-6, "network_calls": (levels - 1) * steps, "seconds": seconds, "processor": "cpu",
                "precision": "fp32",
            }  # fmt: skip
            arrays = {"clean": clean, "noisy": noisy, "mmse": mmse, "classical": classical, "samples": drawn}
            arrays["samples_tweedie"] = drawn
            save(room / "samples" / f"{name}-{sigma:g}.npz", arrays, about)
            rows = measure(arrays, about, lpips, overwrite or {})
            write_csv(rows, room / "samples" / f"{name}-{sigma:g}.csv")
            measured.append(rows)
    table = pd.concat(measured, ignore_index=True)
    write_tables(room, table)
    write_pictures(room, preset, recipe, kept_noise=kept_noise)
    write_speed(room)
    return results


def save(path, arrays, about):
    arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    np.savez(path, **arrays, about=np.array(json.dumps(about)))


def measure(arrays, about, lpips, overwrite):
    """One row per (image, method, sample), as the suite measures them."""
    estimates = {"classical": arrays["classical"][:, None], "mmse": arrays["mmse"][:, None]}
    estimates |= {"sample": arrays["samples"], "sample-tweedie": arrays["samples_tweedie"]}
    estimates["mean"] = arrays["samples"].mean(axis=1, keepdims=True)
    channels, height, width = arrays["clean"].shape[1:]
    tables = []
    for method, images in estimates.items():
        tests = residual_tests(arrays["noisy"], np.moveaxis(images, 1, 0), about["sigma_0"])
        table = tests.table(about["images"]).drop(columns="sigma")
        mse = np.square(images - arrays["clean"][:, None]).mean(axis=(2, 3, 4)).T.reshape(-1)
        table = table.assign(
            set=about["set"], dataset=about["dataset"], channels=channels, height=height, width=width,
            sigma_0=about["sigma_0"], sigma_stated=about["sigma_0"], method=method, classical=about["classical"],
            samples=images.shape[1], denoiser=about["denoiser"], recipe=about["recipe"], preset=about["preset"],
            mse=mse, psnr=-10 * np.log10(mse), ssim=0.5, lpips=lpips["sample" in method], seconds=about["seconds"],
            precision="fp32", processor="cpu", schedule=about["levels"]["name"], levels=about["levels"]["count"],
            steps_per_level=about["steps_per_level"], epsilon=about["epsilon"], network_calls=about["network_calls"],
        )  # fmt: skip
        tables.append(table.assign(**overwrite.get(method, {})))
    return pd.concat(tables, ignore_index=True)


def write_tables(room, measurements):
    """The tables that figures and claims read, with the columns of `columns`."""
    cases, distances = [], []
    for _, here in measurements.groupby(["set", "sigma_stated"], sort=False):
        means = here.groupby("method")[["psnr", "mse", "lpips"]].mean()
        first = {**here[here["method"] == "sample"].iloc[0], "images": here["image"].nunique()}
        for column, rows in (("psnr", cases), ("lpips", distances)):
            rows.append({**first, **{f"{column}_{name}": value for name, value in means[column].items()}})
        cases[-1]["mse_ratio"] = means.loc["sample", "mse"] / means.loc["mmse", "mse"]
    table = pd.DataFrame(cases)[list(columns.TABLE_1)]
    # The document's own rows stand in the same table, without a set.
    quoted = {"set": "", "dataset": "CelebA", "sigma_stated": 0.1, "mse_ratio": 2.5, "images": 64}
    table = pd.concat([table.assign(source="measured"), pd.DataFrame([{**quoted, "source": "quoted"}])])
    write_csv(table, room / "table_1.csv")
    write_csv(pd.DataFrame(distances)[list(columns.TABLE_LPIPS)], room / "table_lpips.csv")
    write_csv(measurements[list(columns.TABLE_RESIDUALS)], room / "table_residuals.csv")


def write_pictures(room, preset, recipe, *, kept_noise=1.0):
    """What figures 7 to 9 show; samples keep to what was measured when `kept_noise` is 1."""
    rng = np.random.default_rng(7)
    about = {"set": "photographs", "dataset": "embedded", "denoiser": DENOISER, "recipe": recipe, "preset": preset}
    shape = (3, 64, 64)
    prior = Prior(shape)
    clean, sigma = prior.draw(rng, 1)[0], np.geomspace(0.6, 0.01, 12)
    noise = rng.standard_normal(shape)
    between = np.stack([clean + level * noise for level in sigma])
    schedule = {"levels": {"name": "snr", "count": 61}, "network_calls": 60}
    arrays = {"images": between, "sigma": sigma, "clean": clean, "noisy": clean + 0.606 * noise}
    save(room / "intermediates.npz", arrays, {**about, **schedule, "sigma_0": 0.606})
    clean = prior.draw(rng, 2)
    noise = rng.standard_normal(clean.shape)
    for name, level in (("text", 0.198), ("rows", 0.1)):
        mask = np.ones(shape[-2:], bool)
        mask[slice(24, 44) if name == "rows" else slice(None, None, 8), 0 if name == "rows" else 10 :] = False
        measured = np.where(mask, clean + level * noise, 0)
        spread = 0.02 * rng.standard_normal((2, 2, *shape))
        samples = (clean + level * (1 - kept_noise) * noise)[:, None] + spread
        arrays = {"clean": clean, "mask": mask, "measured": measured, "samples": samples}
        save(room / f"inpainting-{name}.npz", arrays, {**about, **schedule, "sigma_0": level})


def write_speed(room):
    """Two schedules at two noise levels; the longer the better."""
    rows = []
    for schedule, counts in (("celeba", (126, 630, 1260)), ("snr", (15, 30, 60, 120))):
        for sigma in (0.203, 0.406):
            for calls in counts:
                short = 20 / calls if schedule == "snr" else 60 / calls
                values = (2 - 0.5 * short, 0.15 + 0.1 * short, 0.03 + 0.05 * short, 0.95 - 0.3 * short)
                about = ("faces", "embedded-faces", DENOISER, sigma, schedule, calls + 1, 1, calls, 6)
                rows.append((*about, *values, 1 - 0.02 * short, calls / 100, 0.35, 0.032))
    names = [*columns.SPEED, "lpips_mmse", "rho_max_noise"]
    write_csv(pd.DataFrame(rows, columns=names), room / "speed.csv")
