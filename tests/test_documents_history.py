"""Networks, measurements and tables of history on the smallest of images; figures; claims."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from denoiser_priors.config import Training, load_config
from denoiser_priors.documents import registry
from denoiser_priors.documents.claims import NotTested
from denoiser_priors.documents.history import (
    bases,
    curves,
    geometry,
    ladder,
    measures,
    measures_ladder,
    networks,
    plan,
    restoration,
    subjects,
    tables,
    timeline,
)
from denoiser_priors.documents.history.columns import GENERALIZATION, INDI, SLOPES
from denoiser_priors.documents.history.experiments import EXPERIMENTS
from denoiser_priors.errors import CheckpointError, ConfigError, ResultError
from denoiser_priors.files import write_arrays
from denoiser_priors.metrics import quality
from denoiser_priors.networks import zoo
from denoiser_priors.tables import read_csv, write_csv
from denoiser_priors.training.direct_iteration import Degradation, Restorer, mixture, training_times
from denoiser_priors.training.loop import train

TINY = {"network": {"blocks": 1, "width": 4}, "steps": 10, "batch": 4, "precision": "fp32"}
SETTINGS = {
    "pictures": {"dataset": "mine", "side": 48, "target": 1, "source": 0, "decomposition_steps": 2},
    "generalization": {
        "families": {"digits": {"dataset": "c-alpha", "side": 16, "sizes": [1, 3], "learner": TINY}},
        "samples": 3,
        "max_iterations": 4,
        "test_images": 4,
        "sigma": [0.1, 0.4],
    },
    "slopes": {"alphas": [2], "side": 16, "images": 8, "test_images": 4, "sigma": [0.1, 0.4], "learner": TINY},
    "disks": {"side": 16, "images": 8, "test_images": 2, "learner": TINY},
    "bases": {"images": 2, "vectors": [0, 3]},
    "shuffled": {"dataset": "c-alpha", "side": 16, "drawn": 8, "sigma": [0.1, 0.4], "learner": TINY},
    "indi": {"dataset": "mine", "patch": 16, "test_side": 32, "iterations": [1, 3], "shown": 1, "learner": TINY},
    "point_geometry": {
        "side": 16,
        "images": 8,
        "samples": 2,
        "max_iterations": 4,
        "sigma": [0.1, 0.4],
        "learner": TINY,
    },
    "timeline": {"datasets": ["mine"], "sigma": [25], "side": 32, "limit": 1, "lpips": False},
}


class Distance:
    """In the place of LPIPS: the mean squared difference."""

    minimum_size = 1

    def __init__(self, root):
        pass

    def __call__(self, x, reference):
        return (x - reference).square().flatten(1).mean(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("history")
    (root / "mine").mkdir()
    rows, columns = np.mgrid[:48, :48]
    for number in range(10):
        pixels = 128 + 60 * np.sin(rows / (3 + number)) + 60 * (columns > 20 + number)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "mine" / f"{number}.png")
    return root


@pytest.fixture
def config(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return configured()


def configured(**changes):
    # The folder's 2-D images stand for gray photographs.
    return load_config(
        overrides={
            "datasets": {"mine": {"images": "mine"}},
            "history": {**SETTINGS, **changes},
        }
    )


def trained(config, *names):
    """The networks of these names, trained where they are not yet."""
    for name in names:
        path = plan.weights(config, name)
        if not path.exists():
            number = list(plan.networks(config)).index(name)
            networks.train(config, path, path.with_name("training.csv"), part=number)


def stored(path):
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files if key != "about"}, json.loads(str(arrays["about"]))


def test_networks_have_names_settings_and_numbers(config):
    names = list(plan.networks(config))
    assert names[:2] == ["digits-1-a", "digits-1-b"]
    assert {"c-alpha-2", "disks", "faces-plain", "faces-shuffled", "indi", "surfaces-permuted"} < set(names)
    assert plan.network(config, 1) == "digits-1-b"
    with pytest.raises(ConfigError, match=rf"no part {len(names)}; the parts are 0 \(digits-1-a\)"):
        plan.network(config, len(names))


def test_slow_methods_have_jobs_of_their_own(config):
    assert [run.name for run in plan.runs(config)][:3] == ["fast", "ksvd", "bm3d"]
    split = configured(timeline={**SETTINGS["timeline"], "split": True, "sigma": [15, 50]})
    assert [run.name for run in plan.runs(split)][1:5] == ["ksvd-15", "ksvd-50", "bm3d-15", "bm3d-50"]


def test_halves_are_disjoint_and_smaller_sets_are_part_of_larger_ones(config):
    source = {"dataset": "mine", "test": None, "reduce": 2, "side": None, "alpha": 2, "groups": 1}
    (first, second), test = subjects.divided(config, source)
    groups = [{image.name for image in part} for part in (first, second, test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10
    assert first[0].pixels.shape == (24, 24, 1)
    one, three = (subjects.subject(config, f"digits-{n}-a").train for n in (1, 3))
    assert np.array_equal(one[0].pixels, three[0].pixels)
    other = subjects.subject(config, "digits-3-b").train
    assert not any(np.array_equal(a.pixels, b.pixels) for a in three for b in other)


def test_images_of_one_person_stay_in_one_half(config):
    source = {"dataset": "mine", "test": None, "reduce": 1, "side": None, "alpha": 2, "groups": 3}
    (first, second), _ = subjects.divided(config, source)
    numbers = [sorted(int(image.name) for image in half) for half in (first, second)]
    assert numbers == [[0, 1, 2, 3, 4, 5], [6, 7, 8]]


def test_more_images_than_there_are_is_an_error_that_counts(config):
    family = {**SETTINGS["generalization"]["families"]["digits"], "dataset": "mine", "side": 16, "sizes": [1, 40]}
    large = configured(generalization={**SETTINGS["generalization"], "families": {"digits": family}})
    with pytest.raises(ConfigError, match="digits-40-a of history needs 40 training images and its half has 5"):
        subjects.subject(large, "digits-40-a")


def test_means_over_squares(config):
    source = {"dataset": "mine", "test": None, "reduce": 2, "side": 20}
    images, _ = subjects.loaded(config, source)
    whole = np.asarray(Image.open(f"mine/{images[0].name}.png")).astype(float)
    means = whole.reshape(24, 2, 24, 2).mean((1, 3))[2:22, 2:22]
    assert np.abs(images[0].pixels[..., 0] - means).max() <= 0.5


def test_permuting_is_undone_by_the_inverse():
    images = np.random.default_rng(0).random((2, 3, 5, 5))
    order = np.random.default_rng(1).permutation(25)
    assert np.array_equal(subjects.permuted(subjects.permuted(images, order), np.argsort(order)), images)


def test_the_networks_of_shuffled_images_see_the_same_pixels_in_another_order(config):
    plain, shuffled = (subjects.subject(config, f"faces-{kind}") for kind in ("plain", "shuffled"))
    a, b = (subjects.stack(each.train) for each in (plain, shuffled))
    assert np.array_equal(subjects.permuted(a, shuffled.permutation), b)
    assert not np.array_equal(a, b)


def test_training_twins_start_alike_and_differ_in_their_images(config):
    trained(config, "digits-3-a", "digits-3-b")
    first, second = (zoo.load(plan.weights(config, f"digits-3-{half}")) for half in "ab")
    assert first.metadata["seed"] == second.metadata["seed"]
    assert not torch.equal(first.first.weight, second.first.weight)
    log = read_csv(plan.weights(config, "digits-3-a").with_name("training.csv"))
    assert log["step"].iloc[-1] == 10


def test_a_network_that_is_not_trained_says_how_to_make_it(config):
    with pytest.raises(CheckpointError, match="is not trained yet"):
        networks.load(configured(slopes={**SETTINGS["slopes"], "alphas": [7]}), "c-alpha-7")


def test_samples_of_twins_start_from_the_same_images(config):
    trained(config, "digits-1-a", "digits-1-b")
    out, table = (plan.folder(config) / "generalization" / f"digits-1.{suffix}" for suffix in ("npz", "csv"))
    inputs = ladder.generalization(config, out, table, part=0)
    assert inputs == [plan.weights(config, "digits-1-a"), plan.weights(config, "digits-1-b")]
    arrays, about = stored(out)
    assert arrays["samples_a"].shape == (3, 1, 16, 16)
    assert np.array_equal(arrays["nearest_a"][0], arrays["nearest_a"][1])
    assert np.allclose(arrays["own_a"][:3], ladder.similarities(arrays["samples_a"], arrays["nearest_a"][:1])[:, 0])
    assert about["size"] == 1
    model = networks.load(config, "digits-1-a")
    again = ladder.samples(config, plan.rung(config, 0), model, (1, 16, 16), about["mean"])
    assert np.allclose(again, arrays["samples_a"], atol=1e-5)
    rows = read_csv(table)
    assert set(rows["split"]) == {"train", "test"}
    assert len(rows) == 8


def test_a_perfect_memory_is_all_similarity_to_its_own_half(config, monkeypatch):
    class Memory(torch.nn.Module):
        channels = 1

        def __init__(self, image):
            super().__init__()
            self.image = torch.from_numpy(image)

        def forward(self, x):
            return self.image.expand_as(x).contiguous()

    halves, _ = subjects.divided(config, plan.rung(config, 0).settings.model_dump(mode="json"))
    images = {f"digits-1-{'ab'[k]}": subjects.stack(half[:1]) for k, half in enumerate(halves)}
    monkeypatch.setattr(networks, "load", lambda config, name: Memory(images[name]))
    out = plan.folder(config) / "memory.npz"
    ladder.generalization(config, out, out.with_suffix(".csv"), part=0)
    arrays, _ = stored(out)
    assert np.allclose(arrays["own_a"], 1, atol=1e-4)
    assert np.allclose(arrays["own_b"], 1, atol=1e-4)
    between = ladder.similarities(*images.values())[0, 0]
    assert np.allclose(arrays["between"], between, atol=1e-4)
    assert np.allclose(arrays["other_a"], between, atol=1e-4)


def test_bases_hold_the_identities_of_a_bias_free_network(config):
    trained(config, "disks", "c-alpha-2")
    for part, name in ((1, "c-alpha"), (2, "disks")):
        out = plan.folder(config) / "bases" / f"{name}.npz"
        bases.bases(config, out, part=part)
        arrays, about = stored(out)
        assert about["subject"] == name
        assert arrays["homogeneity"].max() < 1e-4
        assert arrays["values"].shape == (2, 256)
        assert (np.diff(arrays["values"]) <= 1e-6).all()
        assert np.allclose(arrays["values"].sum(1), arrays["trace"], rtol=1e-3)
        assert arrays["vectors"].shape == (2, 1, 16, 16)
        assert np.allclose(np.square(arrays["vectors"]).sum((1, 2, 3)), 1, atol=1e-4)
        clean = subjects.stack(subjects.subject(config, about["network"]).test[:2])
        assert np.array_equal(arrays["clean"], clean[clean.std((1, 2, 3)).argmax()])
        low, high = (level / 255 for level in plan.networks(config)[about["network"]]["learner"]["noise"])
        assert (arrays["curve_sigma"] >= 0.999 * low).all()
        assert (arrays["curve_sigma"] <= 1.001 * high).all()
    assert 0 <= arrays["tangent"].min() <= arrays["tangent"].max() <= 1
    with pytest.raises(ConfigError, match="no part 3"):
        bases.bases(config, out, part=3)


def test_sure_is_the_error_in_the_mean(monkeypatch):
    # f(y) = y / 2: the error is known, and the estimate needs no clean image.
    generator = np.random.default_rng(0)
    clean, sigma = generator.random((200, 64)), 0.3
    y = clean + sigma * generator.standard_normal(clean.shape)
    estimate = 2 * sigma**2 * 32 + np.square(y / 2).sum(1) - sigma**2 * 64
    assert estimate.mean() == pytest.approx(np.square(y / 2 - clean).sum(1).mean(), rel=0.02)


def test_shuffled_results_are_put_back_in_order(config):
    trained(config, "faces-plain", "faces-shuffled")
    out = plan.folder(config) / "shuffled.npz"
    bases.shuffled(config, out)
    arrays, _ = stored(out)
    order = subjects.subject(config, "faces-shuffled").permutation
    assert np.array_equal(subjects.permuted(arrays["vectors_shuffled"], order), arrays["raw"])
    # Ten steps change little: the estimate is still about the noisy image, in its own order.
    assert np.corrcoef(arrays["denoised_shuffled"].ravel(), arrays["noisy"].ravel())[0, 1] > 0.9


def test_slopes_are_those_of_the_curves(config):
    trained(config, "c-alpha-2")
    out = plan.folder(config) / "slopes" / "2.csv"
    bases.slopes(config, out, part=0)
    tables.table_slopes(config, *(plan.folder(config) / f"table_slopes.{suffix}" for suffix in ("csv", "md")))
    table = read_csv(plan.folder(config) / "table_slopes.csv", SLOPES)
    curve = read_csv(out)
    test = curve[curve["split"] == "test"].sort_values("sigma")
    low, high = test.iloc[0], test.iloc[-1]
    expected = (high["psnr"] - low["psnr"]) / (high["input_psnr"] - low["input_psnr"])
    assert table["slope"].iloc[0] == pytest.approx(expected, rel=1e-4)
    assert table["theory"].iloc[0] == pytest.approx(2 / 3, rel=1e-5)
    assert table["stated"].iloc[0] == 0.61


def test_direct_iteration_is_trained_resumed_and_measured(config, monkeypatch):
    monkeypatch.setattr(quality, "Lpips", Distance)
    trained(config, "indi")
    out, table = (plan.folder(config) / f"indi.{suffix}" for suffix in ("npz", "csv"))
    restoration.indi(config, out, table)
    arrays, about = stored(out)
    assert arrays["restored"].shape == (2, 1, 1, 32, 32)
    assert arrays["steps"].tolist() == [1, 3]
    rows = read_csv(table, INDI)
    assert rows.groupby("image").size().eq(3).all()
    given = rows[(rows["steps"] == 0) & (rows["image"] == about["images"][0])].iloc[0]
    error = np.square(np.clip(arrays["degraded"][0], 0, 1) - arrays["clean"][0]).mean()
    assert given["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)


def test_training_times_and_mixtures_are_functions_of_the_step():
    spec = Restorer(
        name="x", architecture="timed-pyramid", bias=True, noise_range=(0, 255), dataset="x", recipe="quick",
        network={"blocks": 1, "width": 4}, training=Training(patch=16), degradation=Degradation(factor=4, noise=0.1),
    )  # fmt: skip
    clean = torch.rand(6, 1, 16, 16)
    assert torch.equal(mixture(spec, 3, clean), mixture(spec, 3, clean))
    assert not torch.equal(mixture(spec, 3, clean), mixture(spec, 4, clean))
    times = training_times(spec, 3, 6)
    off = (mixture(spec, 3, clean) - clean).flatten(1).norm(dim=1)
    assert (off.argsort() == times.argsort()).float().mean() > 0.5
    assert training_times(spec, 0, 4000).mean().item() == pytest.approx(0.5, abs=0.02)


def test_a_restorer_learns_what_the_time_tells(tmp_path):
    from denoiser_priors.data.images import Image as Picture

    pixels = [np.full((16, 16, 1), value, np.uint8) for value in (0, 255)]
    images = [Picture(str(i), each) for i, each in enumerate(pixels)]
    training = Training(patch=16, batch=8, epochs=4, steps_per_epoch=40, lr=3e-3, precision="fp32", scales=(1.0,))
    spec = Restorer(
        name="x", architecture="timed-pyramid", bias=True, noise_range=(0, 255), dataset="x", recipe="quick",
        network={"blocks": 1, "width": 4}, training=training, degradation=Degradation(factor=4, noise=0.5),
    )  # fmt: skip
    out = tmp_path / "w.safetensors"
    summary = train(spec, images, images, out=out, log=tmp_path / "l.csv", cache=tmp_path / "c", data_key="k")
    assert summary["kept"]["validation_psnr"] > 12
    network = zoo.fold(zoo.load(out))
    still = network(torch.full((1, 1, 16, 16), 0.5), sigma=torch.tensor([0.01]))
    assert (still - 0.5).abs().mean() < 0.2


def test_point_geometry_puts_samples_back_in_order(config):
    trained(config, "surfaces-plain", "surfaces-permuted")
    out = plan.folder(config) / "point_geometry.npz"
    geometry.point_geometry(config, out)
    arrays, _ = stored(out)
    assert arrays["samples_plain"].shape == arrays["samples_permuted"].shape == (2, 3, 16, 16)
    assert arrays["roughness_training"].max() < 0.5
    found = subjects.subject(config, "surfaces-permuted")
    back = subjects.permuted(subjects.stack(found.train), np.argsort(found.permutation))
    assert np.allclose(back, subjects.stack(subjects.subject(config, "surfaces-plain").train))


def test_every_fast_method_improves_on_the_noisy_image_and_is_timed(config):
    run = plan.runs(config)[0]
    path = plan.run_file(config, run)
    timeline.timeline(config, path, part=0)
    rows = read_csv(path, timeline.COLUMNS, text=tables.TEXT)
    assert rows["denoiser"].nunique() == len(run.methods)
    assert (rows["psnr"] > rows["input_psnr"]).all()
    assert (rows["seconds"] > 0).all()
    assert set(rows["protocol"]) == {"kair"}


def test_seconds_are_counted_per_image():
    timed = timeline.Timed(lambda noisy, sigma: noisy)
    timed.at(25)(torch.zeros(3, 1, 4, 4))
    assert len(timed.seconds[25]) == 3
    assert len(set(timed.seconds[25])) == 1


def rows_of(denoiser, gain, dataset="bsd68", sigma=25.0):
    known = {"denoiser": denoiser, "dataset": dataset, "sigma": sigma, "draw": 0, "noise": "gaussian"}
    known |= {"protocol": "kair", "precision": "fp32", "processor": "x", "height": 8, "width": 8, "seconds": 0.5}
    images = [{"image": str(i), "input_psnr": 20.0, "psnr": 20 + gain + i, "ssim": 0.5, "lpips": 0.1} for i in range(3)]
    return pd.DataFrame([{**known, **image, "input_ssim": 0.2} for image in images])


def test_published_numbers_stand_beside_and_apart():
    rows = pd.concat([rows_of("bm3d", 7.5), rows_of("tv", -0.5)])
    table = tables.timeline(rows, {"tv": "total variation", "bm3d": "BM3D"}, {"tv": 1992, "bm3d": 2007})
    ours = table[table["source"] == "measured"].set_index("method")
    assert ours.index.tolist() == ["total variation", "BM3D"]
    assert ours.loc["BM3D", "difference"] == pytest.approx(28.5 - 28.57)
    assert np.isnan(ours.loc["total variation", "difference"])
    assert ours.loc["total variation", "gain_worst"] == pytest.approx(-0.5)
    assert ours["images"].eq(3).all()
    quoted = table[table["source"] == "quoted"]
    assert set(quoted["dataset"]) == {"bsd68"}
    assert quoted["denoiser"].isna().all()


def ladder_table(results, differences):
    rows = []
    for size, difference in differences.items():
        row = dict.fromkeys(GENERALIZATION, 0.5) | {"family": "digits", "dataset": "mnist", "size": size, "samples": 4}
        rows.append(row | {"own": 0.6, "between": 0.6 + difference, "difference": difference})
    write_csv(pd.DataFrame(rows), results / "history" / "table_generalization.csv")


def test_the_size_at_which_the_order_reverses_is_interpolated_or_continued(tmp_path):
    ladder_table(tmp_path, {1: -0.4, 100: -0.2, 10_000: 0.2})
    found = measures_ladder.order_reversed(tmp_path)
    assert found.value == pytest.approx(0.2)
    assert "reverses at about N = 1,000" in found.detail
    assert measures_ladder.memorised(tmp_path).value == pytest.approx(0.4)
    ladder_table(tmp_path, {10: -0.4, 100: -0.2})
    assert "not reversed up to N = 100; by its last two points it would at about N = 1,000" in (
        measures_ladder.order_reversed(tmp_path).detail
    )
    ladder_table(tmp_path, {10: -0.2, 100: -0.4})
    assert "nor nearer" in measures_ladder.order_reversed(tmp_path).detail


def test_a_claim_about_sizes_that_there_are_not_is_not_tested(tmp_path):
    ladder_table(tmp_path, {1: -0.4, 100: -0.2})
    with pytest.raises(NotTested, match="on 10 and on 1,000 images"):
        measures_ladder.transition(tmp_path, low=10, high=1000)


def test_every_claim_has_a_measure_and_reads_what_is_made(config):
    made = {f"history/{name}.npz" for name in plan.EXACT} | {"history/indi.csv", "history/indi.npz"}
    made |= {f"history/bases/{name}.npz" for name in plan.SUBJECTS}
    made |= {"history/shuffled.npz", "history/point_geometry.npz"}
    made |= {file for figure in registry.figures("history", "table").values() for file in figure.writes}
    figures = registry.figures("history")
    for claim in registry.claims("history"):
        assert claim.measure in measures.MEASURES
        assert claim.figure in figures
        assert set(claim.reads) <= made
    ids = {claim.id.split("-")[0] for claim in registry.claims("history")}
    assert {"GA02", "GA03", "GA04", "GA05", "GA06", "GA07", "GA18", "GA19", "GA20", "GA23", "GA27"} <= ids


def test_every_figure_is_drawn_from_results_alone_and_twice_the_same(config, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(quality, "Lpips", Distance)
    from denoiser_priors.documents.history import exact

    monkeypatch.setattr(exact, "learned", lambda config, name: lambda image: 0.9 * image)
    trained(config, *plan.networks(config))
    room = plan.folder(config)
    for rung in plan.rungs(config):
        out = room / "generalization" / f"{rung.name}.npz"
        ladder.generalization(config, out, out.with_suffix(".csv"), part=rung.number)
    for part, name in enumerate(plan.SUBJECTS):
        bases.bases(config, room / "bases" / f"{name}.npz", part=part)
    bases.slopes(config, room / "slopes" / "2.csv", part=0)
    bases.shuffled(config, room / "shuffled.npz")
    restoration.indi(config, room / "indi.npz", room / "indi.csv")
    geometry.point_geometry(config, room / "point_geometry.npz")
    for name in plan.EXACT:
        EXPERIMENTS[name](config, room / f"{name}.npz")
    for name in ("table_generalization", "table_slopes"):
        EXPERIMENTS[name](config, room / f"{name}.csv", room / f"{name}.md")
    for name in registry.figures("history", "figure"):
        files = [tmp_path / f"{name}-{i}.png" for i in range(2)]
        for file in files:
            registry.draw("history", name, folder / "results", [file])
        assert files[0].read_bytes() == files[1].read_bytes()
        assert np.asarray(Image.open(files[0])).std() > 5
    assert measures.reconstruction(folder / "results").value < 1e-9
    assert measures.tweedie(folder / "results").value < 1e-5
    assert measures.homogeneity(folder / "results").value < 1e-3
    for claim in registry.claims("history"):
        if claim.reads == ("history/point_geometry.npz",):
            assert np.isfinite(measures.MEASURES[claim.measure](folder / "results").value)


def test_samples_are_as_near_to_training_surfaces_as_new_surfaces_of_the_family(tmp_path):
    from denoiser_priors.data.surfaces import surfaces

    training, new = surfaces(64, 16, seed=0), surfaces(3, 16, seed=1)
    near = ladder.similarities(new, training).max(1)
    out = tmp_path / "history" / "point_geometry.npz"
    out.parent.mkdir()
    write_arrays(out, {}, nearest_plain=near, nearest_test=near, samples_plain=new)
    found = measures.sampled_shapes(tmp_path)
    assert found.value == pytest.approx(np.median(near), abs=1e-6)
    assert "3 samples" in found.detail
    assert near.min() > 0.9


def test_a_missing_result_is_named(tmp_path):
    for name in registry.figures("history", "figure"):
        with pytest.raises(ResultError, match="history"):
            registry.draw("history", name, tmp_path, [tmp_path / "x.png"])


def test_curves_are_of_all_errors_together():
    clean = np.random.default_rng(0).random((3, 1, 8, 8)).astype(np.float32)
    (row,) = curves.curve(torch.nn.Identity(), clean, [0.1], seed=0, label="x")
    error = np.square(curves.noisy(clean, 0.1, seed=0, label="x") - clean).mean()
    assert row["psnr"] == row["input_psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-4)
