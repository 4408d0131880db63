"""Experiments and tables of implicit_prior: what is planned, restored and averaged, with a prior that is known."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from denoiser_priors.config import load_config
from denoiser_priors.documents.implicit_prior import experiments, plan, restorations, runs, tables
from denoiser_priors.documents.implicit_prior.reference import quoted, run_times
from denoiser_priors.documents.implicit_prior.tables_traces import COLUMNS as TRACE_COLUMNS
from denoiser_priors.documents.inventory import inventory
from denoiser_priors.errors import ConfigError, OperatorError, ResultError
from denoiser_priors.operators import BlockAverage, Inpainting, SpectralLowPass
from denoiser_priors.tables import read_csv

SIDE, KEPT = 24, 0.05
NAMES = ("first", "second", "third")
SMALL = {
    "beta": 0.3,
    "max_iterations": 400,
    "lpips": False,
    "synthesis": {"side": 16, "samples": 2, "betas": [0.5], "convergence": [1, 0.5], "convergence_samples": 2},
    "digits": {"side": 16, "samples": 2, "betas": [1, 0.5]},
    "examples": {"dataset": "smooth", "side": None, "hole": 6, "samples": 2, "limit": 2},
    "table_1": {
        "dataset": "smooth",
        "channels": 3,
        "images": None,
        "side": None,
        "samples": 2,
        "factors": [3, 4],
        "limit": 2,
    },
    "table_2": {"dataset": "smooth", "channels": 1, "side": 16, "samples": 2, "factors": [4]},
    "table_3": {"dataset": "smooth", "side": None, "samples": 3, "keep": [0.3]},
    "table_4": {"dataset": "smooth", "side": None, "samples": 2, "keep": [0.3], "limit": 1},
}


def low_frequencies(y):
    """The least-squares denoiser of images of which nothing is known but that they have low frequencies alone."""
    return SpectralLowPass(tuple(y.shape[1:]), keep=KEPT).project(y)


def smooth_image(key):
    """Gray, uint8 (SIDE, SIDE), in the span of the low frequencies but for rounding."""
    white = torch.from_numpy(np.random.default_rng(key).standard_normal((1, 1, SIDE, SIDE)))
    image = low_frequencies(white)
    return np.uint8(np.round(127.5 + 60 * image[0, 0].numpy() / image.abs().max().item()))


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Three smooth images as a folder of one's own, and the denoiser that knows what they are."""
    (tmp_path / "smooth").mkdir()
    for key, name in enumerate(NAMES):
        Image.fromarray(smooth_image(key)).save(tmp_path / "smooth" / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "load_prior", lambda config, name: stand_in(name))
    return configured()


def stand_in(name):
    return runs.Prior(name, low_frequencies, torch.device("cpu"), 1)


def configured(**changes):
    return load_config(overrides={"datasets": {"smooth": {"images": "smooth"}}, "implicit_prior": {**SMALL, **changes}})


def run(config, name, *outputs, **chosen):
    experiments.EXPERIMENTS[name](config, *outputs, **chosen)


def arrays(path):
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files if key != "about"}, json.loads(str(stored["about"]))


def restore(config, table, setting):
    part = next(part for part in plan.parts(config, table) if part.setting == setting)
    run(config, "restorations", part.path(config), part=part.number)
    return read_csv(part.path(config), tables.COLUMNS, text=("setting", "method", "final", "image"))


# --- plan


def test_every_table_has_a_part_for_each_setting_and_no_two_share_a_file():
    config = load_config()
    parts = plan.parts(config)
    assert [part.number for part in parts] == list(range(8))
    assert len({part.path(config) for part in parts}) == 8
    assert [part.setting for part in plan.parts(config, "table_1")] == ["4to1", "8to1"]
    assert [part.setting for part in plan.parts(config, "table_4")] == ["10", "30"]
    with pytest.raises(ConfigError, match=r"no part 8; the parts are 0 \(table_1-embedded"):
        plan.part(config, 8)


def test_the_widest_bias_free_denoiser_of_its_kind_is_the_prior():
    config = load_config()
    chosen = {role: plan.denoiser(config, role) for role in ("gray", "color", "digits")}
    assert chosen == {"gray": "dncnn-bf-0to100", "color": "bfcnn-color", "digits": "bfcnn-mnist"}
    others = {
        "biased": {"architecture": "dncnn", "noise_range": 200, "bias": True},
        "uniform": {"architecture": "dncnn", "noise_range": 200, "noise": "uniform"},
        "blurred": {"architecture": "dncnn", "noise_range": 200, "blur_range": 2},
        "faces": {"architecture": "dncnn", "noise_range": 200, "dataset": "lfw25"},
        "wide": {"architecture": "unet", "noise_range": 150},
    }
    assert plan.denoiser(load_config(overrides={"denoisers": others}), "gray") == "wide"


def test_a_configured_denoiser_is_the_prior_whatever_else_there_is():
    chosen = {"implicit_prior": {"denoisers": {"gray": "dncnn-cnn-0to10"}}}
    assert plan.photographs(load_config(overrides=chosen), 1) == "dncnn-cnn-0to10"


def test_results_without_their_denoiser_are_lacking_and_the_message_says_what_to_do():
    config = load_config(overrides={"denoisers": {"bfcnn-mnist": None, "bfcnn-color": None}})
    assert plan.lacking(config) == ["implicit_prior/digits.npz", "implicit_prior/table_1.csv"]
    with pytest.raises(ConfigError, match=r"MNIST digits .* implicit_prior\.denoisers\.digits"):
        plan.denoiser(config, "digits")
    assert plan.lacking(load_config()) == []


def test_a_task_of_the_figures_depends_on_its_own_settings_alone():
    before, after = load_config(), load_config(overrides={"implicit_prior": {"examples": {"hole": 20}}})
    changed = [
        task for task in plan.EXAMPLES if plan.example_settings(before, task) != plan.example_settings(after, task)
    ]
    assert changed == ["inpainting", "inpainting_samples"]


# --- images and memory


def test_images_are_cut_to_their_middle_or_taken_whole(config):
    found = runs.pictures(config, config.implicit_prior.table_2, "implicit_prior.table_2")
    whole = smooth_image(0).astype(np.float32) / 255
    assert [picture.name for picture in found] == list(NAMES)
    np.testing.assert_array_equal(found[0].pixels[0], whole[4:20, 4:20])
    assert (found[0].side, tuple(found[0].pixels.shape)) == (16, (1, 16, 16))
    whole_ones = runs.pictures(config, config.implicit_prior.table_1, "implicit_prior.table_1")
    assert (whole_ones[0].side, tuple(whole_ones[0].pixels.shape)) == (None, (3, SIDE, SIDE))


def test_images_are_chosen_by_name_in_the_order_given(config):
    config = configured(table_3={**SMALL["table_3"], "images": ["third", "first"], "limit": 1})
    settings = config.implicit_prior.table_3
    assert [picture.name for picture in runs.pictures(config, settings, "implicit_prior.table_3")] == ["third"]
    wrong = settings.model_copy(update={"images": ("fourth",)})
    with pytest.raises(ConfigError, match=r"table_3\.images: smooth has no test image 'fourth'; it has first, second"):
        runs.pictures(config, wrong, "implicit_prior.table_3")


def test_figures_want_images_of_one_size(config, tmp_path):
    Image.fromarray(smooth_image(0)[:20]).save(tmp_path / "smooth" / "another.png")
    with pytest.raises(ConfigError, match=r"implicit_prior\.examples\.side: .* 24x20, 24x24; choose a smaller side"):
        run(config, "examples_inpainting", tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_calls_of_the_network_and_batches_keep_to_the_memory():
    prior = runs.Prior("x", low_frequencies, torch.device("cpu"), 64)
    assert prior.chunk(512 * 512, 2000) == 7
    assert prior.chunk(10**9, 1) == 1
    config = configured(memory_mb=1)
    assert runs.images_at_once(config, 24 * 24, 4) == 9
    assert runs.images_at_once(config, 10**9, 4) == 1


# --- restorations


def test_every_image_has_its_baselines_and_its_samples_after_each_last_step(config):
    table = restore(config, "table_1", "4to1")
    assert list(dict.fromkeys(table["image"])) == ["first", "second"]
    for _, own in table.groupby("image"):
        counts = own.groupby(["method", "final"]).size().to_dict()
        finals = ("none", "denoise", "denoise-project")
        expected = {(method, "none"): 1 for method in ("projection", "bicubic", "tv")}
        assert counts == expected | {("sample", f): 2 for f in finals} | {("mean", f): 1 for f in finals}
    samples = table[table["method"] == "sample"]
    assert set(samples["sample"]) == {0, 1}
    assert set(table["protocol"]) == {"luminance"}
    assert table["side"].isna().all()
    assert samples["converged"].all()
    assert table["lpips"].isna().all()


def test_the_mean_of_samples_costs_what_its_samples_cost(config):
    table = restore(config, "table_3", "30")
    for _, own in table[table["final"] == "denoise"].groupby("image"):
        mean = own[own["method"] == "mean"].iloc[0]
        single = own[own["method"] == "sample"]
        assert (len(single), mean["samples"]) == (3, 3)
        assert mean["seconds"] == pytest.approx(single["seconds"].sum(), rel=1e-5)
        assert mean["iterations"] == pytest.approx(single["iterations"].mean())
        assert mean["psnr"] >= single["psnr"].mean()


def test_what_is_measured_of_is_what_is_told_of(config):
    table = restore(config, "table_3", "30")
    originals = np.stack([smooth_image(key) for key in range(3)]).astype(np.float32)[:, None] / 255
    x = torch.from_numpy(originals)
    expected = -10 * torch.log10((SpectralLowPass((1, SIDE, SIDE), keep=0.3).project(x) - x).square().mean((1, 2, 3)))
    found = table[table["method"] == "projection"]["psnr"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_with_the_right_prior_images_are_recovered_from_too_few_measurements(config):
    """Random projections of 30% say nearly nothing; that images have the lowest 5% of frequencies says the rest."""
    table = restore(config, "table_4", "30").set_index(["method", "final"])["psnr"]
    # The sampler stops when what is measured of the error, a third of it, is below sigma_L = 0.01.
    assert table.loc[("sample", "denoise")].min() > 30
    assert table.loc[("projection", "none")] < 15
    assert table.loc[("sparse-dct", "none")] < table.loc[("sample", "denoise")].min()


def test_samples_do_not_depend_on_the_other_images_of_the_batch(config):
    together = restore(config, "table_3", "30")
    single = restore(configured(table_3={**SMALL["table_3"], "images": ["second"]}), "table_3", "30")
    columns = ["method", "final", "sample", "psnr", "iterations"]
    pd.testing.assert_frame_equal(
        together[together["image"] == "second"][columns].reset_index(drop=True), single[columns], rtol=1e-4
    )


def test_small_memory_changes_nothing_but_the_time(config):
    generous, tight = (restore(configured(memory_mb=mb), "table_2", "4to1") for mb in (2000, 1))
    pd.testing.assert_frame_equal(generous.drop(columns="seconds"), tight.drop(columns="seconds"), rtol=1e-4)
    assert set(generous["side"]) == {16}


def test_an_unknown_protocol_is_said_before_anything_is_restored(config):
    wrong = configured(table_3={**SMALL["table_3"], "protocol": "luminence"})
    with pytest.raises(ConfigError, match="luminence"):
        restore(wrong, "table_3", "30")


def test_sharpness_is_the_mean_gradient_of_the_luminance():
    ramp = torch.arange(8.0).expand(8, 8) * 0.05
    assert restorations.sharpness(ramp[None, None]).item() == pytest.approx(0.05)
    steep = 0.03 * torch.arange(8.0)[:, None] + 0.04 * torch.arange(8.0)
    assert restorations.sharpness(steep[None, None]).item() == pytest.approx(0.05)
    red = torch.stack([ramp, torch.zeros_like(ramp), torch.zeros_like(ramp)])
    assert restorations.sharpness(red[None]).item() == pytest.approx(0.299 * 0.05)


@pytest.mark.parametrize(("factor", "expected"), [(4, 26.36), (8, 23.02)])
def test_what_super_resolution_starts_from_is_what_the_document_has_on_set5(mirror, tmp_path, factor, expected):
    from denoiser_priors.data import download
    from denoiser_priors.data.images import as_tensor, load_images
    from denoiser_priors.evaluation.protocols import get_protocol

    download.fetch("set5", tmp_path, mirror=mirror, offline=True, progress=False)
    protocol = get_protocol(load_config().implicit_prior.table_1.protocol)
    found = []
    for image in load_images("set5", tmp_path, channels=3):
        x = as_tensor(image)[None]
        operator = BlockAverage(tuple(x.shape[1:]), factor=factor)
        x = operator.crop(x)
        found.append(protocol.psnr(protocol.denoised(operator.project(x)), x).item())
    assert len(found) == 5
    assert np.mean(found) == pytest.approx(expected, abs=0.05)


# --- examples


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("inpainting", ["6x6"] * 2),
        ("random_pixels", ["30%"] * 2 + ["10%"] * 2),
        ("super_resolution", ["4x4"] * 2),
        ("spectral", ["30%"] * 2 + ["10%"] * 2),
        ("projections", ["10%"] * 2),
    ],
)
def test_examples_have_an_entry_for_each_image_at_each_setting(config, tmp_path, task, settings):
    run(config, f"examples_{task}", tmp_path / "out.npz")
    found, about = arrays(tmp_path / "out.npz")
    assert list(found["setting"]) == settings
    shown = {"original", "measured", "restored"} | ({"sparse_dct"} if task == "projections" else set())
    for name in shown:
        assert (found[name].shape, found[name].dtype) == ((len(settings), 1, SIDE, SIDE), np.float32)
    for name in shown - {"original"}:
        seen = np.clip(found[name], 0, 1)
        error = ((seen - found["original"]) ** 2).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(found[f"psnr_{name}"], -10 * np.log10(error), rtol=1e-5)
        assert found[f"ssim_{name}"].shape == (len(settings),)
    assert about["denoiser"] == "dncnn-bf-0to100"
    assert about["images"] == ["first", "second"]
    assert (about["final"], about["beta"], about["sigma_L"]) == ("denoise", 0.3, 0.01)
    assert set(about["iterations"]) == set(settings)


def test_holes_are_filled_in_differently_and_nothing_else_is_touched(config, tmp_path):
    config = configured(final="denoise-project", sigma_L=0.05)
    run(config, "examples_inpainting_samples", tmp_path / "out.npz")
    found, about = arrays(tmp_path / "out.npz")
    assert found["restored"].shape == (1, 2, 1, SIDE, SIDE)
    assert found["psnr_restored"].shape == found["ssim_restored"].shape == (1, 2)
    outside = Inpainting((1, SIDE, SIDE), hole=6).project(torch.ones(1, 1, SIDE, SIDE)).bool().numpy()[0]
    first, second = found["restored"][0]
    np.testing.assert_allclose(first[outside], found["original"][0][outside], atol=1e-5)
    np.testing.assert_allclose(second[outside], found["original"][0][outside], atol=1e-5)
    assert np.abs(first - second)[~outside].max() > 1e-3
    assert about["images"] == ["first"]


def test_a_hole_that_is_larger_than_the_image_is_refused(config, tmp_path):
    with pytest.raises(OperatorError):
        run(configured(examples={**SMALL["examples"], "hole": 40}), "examples_inpainting", tmp_path / "out.npz")


# --- synthesis


def test_sequences_show_iterates_from_the_first_to_the_last(config, tmp_path):
    run(config, "synthesis", tmp_path / "out.npz", tmp_path / "out.csv")
    found, about = arrays(tmp_path / "out.npz")
    times = found["sequence_t"].tolist()
    assert times[:3] == [1, 9, 17]
    assert times[-1] == max(about["iterations"]["1"])
    assert found["sequence"].shape == (2, len(times), 1, 16, 16)
    assert found["sequence_sigma"].shape == (2, len(times))
    # Without injected noise every step removes some; the denoiser takes what is left at the end.
    assert (np.diff(found["sequence_sigma"], axis=1) <= 0).all()
    ends = torch.from_numpy(found["sequence"][:, -1])
    np.testing.assert_allclose(low_frequencies(ends), found["samples_1"], atol=1e-5)
    assert {"samples_1", "samples_0.5"} <= set(found)
    assert set(about["iterations"]) == {"1", "0.5"}


def test_traces_follow_the_algorithm_and_begin_alike_at_every_beta(config, tmp_path):
    run(config, "synthesis", tmp_path / "out.npz", tmp_path / "out.csv")
    table = read_csv(tmp_path / "out.csv", TRACE_COLUMNS)
    assert table.groupby(["beta", "sample"]).ngroups == 4
    t = table["iteration"]
    h = 0.01 * t / (1 + 0.01 * (t - 1))
    np.testing.assert_allclose(table["removed"], h * table["sigma"], rtol=1e-5)
    gamma = np.sqrt(((1 - table["beta"] * h) ** 2 - (1 - h) ** 2).clip(lower=0)) * table["sigma"]
    np.testing.assert_allclose(table["injected"], gamma, rtol=1e-4, atol=1e-7)
    first = table[t == 1]
    np.testing.assert_allclose(first["predicted_sigma"], first["sigma"])
    assert first.groupby("sample")["sigma"].nunique().max() == 1
    last = table.groupby(["beta", "sample"]).tail(1)
    assert (last["sigma"] <= 0.01).all()
    # For this denoiser the noise outside of the subspace shrinks exactly as the law says where none is injected.
    own = table[table["beta"] == 1]
    np.testing.assert_allclose(own["sigma"], own["predicted_sigma"], rtol=1e-3)


def test_digits_are_sampled_at_every_beta(config, tmp_path):
    run(config, "digits", tmp_path / "out.npz")
    found, about = arrays(tmp_path / "out.npz")
    assert {name: images.shape for name, images in found.items()} == {
        "samples_1": (2, 1, 16, 16),
        "samples_0.5": (2, 1, 16, 16),
    }
    assert about["denoiser"] == "bfcnn-mnist"


def test_without_a_last_step_samples_are_where_the_sampler_stopped(config, tmp_path):
    run(configured(final="none"), "digits", tmp_path / "out.npz")
    found, about = arrays(tmp_path / "out.npz")
    left = found["samples_1"] - low_frequencies(torch.from_numpy(found["samples_1"])).numpy()
    assert 1e-4 < np.sqrt((left**2).mean()) < 0.01
    assert about["final"] == "none"


def test_figure_10_needs_no_denoiser(tmp_path):
    config = configured(manifold={"signals": 4})
    run(config, "manifold", tmp_path / "out.npz")
    found, about = arrays(tmp_path / "out.npz")
    assert found["trajectories"].shape[1:] == (4, 2)
    np.testing.assert_array_equal(found["trajectories"][0], found["noisy"][0])
    assert (about["beta"], about["h_0"], about["sigma_L"]) == (1, 0.05, 0.01)


# --- tables


def made_up_rows(setting="4to1"):
    """Two images; samples at 20 and 22 dB (first) and 30 and 32 dB (second)."""
    rows = []
    for image, base in (("a", 20.0), ("b", 30.0)):
        shared = {"table": "table_1", "task": "super-resolution", "setting": setting, "dataset": "set5"}
        shared |= {"image": image, "height": 8, "width": 8, "protocol": "luminance", "precision": "fp32"}
        shared |= {"processor": "abacus", "ssim": 0.5, "sharpness": 0.1, "seconds": 2.0}
        rows.append({**shared, "method": "projection", "final": "none", "samples": 1, "psnr": base - 5})
        for sample, gain in enumerate((0, 2)):
            own = {"method": "sample", "final": "denoise", "samples": 1, "sample": sample, "denoiser": "bfcnn"}
            rows.append({**shared, **own, "psnr": base + gain, "iterations": 200, "converged": sample == 0})
        rows.append({**shared, **own, "method": "mean", "samples": 2, "psnr": base + 3, "sample": np.nan})
    return pd.DataFrame(rows, columns=list(tables.COLUMNS))


DENOISERS = pd.DataFrame({"denoiser": ["bfcnn"], "recipe": ["released"]})


def test_tables_average_over_samples_and_then_over_images():
    found = tables.summary(made_up_rows(), DENOISERS, "table_1", "mine").set_index(["source", "method"])
    single = found.loc[("measured", "sample")]
    assert (single["psnr"], single["images"], single["draws"]) == (26, 2, 2)
    assert single["psnr_se"] == pytest.approx(5)
    assert (single["converged"], single["recipe"], single["preset"]) == (0.5, "released", "mine")
    assert found.loc[("measured", "mean")]["samples"] == 2
    assert found.loc[("measured", "projection")]["psnr"] == 20


def test_the_documents_numbers_stand_beside_ours_at_the_same_setting_and_are_marked():
    found = tables.summary(made_up_rows(), DENOISERS, "table_1", "mine")
    others = found[found["source"] == "quoted"].set_index("method")["psnr"].to_dict()
    assert others == {"M M^T x": 26.35, "DIP": 30.04, "DeepRED": 30.22, "Ours": 29.47, "Ours-avg": 31.20}
    page = tables.table_page(found, "A table")
    quoted_lines = [line for line in page.splitlines() if "(quoted, set5)" in line]
    assert len(quoted_lines) == 5
    assert "2 image(s), whole images" in page
    assert "on abacus" in page
    assert "DIP 1190 s" in page
    elsewhere = made_up_rows("2to1")
    assert set(tables.summary(elsewhere, DENOISERS, "table_1", "mine")["source"]) == {"measured"}
    assert set(tables.summary(made_up_rows(), DENOISERS, "table_2", "mine")["source"]) == {"measured"}


def test_quoted_numbers_say_where_they_are_from():
    for table in (quoted(), run_times()):
        assert table["reference"].str.contains("Kadkhodaie & Simoncelli").all()
        assert set(table["status"]) == {"secondary"}


def test_tables_are_gathered_from_all_their_parts(config, tmp_path):
    for part in plan.parts(config, "table_1"):
        restore(config, "table_1", part.setting)
    out = plan.folder(config)
    (out.parent / "denoisers.csv").write_text(inventory(config), encoding="utf-8")
    run(config, "table_1", out / "table_1.csv", out / "table_1.md")
    found = read_csv(out / "table_1.csv")
    own = found[found["source"] == "measured"]
    assert set(own["setting"]) == {"3to1", "4to1"}
    assert set(own[own["method"] == "sample"]["final"]) == {"none", "denoise", "denoise-project"}
    assert set(own["images"]) == {2}
    page = (out / "table_1.md").read_text()
    assert "## 3:1" in page
    assert "mean of 2 samples" in page


def test_a_table_without_one_of_its_parts_is_an_error_that_names_it(config, tmp_path):
    restore(config, "table_1", "4to1")
    with pytest.raises(ResultError, match="table_1-smooth-super-resolution-3to1"):
        run(config, "table_1", tmp_path / "a.csv", tmp_path / "a.md")
    assert not (tmp_path / "a.csv").exists()
