"""Experiments of mean_shift: what is planned, degraded, restored and measured, with a prior that is known."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denoiser_priors.config import load_config
from denoiser_priors.documents import registry
from denoiser_priors.documents.mean_shift import (
    blind,
    experiments,
    patch_mixture,
    plan,
    restorations,
    runs,
    tables,
    visualisation,
)
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.evaluation.protocols import get_protocol
from denoiser_priors.restoration.convolution import convolve_valid
from denoiser_priors.restoration.degradations import Mosaic, Reduction
from denoiser_priors.tables import read_csv

MEAN, SPREAD, SIGMA_1 = 0.5, 25.0, 11.0
SIDE = 40
SETTINGS = {
    "iterations": 12,
    "deblurring": {
        "photographs": None,
        "mine": {"dataset": "mine", "kernel_side": 7, "kernel_count": 2, "pairs": 3, "side": 32, "sigma": [2.55, 10.2]},
    },
    "compared": {"bias-free": {"set": "mine", "pairs": 2}, "text": {"set": "mine", "pairs": 2}},
    "blind": {"photographs": {"dataset": "mine", "channels": 1, "pairs": 2, "kernel_side": 5, "iterations": 8}},
    "super_resolution": {"photographs": {"dataset": "mine", "side": 33, "images": 2, "factors": [2, 4]}},
    "demosaicing": {"photographs": {"dataset": "mine", "images": 2, "side": 16}},
    "figure_01": {"dataset": "mine", "side": 32, "iterations": 4, "patches": 200, "components": 3},
}


class GaussianDenoiser:
    """Exact for independent pixels of mean MEAN and standard deviation SPREAD (of 255), and noise SIGMA_1."""

    channels = 3

    def __call__(self, y):
        return (SPREAD**2 * y + SIGMA_1**2 * MEAN) / (SPREAD**2 + SIGMA_1**2)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A folder of three colour images, and a denoiser that knows its prior."""
    (tmp_path / "mine").mkdir()
    generator = np.random.default_rng(3)
    for number in range(3):
        pixels = generator.normal(255 * MEAN, SPREAD, (SIDE, SIDE, 3)).clip(0, 255)
        Image.fromarray(np.uint8(np.round(pixels))).save(tmp_path / "mine" / f"{number}.png")

    def load(config, prior):
        return runs.Network(prior, GaussianDenoiser(), torch.device("cpu"))

    monkeypatch.setattr(runs, "load_network", load)
    paths = {"data": str(tmp_path / "data"), "results": str(tmp_path / "results")}
    own = {"mine": {"images": str(tmp_path / "mine"), "channels": 3}}
    return load_config(overrides={"paths": paths, "datasets": own, "mean_shift": SETTINGS})


def run(config, name):
    """Run one part; returns its rows and arrays."""
    part = next(part for part in plan.parts(config) if part.name == name)
    restorations.restorations(config, part.arrays(config), part.table(config), part=part.number)
    with np.load(part.arrays(config)) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return read_csv(part.table(config), runs.COLUMNS, text=tables.TEXT), arrays


# --- what is planned


def test_a_part_for_every_set_noise_level_and_method():
    config = load_config()
    names = [part.name for part in plan.parts(config)]
    assert [part.number for part in plan.parts(config)] == list(range(len(names)))
    assert names[:4] == [
        "deblurring-photographs-2.55-nb",
        "deblurring-photographs-2.55-na",
        "deblurring-photographs-2.55-classical",
        "deblurring-photographs-10.2-nb",
    ]
    assert {"compared-text-2.55", "blind-photographs-2", "super_resolution-photographs-4"} < set(names)
    assert names[-1] == "demosaicing-photographs"
    assert plan.lacking(config) == []
    with pytest.raises(ConfigError, match=r"there is no part 99; the parts are 0 \(deblurring-photographs-2.55-nb\)"):
        plan.part(config, 99)


@pytest.mark.parametrize(
    ("files", "pairs", "color", "demosaicing", "gray"),
    [
        (["config/config.yaml"], 3, ("dae-color", 11), ("dae-color-3", 3), ("dae-color", 11)),
        (["config/released.yaml"], 8, ("dae-color", 11), ("bfcnn-color", 3), ("dae-color", 11)),
        (["config/paper.yaml"], None, ("dae-color", 11), ("dae-color-3", 3), ("dae-gray", 11)),
    ],
)
def test_each_task_has_the_prior_of_its_noise_level_or_one_that_needs_none(files, pairs, color, demosaicing, gray):
    root = Path(__file__).parents[1]
    config = load_config([root / file for file in files])
    found = [plan.prior(config, 3), plan.prior(config, 3, demosaicing=True), plan.prior(config, 1)]
    assert [(prior.name, prior.sigma) for prior in found] == [color, demosaicing, gray]
    assert next(iter(part.settings.pairs for part in plan.parts(config))) == pairs


def test_without_autoencoder_a_bias_free_network_is_the_prior_and_without_any_the_results_are_left_out():
    config = load_config(overrides={"denoisers": {"dae-color": None, "dae-color-3": None}})
    assert plan.prior(config, 3) == plan.Prior("bfcnn-color", 11)
    assert plan.prior(config, 1) == plan.Prior("dncnn-bf-0to100", 11)
    config = load_config(overrides={"denoisers": {"dae-color": None, "dae-color-3": None, "bfcnn-color": None}})
    lacking = plan.lacking(config)
    assert {"mean_shift/table_2.csv", "mean_shift/blind", "mean_shift/table_4.md"} < set(lacking)
    assert "mean_shift/figure_01.npz" not in lacking
    with pytest.raises(ConfigError, match="needs a denoiser of colour photographs"):
        plan.prior(config, 3)


def test_a_network_of_one_noise_level_keeps_it():
    settings = {"deblurring": {"photographs": {"denoiser": "dae-color"}}, "priors": {"sigma": 15}}
    config = load_config(overrides={"mean_shift": settings})
    assert plan.parts(config)[0].prior == plan.Prior("dae-color", 11)
    assert plan.prior(config, 3) == plan.Prior("bfcnn-color", 15)


def test_every_result_of_the_registry_is_made_by_an_experiment():
    made = {"mean_shift/figure_01.npz", *(plan.token(task) for task in plan.TABLES.values())}
    made |= {f"mean_shift/{table}.{suffix}" for table in plan.TABLES for suffix in ("csv", "md")}
    for figure in registry.figures("mean_shift").values():
        assert {*figure.reads, *figure.writes} <= made
        assert figure.kind == "figure" or figure.name in experiments.EXPERIMENTS
    assert {"restorations", "figure_01"} < set(experiments.EXPERIMENTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compared": {"other": {"set": "levin"}}}, "deblurring has no set 'levin'; it has photographs"),
        ({"deblurring": {"photographs": {"kernel_side": 8}}}, "expected an odd number of pixels, not 8"),
        ({"deblurring": {"a/b": {}}}, "a name, which files are called by"),
        ({"deblurring": {"photographs": {"denoiser": "dae-colour"}}}, "did you mean 'dae-color'"),
        ({"priors": {"color": "dncnn-bf-0to10"}}, "is for gray images"),
        ({"blind": {"photographs": {"blurred": "levin-blured"}}}, "did you mean 'levin-blurred'"),
        ({"super_resolution": {"photographs": {"rough": 1}}}, "rough"),
        ({"deblurring": {"photographs": {"kernels": "levin"}}}, "kernels"),
        ({"momentum": 1}, "momentum"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        load_config(overrides={"mean_shift": change})


def test_a_part_depends_on_its_own_settings_alone():
    def of(change, name):
        config = load_config(overrides={"mean_shift": change})
        return plan.part_settings(config, next(part for part in plan.parts(config) if part.name == name))

    name = "deblurring-photographs-2.55-na"
    more = {"deblurring": {"photographs": {"sigma": [2.55, 5.1]}}, "super_resolution": {"photographs": {"side": 64}}}
    assert of({}, name) == of(more, name)
    assert of({}, name) != of({"iterations": 10}, name)
    assert of({}, "deblurring-photographs-2.55-classical") == of(
        {"iterations": 10}, "deblurring-photographs-2.55-classical"
    )
    assert of({}, "compared-text-2.55") != of({"compared": {"text": {"step": 0.2}}}, "compared-text-2.55")


# --- pairs, shifts and likeness


@pytest.mark.parametrize(("images", "kernels"), [(4, 8), (10, 5), (3, 4), (1, 1), (94, 8)])
def test_pairs_take_images_and_kernels_in_turn(images, kernels):
    found = runs.pairs(range(images), range(kernels), None)
    assert len(found) == len(set(found)) == images * kernels
    first = runs.pairs(range(images), range(kernels), min(images, kernels))
    assert len({i for i, _ in first}) == len({j for _, j in first}) == min(images, kernels)


def test_more_pairs_than_there_are_is_an_error():
    with pytest.raises(ConfigError, match="pairs is 7, and there are 6 pairs of 2 images and 3 kernels"):
        runs.pairs([1, 2], [1, 2, 3], 7)
    with pytest.raises(ConfigError, match="at least one image"):
        runs.pairs([], [1], None)


def smooth(side, seed=0):
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(np.random.default_rng(seed).standard_normal((side + 20, side + 20)), 3)
    return field / field.std() * 0.1 + 0.5


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-8, 8), (1.25, -0.5), (-2.75, 6.25)])
def test_a_shifted_image_is_moved_back(shift):
    from scipy.ndimage import shift as move

    field = smooth(44)
    clean = torch.from_numpy(field[10:-10, 10:-10].copy())[None]
    moved = torch.from_numpy(move(field, shift)[10:-10, 10:-10].copy())[None]
    image, reference = blind.aligned(moved, clean)
    assert reference.shape == (1, 44 - 2 * blind.REACH, 44 - 2 * blind.REACH)
    assert float((image - reference).abs().max()) < 2e-3


def test_images_that_cannot_be_aligned_are_refused():
    with pytest.raises(DataError, match="restored images of 30x30 pixels cannot be compared with originals of 28x28"):
        blind.aligned(torch.zeros(1, 30, 30), torch.zeros(1, 28, 28))
    with pytest.raises(DataError, match="of more than 16 pixels"):
        blind.aligned(torch.zeros(1, 16, 16), torch.zeros(1, 16, 16))


def test_likeness_of_kernels_does_not_see_shifts():
    kernel = np.zeros((9, 9))
    kernel[2:5, 3], kernel[4, 3:6] = 0.2, 0.1
    assert blind.similarity(kernel, kernel) == pytest.approx(1)
    assert blind.similarity(np.roll(kernel, (2, -1), (0, 1)), kernel) == pytest.approx(1)
    flat = blind.similarity(np.full((9, 9), 1 / 81), kernel)
    assert flat == pytest.approx(kernel.sum() / np.linalg.norm(kernel) / 9)


# --- restorations


@pytest.mark.parametrize("method", ["nb", "na"])
def test_deblurring_measures_what_it_keeps(config, method):
    rows, arrays = run(config, f"deblurring-mine-2.55-{method}")
    assert len(rows) == 3
    assert rows["image"].tolist() == ["0", "1", "2"]
    assert rows["kernel"].tolist() == ["kernel1", "kernel2", "kernel1"]
    protocol = get_protocol("mean_shift")
    for place, row in enumerate(rows.itertuples()):
        clean, restored = (torch.from_numpy(arrays[f"{key}_{place}"])[None] for key in ("clean", "restored"))
        assert clean.shape == (1, 3, 26, 26)
        assert row.psnr == pytest.approx(float(protocol.psnr(protocol.denoised(restored), clean)), abs=1e-4)
    assert (rows["psnr"] > rows["input_psnr"]).all()
    assert (rows["border"] == "3x3").all()
    assert (rows["iterations"] == 12).all()
    if method == "nb":
        assert rows["sigma_found"].tolist() == pytest.approx([2.55] * 3)
    else:
        # The smoothing counts as noise: sigma^2 = 2 * 11^2 times the energy of the kernel.
        assert (rows["sigma_found"] > 2.55).all()


def test_blurred_images_are_kernel_and_noise_and_nothing_else(config):
    part = plan.parts(config)[0]
    for picture, kernel, degraded in restorations.blurred(config, part.settings, 10.2):
        soft = convolve_valid(picture.clean[None], kernel.values)[0]
        assert degraded.shape == soft.shape
        assert float((degraded - soft).std()) * 255 == pytest.approx(10.2, rel=0.05)


def test_the_same_seed_gives_the_same_files_and_another_does_not(config):
    first, arrays = run(config, "deblurring-mine-10.2-na")
    again, _ = run(config, "deblurring-mine-10.2-na")
    assert first["psnr"].tolist() == again["psnr"].tolist()
    other, others = run(config.model_copy(update={"seed": 1}), "deblurring-mine-10.2-na")
    assert other["psnr"].tolist() != first["psnr"].tolist()
    assert np.array_equal(others["clean_0"], arrays["clean_0"])


def test_classical_methods_are_told_the_noise_and_have_no_prior(config):
    rows, arrays = run(config, "deblurring-mine-2.55-classical")
    assert rows["method"].tolist() == ["wiener", "richardson-lucy", "tv"] * 3
    assert (rows["denoiser"] == "").all()
    assert {"clean_0", "degraded_2", "tv_2", "wiener_0", "kernel_1"} < set(arrays)
    assert json.loads(str(arrays["about"]))["images"] == ["0", "1", "2"]


def test_comparisons_are_of_the_same_blurred_images(config):
    _, own = run(config, "deblurring-mine-2.55-na")
    rows, others = run(config, "compared-text-2.55")
    assert (rows["variant"] == "text").all()
    assert len(rows) == 2
    assert np.array_equal(own["degraded_1"], others["degraded_1"])
    assert not np.array_equal(own["restored_1"], others["restored_1"])
    assert (run(config, "compared-bias-free-2.55")[0]["denoiser"] == "bfcnn-color").all()


def test_kernel_blind_deblurring_compares_with_the_known_kernel(config):
    rows, arrays = run(config, "blind-photographs-2")
    (row,) = rows.itertuples()
    assert (row.image, row.kernel, row.method, row.iterations) == ("1", "kernel2", "ke", 8)
    assert arrays["estimate_0"].shape == arrays["kernel_0"].shape == (5, 5)
    assert float(arrays["estimate_0"].sum()) == pytest.approx(1, abs=1e-5)
    errors = {}
    for key in ("restored", "known"):
        image, clean = blind.aligned(*(torch.from_numpy(arrays[f"{name}_0"]) for name in (key, "clean")))
        errors[key] = float((image.clamp(0, 1) - clean).square().sum())
    assert row.error_ratio == pytest.approx(errors["restored"] / errors["known"], rel=1e-4)
    assert 0 < row.kernel_similarity <= 1


def test_photographs_that_are_blurred_already_are_found_by_name(config, tmp_path):
    folder = tmp_path / "shaken"
    folder.mkdir()
    for image, kernel in (("0", 1), ("1", 2)):
        Image.fromarray(np.full((SIDE, SIDE), 100 + kernel, np.uint8)).save(folder / f"{image}_kernel{kernel}.png")
    settings = config.model_dump(mode="json")
    settings["datasets"]["shaken"] = {"images": str(folder), "channels": 1}
    settings["mean_shift"]["blind"]["photographs"] |= {"blurred": "shaken", "pairs": 3}
    changed = load_config(overrides=settings)
    parts = plan.of_task(changed, "blind")
    assert plan.datasets(parts[0]) == ["mine", "shaken"]
    ((picture, kernel, photograph),) = blind.blurred(changed, parts[1])
    assert (picture.name, kernel.name) == ("1", "kernel2")
    assert photograph.shape == picture.clean.shape
    assert float(photograph.mean()) == pytest.approx(102 / 255)
    with pytest.raises(DataError, match="the dataset shaken has no image 2_kernel3; it has 0_kernel1, 1_kernel2"):
        next(blind.blurred(changed, parts[2]))


def test_super_resolution_begins_with_what_is_reduced_and_rounded(config):
    rows, arrays = run(config, "super_resolution-photographs-4")
    assert rows["method"].tolist() == ["bicubic", "sr"] * 2
    assert arrays["clean_0"].shape == (3, 32, 32)
    small = Reduction((3, 32, 32), 4).measure(torch.from_numpy(arrays["clean_0"])[None])[0]
    degraded = arrays["degraded_0"]
    assert np.abs(degraded - small.numpy()).max() <= 0.5 / 255 + 1e-6
    assert np.allclose(degraded * 255, np.round(degraded * 255), atol=1e-3)
    assert (rows["border"] == "4x4").all()
    bicubic = rows[rows["method"] == "bicubic"]
    assert bicubic["psnr"].tolist() == bicubic["input_psnr"].tolist()


def test_demosaicing_is_in_linear_light(config):
    pytest.importorskip("colour_demosaicing")
    rows, arrays = run(config, "demosaicing-photographs")
    assert rows["method"].tolist() == ["bilinear", "malvar", "menon", "dm"] * 2
    clean = torch.from_numpy(arrays["clean_0"])[None]
    assert torch.equal(Mosaic((3, 16, 16)).measure(clean)[0], torch.from_numpy(arrays["degraded_0"]))
    # Half of the display's range is a fifth of the light.
    assert float(clean.mean()) == pytest.approx(0.22, abs=0.02)
    assert (rows.loc[rows["method"] == "dm", "iterations"] == 24).all()
    assert (rows.loc[rows["method"] == "dm", "prior_sigma"] == 3).all()


def test_demosaicing_without_the_optional_package_is_bilinear(config, monkeypatch, caplog):
    monkeypatch.setattr(restorations.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        rows, _ = run(config, "demosaicing-photographs")
    assert rows["method"].tolist() == ["bilinear", "dm"] * 2
    assert "denoiser-priors[demosaic]" in caplog.text


def test_light_is_that_of_srgb():
    values = torch.tensor([0.0, 0.04045, 0.5, 1.0])
    expected = torch.tensor([0.0, 0.0031308, 0.2140411, 1.0])
    assert torch.allclose(restorations.linear(values), expected, atol=1e-6)


def test_kernels_of_a_dataset_are_turned(mirror, tmp_path):
    from denoiser_priors.data.download import fetch
    from denoiser_priors.restoration.kernels import read_kernels

    fetch("levin-kernels", tmp_path, mirror=str(mirror), progress=False)
    settings = {"deblurring": {"photographs": {"kernels": "levin-kernels", "kernel_count": 3}}}
    config = load_config(overrides={"paths": {"data": str(tmp_path)}, "mean_shift": settings})
    found = runs.kernels(config, config.mean_shift.deblurring["photographs"])
    assert [kernel.name for kernel in found] == ["kernel1", "kernel2", "kernel3"]
    plain = read_kernels(runs.kernel_file(config, "levin-kernels"))
    assert torch.equal(found[1].values, plain[1].flip(0, 1))
    assert found[0].border == (9, 9)


# --- figure 1


def test_the_mixture_finds_the_covariances_of_patches():
    generator = np.random.default_rng(0)
    strong, weak = (scale * generator.standard_normal((200, 200)) for scale in (0.2, 0.05))
    mixture = patch_mixture.fit([strong, weak], patches=4000, components=2, rounds=10)
    # White noise less the mean of the patch, plus the floor.
    size = patch_mixture.SIDE**2
    found = sorted(np.trace(covariance) / size for covariance in mixture.covariances)
    expected = [scale**2 * (1 - 1 / size) + patch_mixture.FLOOR for scale in (0.05, 0.2)]
    assert found == pytest.approx(expected, rel=0.05)
    assert sorted(mixture.weights) == pytest.approx([0.5, 0.5], abs=0.05)


def test_the_gradient_of_the_mixture_is_that_of_its_logarithm():
    generator = np.random.default_rng(1)
    mixture = patch_mixture.fit([generator.random((40, 40))], patches=300, components=2, rounds=3)
    side = patch_mixture.SIDE
    image = torch.from_numpy(generator.random((1, 1, side, side))).requires_grad_()
    centred = image.flatten() - image.mean()
    quadratic = torch.stack([centred @ torch.from_numpy(p) @ centred for p in mixture.precisions])
    logs = torch.from_numpy(np.log(mixture.weights) + mixture.log_norms) - quadratic / 2
    (-logs.logsumexp(0)).backward()
    assert torch.allclose(mixture.gradient(image.detach()), image.grad, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("exponent", [1.0, visualisation.EXPONENT])
def test_bending_lowers_the_energy_and_stops_where_it_is_told(exponent):
    original = visualisation.drawing(48)

    def energy(image):
        down, right = image[..., 1:, :-1] - image[..., :-1, :-1], image[..., :-1, 1:] - image[..., :-1, :-1]
        return float((down**2 + right**2 + visualisation.EPSILON**2).pow(exponent / 2).sum())

    bent, moved = visualisation.bend(
        original, lambda image: visualisation.slopes(image, exponent), iterations=60, reach=1.0
    )
    assert 1.0 <= moved < 1.1
    assert bent.shape == original.shape
    assert energy(bent) < 0.95 * energy(original)
    still, distance = visualisation.bend(original, torch.zeros_like, iterations=5, reach=1.0)
    assert torch.allclose(still, original, atol=1e-4)
    assert distance == 0


def test_the_drawing_has_dark_strokes_on_light_ground():
    image = visualisation.drawing(64)
    assert image.shape == (1, 64, 64)
    assert float(image.max()) == pytest.approx(0.85)
    assert 0.05 < float((image < 0.5).float().mean()) < 0.3


def test_figure_1_is_made_from_its_settings(config, tmp_path):
    out = tmp_path / "figure_01.npz"
    inputs = visualisation.figure_01(config, out)
    with np.load(out) as stored:
        assert {key: stored[key].shape for key in ("original", *visualisation.PRIORS)} == dict.fromkeys(
            ("original", *visualisation.PRIORS), (2, 1, 32, 32)
        )
        about = json.loads(str(stored["about"]))
    assert about["denoiser"] == "dae-color"
    assert set(about["moved"]) == set(visualisation.PRIORS)
    assert inputs[0].name == "weights.safetensors"


def test_figure_1_of_a_photograph_smaller_than_its_side(config, tmp_path):
    Image.new("RGB", (SIDE - 4, SIDE), (40, 80, 120)).save(tmp_path / "mine" / "0.png")
    settings = config.mean_shift.figure_01.model_copy(update={"side": SIDE + 9})
    settings = config.mean_shift.model_copy(update={"figure_01": settings})
    visualisation.figure_01(config.model_copy(update={"mean_shift": settings}), tmp_path / "figure_01.npz")
    with np.load(tmp_path / "figure_01.npz") as stored:
        assert stored["original"].shape == stored["tv"].shape == (2, 1, SIDE - 4, SIDE - 4)
