"""Experiments and tables of stochastic_denoising: what is planned, sampled and measured, with a prior that is known."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from stochastic_synthetic import synthetic_results

from denoiser_priors.classical import baselines
from denoiser_priors.config import load_config
from denoiser_priors.data.images import Image as Picture
from denoiser_priors.documents import registry
from denoiser_priors.documents.stochastic_denoising import columns, experiments, extras, plan, runs, samples, tables
from denoiser_priors.documents.stochastic_denoising.reference import nearest, stated
from denoiser_priors.errors import ConfigError, ResultError
from denoiser_priors.metrics.residual_table import TEST_COLUMNS
from denoiser_priors.samplers.noise_levels import ncsnv2
from denoiser_priors.samplers.schedule import check_steps
from denoiser_priors.tables import read_csv

SIDE, MEAN, SPREAD = 32, 0.5, 0.15
SETTINGS = {
    "classical": "wavelet",
    "lpips": False,
    "sets": {
        "faces": {
            "dataset": "mine",
            "images": 3,
            "sigma": [0.203, 0.406],
            "levels": {"count": 120, "rate": 0.8, "lowest": 0.01},
            "samples": 4,
        },
        "photographs": {"dataset": "mine", "images": 2, "side": 16, "sigma": [0.203], "levels": "celeba"},
    },
    "intermediates": {"set": "faces", "sigma": 0.406, "shown": 5},
    "inpainting_text": {"set": "faces", "sigma": 0.203, "height": 8},
    "inpainting_rows": {"set": "faces", "sigma": 0.203, "rows": 6},
    "speed": {
        "set": "faces",
        "sigma": [0.406],
        "images": 2,
        "reverse": [10, 40],
        "snr": [5, 120],
        "every": [20],
        "grid": "celeba",
    },
}


def posterior_mean(x, sigma):
    """The MMSE denoiser of pixels that are independent and normal with mean MEAN and standard deviation SPREAD."""
    return MEAN + SPREAD**2 / (SPREAD**2 + sigma**2) * (x - MEAN)


def pictures():
    """Draws of that prior, 8-bit."""
    fields = np.random.default_rng(5).normal(MEAN, SPREAD, (4, SIDE, SIDE))
    return np.uint8(np.clip(np.round(255 * fields), 0, 255))


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A folder of such images, and the denoiser that knows the prior."""
    (tmp_path / "mine").mkdir()
    for number, pixels in enumerate(pictures()):
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    score = runs.Score("dncnn-bf-0to100", posterior_mean, torch.device("cpu"), 1)
    monkeypatch.setattr(runs, "load_score", lambda config, name: score)
    monkeypatch.setattr(plan, "denoiser", lambda config, name: "dncnn-bf-0to100")
    return configured()


def configured(**changes):
    merged = {**SETTINGS, **changes}
    return load_config(overrides={"datasets": {"mine": {"images": "mine"}}, "stochastic_denoising": merged})


def arrays(path):
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files if name != "about"}, json.loads(str(stored["about"]))


def sample(config, number):
    part = plan.part(config, number)
    experiments.EXPERIMENTS["samples"](config, part.arrays(config), part.table(config), part=number)
    return part


# --- plan


def test_parts_are_sets_at_noise_levels():
    config = load_config()
    names = [part.name for part in plan.parts(config)]
    assert names[:2] == ["faces-0.1", "faces-0.203"]
    assert "photographs-0.606" in names
    assert [part.number for part in plan.parts(config)] == list(range(len(names)))
    with pytest.raises(ConfigError, match=r"no part 99; the parts are 0 \(faces-0\.1\)"):
        plan.part(config, 99)


def test_a_set_is_denoised_by_the_network_of_its_own_images_else_by_that_of_photographs():
    config = load_config()
    assert plan.denoiser(config, "faces") == "bfcnn-faces"
    assert plan.denoiser(config, "photographs") == "dncnn-bf-0to100"
    without = load_config(overrides={"denoisers": {"bfcnn-faces": None}})
    assert plan.denoiser(without, "faces") == "dncnn-bf-0to100"
    colour = {"sets": {"faces": {"dataset": "embedded", "channels": 3}}}
    assert plan.denoiser(load_config(overrides={"stochastic_denoising": colour}), "faces") == "bfcnn-color"


def test_without_a_colour_denoiser_a_set_of_colour_images_is_left_out():
    overrides = {
        "denoisers": {"bfcnn-color": None},
        "stochastic_denoising": {"sets": {"photographs": {"channels": 3}}},
    }
    config = load_config(overrides=overrides)
    assert {part.set for part in plan.parts(config)} == {"faces"}
    assert plan.lacking(config) == [f"{plan.folder(config).name}/{plan.EXTRAS[name]}" for name in
                                    ("intermediates", "inpainting_text", "speed")]  # fmt: skip
    with pytest.raises(ConfigError, match=r"needs a denoiser of colour images.*sets\.photographs\.denoiser"):
        plan.denoiser(config, "photographs")


def test_networks_of_faces_are_no_networks_of_photographs():
    from denoiser_priors.documents.bias_free import plan as bias_free
    from denoiser_priors.documents.implicit_prior import plan as implicit_prior

    config = load_config()
    assert "bfcnn-faces" not in bias_free.evaluated(config)
    assert implicit_prior.denoiser(config, "gray") == "dncnn-bf-0to100"


def test_every_result_of_the_registry_is_made_by_an_experiment():
    made = {plan.SAMPLES, "denoisers.csv", *(f"stochastic_denoising/{file}" for file in plan.EXTRAS.values())}
    made |= {f"stochastic_denoising/{table}.{suffix}" for table in plan.TABLES for suffix in ("csv", "md")}
    for figure in registry.figures("stochastic_denoising").values():
        assert {*figure.reads, *figure.writes} <= made
        assert figure.kind == "figure" or figure.name in experiments.EXPERIMENTS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": {"set": "towers"}}, "speed.set: there is no set 'towers'"),
        ({"sets": {"faces": {"levels": {"rate": 2}}}}, "levels.rate"),
        ({"sets": {"faces": {"denoiser": "bfcnn-colour"}}}, "did you mean 'bfcnn-color'"),
        ({"sets": {"faces": {"denoiser": "bfcnn-color"}}}, "is for images of 3 channel"),
        ({"sets": {"../up": {}}}, "a name, which files are called by"),
        ({"sets": {"faces": {"dataset": "olivety"}}}, "did you mean 'olivetti'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        load_config(overrides={"stochastic_denoising": change})


# --- schedules


def test_a_stated_level_of_a_grid_is_the_exact_one_with_the_documents_number_of_levels():
    for row in stated().itertuples():
        grid = "celeba" if row.dataset == "CelebA" else "lsun"
        levels = (
            load_config(overrides={"stochastic_denoising": {"sets": {"faces": {"levels": grid}}}})
            .stochastic_denoising.sets["faces"]
            .levels
        )
        used, sigma_0 = runs.schedule(levels, row.sigma_stated)
        assert sigma_0 in ncsnv2(grid).sigmas
        assert abs(sigma_0 - row.sigma_stated) < 6e-4
        assert len(used.split(sigma_0)[2]) + 1 == row.levels


def test_a_level_that_is_not_on_the_grid_is_refused_with_the_nearest():
    levels = configured().stochastic_denoising.sets["photographs"].levels
    with pytest.raises(ConfigError, match=r"sigma 0\.4 .* nearest level of the grid celeba is 0\.3988"):
        runs.schedule(levels, 0.4)


def test_free_schedules_go_through_any_level():
    for name in ("snr", "geometric"):
        levels = configured().stochastic_denoising.sets["faces"].levels.model_copy(update={"name": name})
        used, sigma_0 = runs.schedule(levels, 0.3)
        assert sigma_0 == 0.3
        assert sigma_0 in used.sigmas
        above, _, _ = runs.schedule(levels, 0.3, inpainting=True)[0].split(0.3)
        assert above[0] > 0.9


def test_thinned_grids_stay_stable_and_keep_their_ends():
    grid = ncsnv2("celeba")
    sigma_0 = grid.nearest(0.406)
    for step in (2, 4, 8, 16, 40):
        used = extras.thinned(grid, sigma_0, step)
        below = used.split(sigma_0)[2]
        check_steps(below, used.steps(below, sigma_0)[:, :1], sigma_0, used)
        assert used.sigmas[-1] == grid.sigmas[-1]
        assert len(below) == -(-(204 - 1) // step)
    assert extras.thinned(grid, sigma_0, 1) == grid


# --- experiments


def test_samples_of_a_known_prior_are_as_theory_has_them(config):
    part = sample(config, 1)
    stored, about = arrays(part.arrays(config))
    assert stored["samples"].shape == stored["samples_tweedie"].shape == (3, 4, 1, SIDE, SIDE)
    assert stored["mmse"].shape == stored["clean"].shape == (3, 1, SIDE, SIDE)
    assert about["images"] == ["0", "1", "2"]
    assert (about["set"], about["classical"], about["sigma_0"]) == ("faces", "wavelet", 0.406)
    assert (about["levels"], about["network_calls"]) == ({"name": "reverse", "count": 121}, 120)
    table = read_csv(part.table(config), samples.COLUMNS, text=tables._TEXT)
    assert dict(table.groupby("method").size()) == {
        "classical": 3, "mmse": 3, "sample": 12, "sample-tweedie": 12, "mean": 3,
    }  # fmt: skip
    means = table.groupby("method")[["mse", "std_ratio"]].mean()
    # 3,072 pixels with the standard error of a mean square, 2.6%; the bias of so few levels is about as large.
    assert means.loc["sample", "mse"] / means.loc["mmse", "mse"] == pytest.approx(2, abs=0.15)
    assert means.loc["mean", "mse"] / means.loc["mmse", "mse"] == pytest.approx(1.25, abs=0.1)
    noise = (stored["noisy"] - stored["clean"]).std(axis=(1, 2, 3)).mean() / about["sigma_0"]
    assert means.loc["sample", "std_ratio"] == pytest.approx(noise, abs=0.015)
    np.testing.assert_allclose(stored["mmse"], posterior_mean(stored["noisy"], 0.406), atol=1e-6)
    np.testing.assert_allclose((stored["noisy"] - stored["clean"]).std(), 0.406, rtol=0.03)


def test_measurements_are_of_the_arrays_beside_them(config):
    part = sample(config, 2)
    stored, about = arrays(part.arrays(config))
    assert about["sigma_0"] == ncsnv2("celeba").nearest(0.203)
    assert stored["clean"].shape == (2, 1, 16, 16)
    table = read_csv(part.table(config), samples.COLUMNS, text=tables._TEXT)
    row = table[(table["method"] == "sample") & (table["image"] == "1") & (table["sample"] == 1)].iloc[0]
    assert row["mse"] == pytest.approx(np.square(stored["samples"][1, 1] - stored["clean"][1]).mean(), rel=1e-5)
    residual = stored["noisy"][1] - stored["samples"][1, 1]
    assert row["std_ratio"] == pytest.approx(residual.std(ddof=1) / about["sigma_0"], rel=1e-5)
    assert (row["sigma_stated"], row["levels"], row["network_calls"]) == (0.203, 166, 825)
    assert (row["height"], row["width"], row["channels"], row["values"]) == (16, 16, 1, 256)


def test_noise_does_not_depend_on_how_many_images_there_are(config):
    first = runs.pictures(config, "faces").noisy(0.2, 0)
    fewer = runs.pictures(config, "faces", 1).noisy(0.2, 0)
    assert torch.equal(first[:1], fewer)
    assert not torch.equal(runs.pictures(config, "faces").noisy(0.2, 1), first)


def test_images_of_different_sizes_are_refused(config, tmp_path):
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(tmp_path / "mine" / "2.png")
    with pytest.raises(ConfigError, match=r"sets\.faces\.side: images of a set have one size"):
        runs.pictures(config, "faces")


def test_intermediates_go_from_the_first_level_to_the_sample(config, tmp_path):
    experiments.EXPERIMENTS["intermediates"](config, tmp_path / "a.npz")
    stored, about = arrays(tmp_path / "a.npz")
    assert stored["images"].shape == (5, 1, SIDE, SIDE)
    assert (np.diff(stored["sigma"]) < 0).all()
    assert stored["sigma"][-1] == pytest.approx(0.01)
    assert stored["clean"].shape == stored["noisy"].shape == (1, SIDE, SIDE)
    # What is left of the noise falls from level to level.
    left = [np.square(image - stored["clean"]).mean() for image in stored["images"]]
    assert left == sorted(left, reverse=True)
    assert about["sigma_0"] == 0.406
    with pytest.raises(ConfigError, match=r"intermediates\.image: 7, but the set faces has 3 images"):
        experiments.EXPERIMENTS["intermediates"](configured(intermediates={"set": "faces", "image": 7}), tmp_path / "b")


@pytest.mark.parametrize("name", ["inpainting_text", "inpainting_rows"])
def test_inpainting_keeps_what_is_measured_and_draws_the_rest_from_the_prior(config, tmp_path, name):
    experiments.EXPERIMENTS[name](config, tmp_path / "a.npz")
    stored, about = arrays(tmp_path / "a.npz")
    mask, drawn = stored["mask"], stored["samples"]
    assert mask.dtype == bool
    assert mask.shape == (SIDE, SIDE)
    assert drawn.shape == (2, 2, 1, SIDE, SIDE)
    assert (stored["measured"][..., ~mask] == 0).all()
    residual = (stored["measured"][:, None] - drawn)[..., mask]
    noise = (stored["measured"] - stored["clean"])[..., mask]
    assert residual.std() == pytest.approx(noise.std(), rel=0.06)
    assert noise.std() == pytest.approx(about["sigma_0"], rel=0.08)
    assert drawn[..., ~mask].std() == pytest.approx(SPREAD, rel=0.15)
    assert drawn[..., ~mask].mean() == pytest.approx(MEAN, abs=0.03)


def test_missing_rows_are_fewer_in_small_images(config, tmp_path):
    changed = configured(inpainting_rows={"set": "photographs", "sigma": 0.203, "rows": 20})
    experiments.EXPERIMENTS["inpainting_rows"](changed, tmp_path / "a.npz")
    stored, about = arrays(tmp_path / "a.npz")
    assert (~stored["mask"].any(axis=1)).sum() == about["missing"]["rows"] == 5


def test_speed_compares_schedules_on_the_same_images_and_noise(config, tmp_path):
    experiments.EXPERIMENTS["speed"](config, tmp_path / "speed.csv")
    table = read_csv(tmp_path / "speed.csv", [*columns.SPEED, "lpips_mmse", "rho_max_noise"])
    assert list(table["schedule"]) == ["celeba", "reverse", "reverse", "snr", "snr"]
    assert list(table["network_calls"]) == [55, 10, 40, 5, 120]
    assert table["sigma_0"].nunique() == table["rho_max_noise"].nunique() == 1
    assert table["mse_ratio"].iloc[-1] == pytest.approx(2, abs=0.25)
    assert table["lpips"].isna().all()


# --- tables


def run_table(root, name):
    config = load_config(overrides={"paths": {"results": str(root)}, "stochastic_denoising": {"sets": SYNTHETIC}})
    out, page = root / f"{name}.csv", root / f"{name}.md"
    experiments.EXPERIMENTS[name](config, out, page)
    return read_csv(out, text=tables._TEXT), page.read_text(encoding="utf-8")


SYNTHETIC = {
    "faces": {"dataset": "embedded", "sigma": [0.1, 0.203, 0.406, 0.607]},
    "photographs": {"dataset": "embedded", "sigma": [0.198, 0.403, 0.606]},
}


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """Results with exact posteriors, with the columns that the experiments write."""
    root = tmp_path_factory.mktemp("synthetic")
    synthetic_results(root)
    for path in (root / plan.SAMPLES).glob("*.csv"):
        table = read_csv(path, text=tables._TEXT)
        table.assign(**{name: "" for name in samples.COLUMNS if name not in table}).to_csv(path, index=False)
    return root


def test_table_1_has_a_ratio_near_two_and_the_documents_rows(synthetic):
    table, page = run_table(synthetic, "table_1")
    ours, theirs = (table[table["source"] == source] for source in ("measured", "quoted"))
    assert list(columns.TABLE_1) == list(table.columns[: len(columns.TABLE_1)])
    assert len(ours) == 7
    assert ours["mse_ratio"].between(1.7, 2.3).all()
    assert (ours["psnr_mmse"] > ours["psnr_sample"]).all()
    pd.testing.assert_frame_equal(
        theirs[["dataset", "sigma_stated", "psnr_sample", "mse_ratio"]].reset_index(drop=True),
        stated()[["dataset", "sigma_stated", "psnr_sample", "mse_ratio"]],
    )
    line = next(line for line in page.splitlines() if line.startswith("| faces") and "0.406" in line)
    assert "CelebA 0.406" in line
    assert "1.79" in line
    assert any("LSUN bedroom 0.606" in line for line in page.splitlines() if line.startswith("| photographs"))


def test_the_error_of_a_ratio_is_that_of_ratios_of_means():
    rng = np.random.default_rng(0)
    other = rng.uniform(1, 3, 400)
    own = 1.8 * other + rng.normal(0, 0.2, 400)
    rows = [{"image": str(i), "method": m, "mse": v} for m, x in (("mmse", other), ("sample", own))
            for i, v in enumerate(x)]  # fmt: skip
    ratio, error = tables._ratio(pd.DataFrame(rows), "sample")
    assert ratio == pytest.approx(1.8, abs=4 * error)
    assert error == pytest.approx(0.2 / np.sqrt(400) / other.mean(), rel=0.1)


def test_table_lpips_and_its_page(synthetic):
    table, page = run_table(synthetic, "table_lpips")
    assert set(columns.TABLE_LPIPS) <= set(table.columns)
    assert table["lpips_mmse"].to_numpy() == pytest.approx(0.4)
    assert table["lpips_sample"].to_numpy() == pytest.approx(0.2)
    assert "0.200 ± 0.000" in page


def test_table_residuals_holds_every_residual_and_the_noise_itself(synthetic):
    table, page = run_table(synthetic, "table_residuals")
    assert list(table.columns) == list(columns.TABLE_RESIDUALS)
    faces = table[(table["set"] == "faces") & (table["sigma_stated"] == 0.203)]
    assert dict(faces.groupby("method").size()) == {
        "classical": 6, "mmse": 6, "sample": 24, "sample-tweedie": 24, "mean": 6, "noise": 6,
    }  # fmt: skip
    noise = table[table["method"] == "noise"]
    assert noise["std_ratio"].mean() == pytest.approx(1, abs=0.01)
    assert noise[list(TEST_COLUMNS)].notna().all().all()
    assert "the noise itself" in page
    assert "25x25x1" in page


def test_table_diversity_agrees_with_theory_for_an_exact_posterior(synthetic):
    table, page = run_table(synthetic, "table_diversity")
    # A few images whose errors are mostly of low frequencies: some dozen independent numbers each.
    assert (table["spread"] / table["rmse_mmse"]).between(0.8, 1.2).all()
    assert (table["mean_ratio"] / table["mean_ratio_exact"]).between(0.8, 1.2).all()
    assert set(table["samples"]) == {2, 4}
    assert "mean_ratio_exact" in page


def test_a_missing_part_names_its_file(tmp_path):
    config = load_config(overrides={"paths": {"results": str(tmp_path)}})
    with pytest.raises(ResultError, match=r"faces-0\.1\.csv: there is no such table"):
        tables.table_1(config, tmp_path / "a.csv", tmp_path / "a.md")
    assert not (tmp_path / "a.csv").exists()


def test_the_documents_row_for_a_case():
    assert nearest("faces", "olivetti", 0.5)["dataset"] == "CelebA"
    assert nearest("church", "ddrm-church", 0.35)[["dataset", "sigma_stated"]].tolist() == ["LSUN bedroom", 0.403]
    assert (stated()["mse_ratio"] < 2).sum() == 7


# --- classical methods


@pytest.mark.parametrize("method", baselines.METHODS)
@pytest.mark.parametrize("shape", [(1, 25, 25), (3, 48, 40)])
def test_classical_methods_remove_noise(method, shape):
    if method == "bm3d":
        pytest.importorskip("bm3d")
    rng = np.random.default_rng(0)
    down = np.linspace(0.2, 0.8, shape[1])[None, :, None]
    clean = np.broadcast_to(down, shape)
    noisy = clean + 0.2 * rng.standard_normal(shape)
    denoised = baselines.choose(method)[1](noisy, 0.2)
    assert denoised.shape == shape
    assert denoised.dtype == np.float32
    assert np.square(denoised - clean).mean() < 0.25 * 0.2**2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", baselines.METHODS)
def test_classical_estimates_are_the_same_every_time(method, channels):
    if method == "bm3d":
        pytest.importorskip("bm3d")
    noisy = np.random.default_rng(0).random((channels, 25, 25), dtype=np.float32)
    denoise = baselines.choose(method)[1]
    assert len({denoise(noisy, 0.2).tobytes() for _ in range(6)}) == 1


def test_without_the_package_bm3d_wavelets_take_its_place(monkeypatch, caplog):
    monkeypatch.setattr(
        baselines.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(f"no {name}"))
    )
    with caplog.at_level(logging.WARNING, logger="denoiser_priors"):
        assert baselines.choose("bm3d") == ("wavelet", baselines.wavelet)
    assert "pip install 'denoiser-priors[bm3d]'" in caplog.text
    with pytest.raises(baselines.MissingPackage, match=r"pip install 'denoiser-priors\[bm3d\]'"):
        baselines.bm3d(np.zeros((1, 16, 16)), 0.1)


def test_pictures_are_named_as_in_their_dataset(config, monkeypatch):
    monkeypatch.setattr(
        "denoiser_priors.data.images.load_images", lambda *_, **__: [Picture("one", np.zeros((8, 8, 1), np.uint8))]
    )
    found = runs.pictures(config, "faces")
    assert (found.names, found.keys()) == (["one"], ["mine/one"])
