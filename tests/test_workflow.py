"""The workflow plans what it should: counts of jobs for each target, and after a change only what depends on it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from denoiser_priors.config import load_config
from denoiser_priors.documents import registry
from denoiser_priors.documents.history.plan import EXACT
from denoiser_priors.documents.implicit_prior import plan

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "tests" / "config" / "smoke.yaml"
PLOTS = {f"bias_free_{name}": 1 for name in registry.figures("bias_free", "figure")}
PRIOR_PLOTS = {f"implicit_prior_{name}": 1 for name in registry.figures("implicit_prior", "figure")}
PRIOR_TABLES = {f"implicit_prior_{name}": 1 for name in registry.figures("implicit_prior", "table")}
POSTERIOR_PLOTS = {f"stochastic_denoising_{name}": 1 for name in registry.figures("stochastic_denoising", "figure")}
POSTERIOR_TABLES = {f"stochastic_denoising_{name}": 1 for name in registry.figures("stochastic_denoising", "table")}
MEAN_SHIFT = {f"mean_shift_{name}": 1 for name in registry.figures("mean_shift")}
HISTORY = {f"history_{name}": 1 for name in registry.figures("history")}
# The report shows everything, so it is written anew after any change (tests/test_report_workflow.py).
COLLECTORS = ("all", "report", "write_report", *registry.documents())


def snakemake(folder, *arguments, configfiles=(SMOKE,), overlay=None, package=None, patience=120):
    """Run Snakemake on the checkout with `folder` as its working directory; returns status and output."""
    if overlay:
        (folder / "overlay.yaml").write_text(overlay, encoding="utf-8")
        configfiles = [*configfiles, folder / "overlay.yaml"]
    command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--cores", "2", "--configfile", ROOT / "config" / "config.yaml", *configfiles]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    if package:
        environment["PYTHONPATH"] = str(package)
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, cwd=folder, timeout=patience
    )
    return done.returncode, done.stdout + done.stderr


def planned(folder, *targets, **settings):
    """How often each rule would run, by name, without the collectors."""
    status, text = snakemake(folder, *targets, "--dry-run", **settings)
    assert status == 0, text
    if "Nothing to be done" in text:
        return {}
    table = text.split("Job stats:", 1)[1].split("total", 1)[0]
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    return {name: count for name, count in counts.items() if name not in COLLECTORS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A working directory in which every step of the smoke preset seems to have run."""
    folder = tmp_path_factory.mktemp("finished")
    status, text = snakemake(folder, "--summary")
    assert status == 0, text
    outputs = [line.split("\t")[0] for line in text.splitlines() if "\t" in line][1:]
    for name in outputs:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    status, text = snakemake(folder, "--touch", "--forceall")
    assert status == 0, text
    return folder


# --- what a target needs


def test_first_taste_fetches_once_trains_two_networks_and_draws(tmp_path):
    assert planned(tmp_path, "bias_free_figure_02", configfiles=()) == {
        "fetch_dataset": 1,
        "train_denoiser": 2,
        "compute_bias_free_figure_02": 1,
        "bias_free_figure_02": 1,
    }
    assert not (tmp_path / "results").exists()


def test_figure_20_trains_its_own_two_networks(tmp_path):
    assert planned(tmp_path, "bias_free_figure_20", configfiles=()) == {
        "fetch_dataset": 1,
        "train_denoiser": 2,
        "compute_bias_free_restoration": 1,
        "bias_free_figure_20": 1,
    }


def test_everything_of_the_smoke_preset(tmp_path):
    assert planned(tmp_path) == {
        # Photographs, and the backbone of LPIPS, which figure_indi of history is about.
        "fetch_dataset": 2,
        "train_denoiser": 16,
        "describe_denoisers": 1,
        "evaluate_denoiser": 22,
        "compute_bias_free_figure_02": 1,
        "compute_bias_free_restoration": 1,
        "compute_bias_free_net_bias": 4,
        "compute_bias_free_subspaces": 4,
        "compute_bias_free_filters": 1,
        "compute_bias_free_decomposition": 1,
        "compute_bias_free_residuals": 10,
        "bias_free_table_residuals": 1,
        "bias_free_table_net_bias": 1,
        "bias_free_table_subspaces": 1,
        "bias_free_table_quality": 1,
        "bias_free_table_slopes": 1,
        "bias_free_table_homogeneity": 1,
        "score": 1,
        **PLOTS,
        "compute_implicit_prior_synthesis": 1,
        "compute_implicit_prior_digits": 1,
        "compute_implicit_prior_manifold": 1,
        "compute_implicit_prior_examples": 6,
        "compute_implicit_prior_restorations": 4,
        **PRIOR_PLOTS,
        **PRIOR_TABLES,
        "compute_stochastic_denoising_samples": 1,
        "compute_stochastic_denoising_intermediates": 1,
        "compute_stochastic_denoising_inpainting_rows": 1,
        "compute_stochastic_denoising_inpainting_text": 1,
        "compute_stochastic_denoising_speed": 1,
        **POSTERIOR_PLOTS,
        **POSTERIOR_TABLES,
        "compute_mean_shift_restorations": 7,
        "compute_mean_shift_figure_01": 1,
        **MEAN_SHIFT,
        "train_history_network": 11,
        "compute_history_generalization": 2,
        "compute_history_slopes": 1,
        "compute_history_bases": 3,
        "compute_history_timeline": 5,
        **{f"compute_history_{name}": 1 for name in (*EXACT, "shuffled", "indi", "point_geometry")},
        **HISTORY,
    }


def test_the_released_preset_fetches_what_is_released_and_trains_the_rest(tmp_path):
    counts = planned(tmp_path, configfiles=[ROOT / "config" / "released.yaml"])
    # Four ranges, with and without bias, the gray, the colour and the digits' network of implicit_prior, and the
    # autoencoder of mean_shift.
    assert counts["fetch_weights"] == 3 * 8 + 3 + 1
    # The DenseNets, the networks for blurred images, those of uniform noise, and that of faces.
    assert counts["train_denoiser"] == 8 + 2 + 2 + 1
    # Networks of uniform noise are tested under uniform noise alone, those for blurred images for figure 20 alone.
    assert counts["evaluate_denoiser"] == 2 * (4 * 8 + 1) + 2
    assert counts["compute_bias_free_net_bias"] == 4 * 3
    # Fifty patches for DnCNN and ten for each of the others, ten to a job.
    assert counts["compute_bias_free_subspaces"] == 5 + 3
    # Two sets of deblurring at four noise levels in three parts, comparisons, pairs, two sets at four factors, mosaics.
    assert counts["compute_mean_shift_restorations"] == 2 * 4 * 3 + 4 + 8 + 2 * 4 + 1
    # Two settings in each of four tables.
    assert counts["compute_implicit_prior_restorations"] == 8


def test_samples_of_photographs_need_one_network_and_no_images(tmp_path):
    assert planned(tmp_path, "implicit_prior_figure_11", configfiles=()) == {
        "train_denoiser": 1,
        "fetch_dataset": 1,
        "compute_implicit_prior_synthesis": 1,
        "implicit_prior_figure_11": 1,
    }
    assert planned(tmp_path, "implicit_prior_figure_10", "implicit_prior_figure_09", configfiles=()) == {
        "compute_implicit_prior_manifold": 1,
        "implicit_prior_figure_09": 1,
        "implicit_prior_figure_10": 1,
    }


def test_without_a_colour_denoiser_everything_but_its_table_is_made(tmp_path):
    counts = planned(tmp_path, overlay="denoisers: {bfcnn-color: null}")
    assert set(PRIOR_PLOTS) <= set(counts)
    assert set(PRIOR_TABLES) - set(counts) == {"implicit_prior_table_1"}
    assert counts["compute_implicit_prior_restorations"] == 3
    assert counts["score"] == 1


def test_every_figure_and_table_is_a_target_and_so_is_its_path(tmp_path):
    documents = ("bias_free", "implicit_prior")
    targets = [figure.target for document in documents for figure in registry.figures(document).values()]
    paths = ("figures/bias_free/figure_11.pdf", "results/implicit_prior/table_1.md")
    counts = planned(tmp_path, *targets, *documents, *paths)
    assert set(targets) <= set(counts)
    assert "score" not in counts


def test_a_configuration_without_twins_makes_everything_but_figure_02(tmp_path):
    families = "families: {dncnn: {bias: [false]}, rcnn: null, unet: null, densenet: null, dncnn-uniform: null}\n"
    none = "denoisers: {dncnn-bf-blur: null, dncnn-cnn-blur: null, bfcnn-color: null, dae-color: null}"
    counts = planned(tmp_path, overlay=families + none)
    assert not {"bias_free_figure_02", "bias_free_figure_20", "compute_bias_free_restoration"} & set(counts)
    assert (counts["train_denoiser"], counts["bias_free_figure_03"], counts["score"]) == (2, 1, 1)


def test_a_folder_of_the_users_own_needs_no_download(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    own = "datasets: {mine: {images: photos}}\nbias_free: {dataset: mine}\n"
    parts = [f"{part}: {{dataset: mine, images: null}}" for part in ("examples", *plan.TASKS)]
    own += f"implicit_prior: {{{', '.join(parts)}}}\n"
    own += "stochastic_denoising: {sets: {photographs: {dataset: mine}}}\n"
    tasks = [f"{task}: {{photographs: {{dataset: mine}}}}" for task in ("deblurring", "blind", "super_resolution")]
    tasks += ["demosaicing: {photographs: {dataset: mine}}", "figure_01: {dataset: mine}"]
    own += f"mean_shift: {{{', '.join(tasks)}}}\n"
    families = "families: {dncnn: {dataset: mine}, rcnn: null, unet: null, densenet: null, dncnn-uniform: null}\n"
    restorers = "denoisers: {dncnn-bf-blur: null, dncnn-cnn-blur: null, "
    restorers += "bfcnn-color: {dataset: mine}, dae-color: {dataset: mine}}\n"
    own += "history: {pictures: {dataset: mine}, timeline: {datasets: [mine]}, indi: {dataset: mine}}\n"
    counts = planned(tmp_path, overlay=own + families + restorers)
    # No images; the backbone of LPIPS alone.
    assert counts["fetch_dataset"] == 1
    assert counts["evaluate_denoiser"] == 8


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("famlies: {}", "famlies: unknown key; did you mean 'families'"),
        ("bias_free: {sigma: [-1]}", "bias_free.sigma.0"),
        ("bias_free: {dataset: bsd86}", "did you mean 'bsd68'"),
    ],
)
def test_a_wrong_configuration_is_one_message(tmp_path, overlay, message):
    status, text = snakemake(tmp_path, "--dry-run", overlay=overlay)
    assert status != 0
    assert message in text
    assert "Traceback" not in text


def test_the_workflow_reads_its_files_as_the_command_does(tmp_path):
    """Also where one file replaces the recipe that a lower one amends, and with values of the command line on top."""
    lower = tmp_path / "lower.yaml"
    lower.write_text("families: {dncnn: {network: {depth: 7}}}\ndenoisers: {dae-color: {training: {epochs: 77}}}\n")
    status, text = snakemake(
        tmp_path, "--touch", configfiles=(lower, SMOKE, "--config", "seed=3", 'bias_free={"draws": 2}')
    )
    assert status == 0, text
    written = load_config([tmp_path / "results" / "config.yaml"])
    files = [ROOT / "config" / "config.yaml", lower, SMOKE]
    assert written == load_config(files, {"seed": "3", "bias_free": {"draws": "2"}})
    assert written.denoisers["dae-color"].training == {}
    assert written.seed == 3


# --- what a change reruns


def test_a_second_run_has_nothing_to_do(finished):
    assert planned(finished) == {}


def test_a_deleted_figure_is_redrawn_and_nothing_else(finished):
    figure = finished / "figures" / "bias_free" / "figure_11.png"
    figure.unlink()
    try:
        assert planned(finished, "bias_free_figure_11") == {"bias_free_figure_11": 1}
        assert planned(finished) == {"bias_free_figure_11": 1}
    finally:
        figure.touch()


def drawn_from(*results, document="bias_free"):
    """The figures of a document that are drawn from any of these files."""
    wanted = {f"{document}/{name}" for name in results}
    return {f.target: 1 for f in registry.figures(document, "figure").values() if wanted & set(f.reads)}


def examples(*tasks):
    """The figures of implicit_prior that show these tasks."""
    return drawn_from(*(f"examples_{task}.npz" for task in tasks), document="implicit_prior")


FROM_SAMPLES = drawn_from("synthesis.npz", "synthesis.csv", document="implicit_prior")
FROM_DIGITS = drawn_from("digits.npz", document="implicit_prior")
FROM_CURVE = drawn_from("manifold.npz", document="implicit_prior")
FROM_HOLES = examples("inpainting", "inpainting_samples")
FROM_EXAMPLES = examples(*plan.EXAMPLES)


FROM_NET_BIAS = {"bias_free_table_net_bias": 1, **drawn_from("net_bias.csv")}
FROM_JACOBIANS = {
    "bias_free_table_subspaces": 1,
    **drawn_from("subspaces.csv", "spectra.csv", "singular_vectors.npz"),
}
FROM_FILTERS = {"compute_bias_free_filters": 1, **drawn_from("filters.npz")}
FROM_DECOMPOSITION = {"compute_bias_free_decomposition": 1, **drawn_from("decomposition.npz")}
FROM_RESIDUALS = {"compute_bias_free_residuals": 10, "bias_free_table_residuals": 1}
FROM_RESIDUAL_TESTS = {
    **FROM_RESIDUALS,
    "compute_stochastic_denoising_samples": 1,
    "compute_stochastic_denoising_speed": 1,
    **POSTERIOR_PLOTS,
    **POSTERIOR_TABLES,
    "score": 1,
}
FROM_TABLE = {
    "bias_free_table_quality": 1,
    "bias_free_table_slopes": 1,
    "score": 1,
    **{
        figure.target: 1
        for figure in registry.figures("bias_free", "figure").values()
        if "bias_free/table_quality_summary.csv" in figure.reads
    },
}


@pytest.mark.parametrize(
    ("overlay", "rerun"),
    [
        ("bias_free: {draws: 2}", {"evaluate_denoiser": 22, **FROM_TABLE}),
        ("bias_free: {uniform_sigma: [70]}", {"evaluate_denoiser": 12, **FROM_TABLE}),
        (
            "bias_free: {figure_02: {sigma_test: 70}}",
            {"compute_bias_free_figure_02": 1, "bias_free_figure_02": 1, "score": 1},
        ),
        (
            "bias_free: {figure_20: {blur: [0, 1]}}",
            {"compute_bias_free_restoration": 1, "bias_free_figure_20": 1, "score": 1},
        ),
        (
            "families: {unet: {training: {lr: 0.01}}}",
            {
                "train_denoiser": 2,
                "evaluate_denoiser": 4,
                "describe_denoisers": 0,
                "bias_free_table_homogeneity": 1,
                "compute_bias_free_net_bias": 1,
                "compute_bias_free_subspaces": 1,
                "compute_bias_free_residuals": 2,
                "bias_free_table_residuals": 1,
                **FROM_TABLE,
                **FROM_NET_BIAS,
                **FROM_JACOBIANS,
                **FROM_FILTERS,
                **FROM_DECOMPOSITION,
            },
        ),
        ("bias_free: {figure_08: {patches: 3}}", {"compute_bias_free_net_bias": 3, "score": 1, **FROM_NET_BIAS}),
        ("bias_free: {subspaces: {sigma: [10]}}", {"compute_bias_free_subspaces": 4, "score": 1, **FROM_JACOBIANS}),
        ("bias_free: {filters: {sigma_04: [20]}}", FROM_FILTERS),
        ("bias_free: {residuals: {side: 64}}", FROM_RESIDUALS),
        ("bias_free: {decomposition: {image: 1}}", FROM_DECOMPOSITION),
        (
            "implicit_prior: {synthesis: {side: 20}}",
            {"compute_implicit_prior_synthesis": 1, "score": 1, **FROM_SAMPLES},
        ),
        ("implicit_prior: {digits: {samples: 3}}", {"compute_implicit_prior_digits": 1, "score": 1, **FROM_DIGITS}),
        (
            "implicit_prior: {examples: {hole: 20}}",
            {"compute_implicit_prior_examples": 2, "score": 1, **FROM_HOLES},
        ),
        (
            "implicit_prior: {table_2: {samples: 3}}",
            {"compute_implicit_prior_restorations": 1, "implicit_prior_table_2": 1, "score": 1},
        ),
        (
            "implicit_prior: {beta: 0.02}",
            {
                "compute_implicit_prior_examples": 6,
                "compute_implicit_prior_restorations": 4,
                "score": 1,
                **PRIOR_TABLES,
                **FROM_EXAMPLES,
            },
        ),
        ("implicit_prior: {memory_mb: 500}", {}),
        ("mirror: elsewhere", {}),
    ],
)
def test_a_changed_setting_reruns_what_depends_on_it(finished, overlay, rerun):
    counts = planned(finished, overlay=overlay)
    assert counts == {name: count for name, count in rerun.items() if count}


def test_after_an_interrupted_training_nothing_old_is_taken_for_current(finished, tmp_path):
    """Snakemake removes the weights of a training that is stopped; what the former weights gave is still there."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    overlay = "families: {unet: {training: {lr: 0.01}}}"
    undisturbed = planned(finished, overlay=overlay)
    weights = list((folder / "results" / "denoisers").glob("unet-*/weights.safetensors"))
    assert len(weights) == undisturbed["train_denoiser"] == 2
    for path in weights:
        path.unlink()
    assert planned(folder, overlay=overlay) == undisturbed


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("documents/bias_free/figures.py", "CHANGED = 1", PLOTS),
        ("documents/bias_free/figures.py", "# A comment.", {}),
        ("documents/implicit_prior/figures.py", "CHANGED = 1", PRIOR_PLOTS),
        ("documents/implicit_prior/tables.py", "CHANGED = 1", {"score": 1, **PRIOR_TABLES}),
        ("samplers/manifold.py", "CHANGED = 1", {"compute_implicit_prior_manifold": 1, "score": 1, **FROM_CURVE}),
        ("documents/claims.py", "CHANGED = 1", {"score": 1}),
        (
            "analysis/subspace.py",
            "CHANGED = 1",
            {
                "compute_bias_free_net_bias": 4,
                "compute_bias_free_subspaces": 4,
                "score": 1,
                **FROM_NET_BIAS,
                **FROM_JACOBIANS,
                **FROM_FILTERS,
                **FROM_DECOMPOSITION,
            },
        ),
        ("metrics/residual.py", "CHANGED = 1", FROM_RESIDUAL_TESTS),
        ("networks/unet.py", "CHANGED = 1", {"train_denoiser": 2}),
    ],
)
def test_changed_code_reruns_what_it_decides(finished, tmp_path, file, line, expected):
    package = shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    with open(package / "denoiser_priors" / file, "a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")
    counts = planned(finished, package=package)
    if "train_denoiser" in expected:
        assert counts.get("train_denoiser") == expected["train_denoiser"]
    else:
        assert counts == expected
