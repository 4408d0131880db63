"""The configuration: presets load, mistakes are explained, generated files are in step with the model."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from denoiser_priors.config import Config, load_config, recipes
from denoiser_priors.config import docs as config_docs
from denoiser_priors.config.files import read_yaml
from denoiser_priors.errors import ConfigError

ROOT = Path(__file__).parent.parent


def explain(**overrides) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(overrides=overrides)
    return str(error.value)


def test_default_file_is_the_model_default_and_in_step():
    path = ROOT / "config" / "config.yaml"
    assert path.read_text() == config_docs.documented_yaml(), (
        "run: denoiser-priors config --defaults > config/config.yaml"
    )
    assert load_config([path]) == Config()


def test_generated_schema_and_reference_are_in_step():
    schema = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    assert schema.read_text() == config_docs.schema_yaml(), f"run: denoiser-priors config --schema > {schema.name}"
    page = ROOT / "docs" / "configuration.md"
    assert page.read_text() == config_docs.reference_markdown(), "run: denoiser-priors config --docs"


def test_the_schema_accepts_the_presets_and_refuses_what_the_model_refuses():
    jsonschema = pytest.importorskip("jsonschema")
    schema = yaml.safe_load(config_docs.schema_yaml())
    validator = jsonschema.Draft202012Validator(schema)
    for preset in ("config/config.yaml", "config/released.yaml", "config/paper.yaml", "tests/config/smoke.yaml"):
        assert not list(validator.iter_errors(read_yaml(ROOT / preset))), preset
        assert not list(validator.iter_errors(load_config([ROOT / preset]).model_dump(mode="json"))), preset
    assert list(validator.iter_errors({"bias_fre": {}}))


@pytest.mark.parametrize("preset", ["released", "paper"])
def test_presets_declare_all_32_denoisers(preset):
    specs = load_config([ROOT / "config" / f"{preset}.yaml"]).denoisers_by_name()
    expected = {
        f"{architecture}-{kind}-0to{high}"
        for architecture in ("dncnn", "rcnn", "unet", "densenet")
        for kind in ("bf", "cnn")
        for high in (10, 30, 55, 100)
    }
    assert expected <= set(specs)
    for name in expected:
        spec = specs[name]
        assert spec.bias == ("-cnn-" in name)
        assert spec.noise_range == (0, float(name.rsplit("to", 1)[1]))


def test_quick_preset_covers_what_the_claims_need():
    specs = load_config().denoisers_by_name()
    for architecture in ("dncnn", "rcnn", "unet", "densenet"):
        for high in (10, 30, 55, 100) if architecture == "dncnn" else (10, 55):
            assert {f"{architecture}-bf-0to{high}", f"{architecture}-cnn-0to{high}"} <= set(specs)


def test_every_recipe_of_every_architecture_resolves():
    for architecture, by_name in recipes().items():
        for recipe in by_name:
            # A network that is told the noise level has additive constants and a smallest level.
            told = {"bias": True, "noise_range": [2.55, 255]} if architecture == "ncsnv2" else {}
            overrides = {"denoisers": {"x": {"architecture": architecture, "recipe": recipe, **told}}}
            assert load_config(overrides=overrides).denoiser("x").recipe == recipe


def test_paper_recipe_states_the_documents_schedule():
    training = load_config([ROOT / "config" / "paper.yaml"]).denoiser("dncnn-bf-0to10").training
    # Mohan et al. 2020, Appendix B: 541,600 patches of 50x50, 70 epochs, 1e-3 halved at epochs 50 and 60.
    assert training.steps_per_epoch == pytest.approx(541_600 / training.batch, abs=1)
    assert (training.patch, training.epochs, training.lr) == (50, 70, 1e-3)
    assert (training.milestones, training.gamma) == ((50, 60), 0.5)


def test_overlays_merge_mappings_and_replace_the_rest(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("bias_free: {sigma: [10, 20], draws: 2}\nfamilies: {dncnn: {seed: 5}, unet: null}\n")
    second.write_text("bias_free: {sigma: [30]}\n")
    config = load_config([first, second])
    assert config.bias_free.sigma == (30,)
    assert config.bias_free.draws == 2
    assert config.denoiser("dncnn-bf-0to10").seed == 5
    assert not [name for name in config.denoisers_by_name() if name.startswith("unet")]


def test_resolved_configuration_survives_a_round_trip(tmp_path):
    config = load_config([ROOT / "config" / "released.yaml"])
    path = tmp_path / "resolved.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config([path]) == config


def test_training_settings_may_override_the_recipe():
    overrides = {"families": {"dncnn": {"training": {"batch": 7}, "network": {"depth": 5}}}}
    spec = load_config(overrides=overrides).denoiser("dncnn-cnn-0to55")
    assert spec.training.batch == 7
    assert spec.network["depth"] == 5
    assert spec.training.patch == recipes()["dncnn"]["quick"]["training"]["patch"]


def test_unknown_keys_suggest_the_nearest_name():
    assert "bias_fre: unknown key; did you mean 'bias_free'?" in explain(bias_fre={})
    assert "did you mean 'ranges'" in explain(families={"dncnn": {"rangs": [5]}})
    assert "did you mean 'batch'" in explain(families={"unet": {"training": {"btch": 3}}})
    assert "did you mean 'embedded'" in explain(families={"dncnn": {"dataset": "embeded"}})
    assert "did you mean 'sigma_test'" in explain(bias_free={"figure_02": {"sigma_tst": 3}})


def test_bad_noise_ranges_are_refused():
    assert "cannot be negative" in explain(families={"dncnn": {"ranges": [[-1, 10]]}})
    assert "reversed" in explain(families={"dncnn": {"ranges": [[55, 10]]}})
    assert "too large" in explain(denoisers={"x": {"architecture": "dncnn", "noise_range": 300}})


def test_settings_of_implicit_prior_are_checked():
    def wrong(**settings):
        return explain(implicit_prior=settings)

    assert "sigma_L (1) must be below sigma_0 (0.5)" in wrong(sigma_0=0.5, sigma_L=1)
    assert "implicit_prior.beta" in wrong(beta=0)
    assert "implicit_prior.beta" in wrong(beta=1.5)
    assert "implicit_prior.h_0" in wrong(h_0=0)
    assert "implicit_prior.table_3.keep" in wrong(table_3={"keep": [1.5]})
    assert "implicit_prior.table_1.factors" in wrong(table_1={"factors": [1]})
    assert "implicit_prior.table_1.samples" in wrong(table_1={"samples": 1})
    assert "did you mean 'set14'" in wrong(table_2={"dataset": "sett14"})
    assert "did you mean 'factors'" in wrong(table_2={"factor": [4]})


def test_the_priors_of_implicit_prior_exist_and_fit():
    def wrong(**roles):
        return explain(implicit_prior={"denoisers": roles})

    assert "denoisers.gray: unknown denoiser 'dncnn-bf-0to101'; did you mean 'dncnn-bf-0to10" in wrong(
        gray="dncnn-bf-0to101"
    )
    assert "dncnn-bf-0to10 is for images of 1 channel(s), not 3" in wrong(color="dncnn-bf-0to10")


def test_all_errors_are_reported_at_once_with_file_and_path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("bias_free: {sigmas: [10], draws: 0}\nfamilies: {rcnn: {recipe: quik}}\n")
    with pytest.raises(ConfigError) as error:
        load_config([path])
    text = str(error.value)
    assert "3 errors" in text
    assert text.count(str(path)) == 3
    for part in ("bias_free.sigmas", "bias_free.draws", "families.rcnn.recipe"):
        assert part in text


def test_unknown_denoiser_suggests_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'dncnn-bf-0to10'"):
        Config().denoiser("dncnn-bf-0to1")


def test_own_folder_is_a_dataset_but_cannot_take_the_name_of_one():
    config = load_config(overrides={"datasets": {"mine": {"images": "x"}}, "bias_free": {"dataset": "mine"}})
    assert config.bias_free.dataset == "mine"
    assert "belongs to a dataset of the suite" in explain(datasets={"embedded": {"images": "x"}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "line 2: .*'a' given twice"),
        ("a: [1\n", "not valid YAML"),
        ("- 1\n", "expected keys with values"),
        ("? [1, 2]\n: 3\n", "a key must be plain text"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("- " * 100_000, "too deeply nested"),
        # Ends the process where libyaml puts the parts together.
        ("{" * 100_000, "too deeply nested"),
    ],
)
def test_malformed_files_are_explained(tmp_path, text, expected):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(str(path)) + ".*" + expected):
        read_yaml(path)


@pytest.mark.parametrize("value", ["2001-99-99", "!!int ''", "!!bool x", "9" * 5000, "!!binary 'x'", "!!timestamp x"])
def test_values_that_are_not_what_they_look_like(tmp_path, value):
    (tmp_path / "mine.yaml").write_text(f"seed: {value}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml.*not valid YAML"):
        load_config([tmp_path / "mine.yaml"])


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", ".hidden", "-rf", "", "x" * 101, "a\nb"])
@pytest.mark.parametrize("section", ["families", "denoisers", "datasets"])
def test_names_that_would_make_odd_files(section, name):
    entry = {"images": "photos"} if section == "datasets" else {"architecture": "dncnn"}
    assert "letters, digits" in explain(**{section: {name: entry}})


def test_missing_and_binary_files_are_explained(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_yaml(tmp_path / "binary.yaml")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_keys = st.sampled_from([*Config.model_fields, "x"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_keys, _values, max_size=4))
def test_any_mapping_loads_or_is_explained(overrides):
    try:
        config = load_config(overrides=overrides)
    except ConfigError as error:
        config, message = None, str(error)
    if config is None:
        assert message.startswith("the configuration has")
    else:
        assert load_config(overrides=config.model_dump(mode="json")) == config


def test_environment_file_lists_the_dependencies_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert sorted(pip[:-1]) == sorted(project["dependencies"])
    assert pip[-1] == "--editable ."
    assert f"python{project['requires-python']}" in environment["dependencies"]


def test_constraints_pin_every_dependency_within_its_range():
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins[name.lower().replace("_", "-")] = version
    extras = [entry for group in project["optional-dependencies"].values() for entry in group]
    for entry in [*project["dependencies"], *extras]:
        requirement = Requirement(entry)
        assert pins[requirement.name] in requirement.specifier, f"{entry} against constraints.txt"


def test_reading_the_configuration_imports_no_heavy_package():
    code = (
        "import sys, denoiser_priors.config as c; c.load_config(); print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bad_blur_ranges_are_refused():
    assert "cannot be negative" in explain(families={"dncnn": {"blur_range": [-1, 4]}})
    assert "reversed" in explain(denoisers={"dncnn-bf-blur": {"blur_range": [4, 1]}})
    assert "too large" in explain(denoisers={"x": {"architecture": "dncnn", "blur_range": 255}})
    assert load_config(overrides={"families": {"dncnn": {"blur_range": 3}}}).denoiser("dncnn-bf-0to10").blur_range == (
        0,
        3,
    )


def test_another_recipe_is_taken_as_it_is(tmp_path):
    below = tmp_path / "below.yaml"
    below.write_text("families: {dncnn: {training: {epochs: 15}, network: {depth: 5}}}\n")
    assert load_config([below]).denoiser("dncnn-bf-0to10").training.epochs == 15
    for recipe in ("paper", "quick"):
        spec = load_config([below], {"families": {"dncnn": {"recipe": recipe}}}).denoiser("dncnn-bf-0to10")
        assert spec.training.epochs == recipes()["dncnn"][recipe]["training"]["epochs"]
        assert spec.network == recipes()["dncnn"][recipe]["network"]
    own = {"dncnn": {"recipe": "smoke", "training": {"lr": 0.5}}}
    spec = load_config([below], {"families": own}).denoiser("dncnn-bf-0to10")
    assert (spec.training.lr, spec.training.epochs) == (0.5, recipes()["dncnn"]["smoke"]["training"]["epochs"])


def test_a_copy_with_other_families_has_its_own_denoisers():
    config = load_config()
    before = config.denoisers_by_name()
    before.clear()
    assert "dncnn-bf-0to10" in config.denoisers_by_name()
    fewer = config.model_copy(update={"families": {}})
    assert set(fewer.denoisers_by_name()) == {name for name, entry in config.denoisers.items() if entry is not None}
    assert "dncnn-bf-0to10" in config.denoisers_by_name()
    assert config == load_config()


def test_what_the_released_preset_trains_is_what_its_report_was_made_with():
    config = load_config([ROOT / "config" / "config.yaml", ROOT / "config" / "released.yaml"])
    small = [
        spec for spec in config.denoisers_by_name().values() if spec.source == "train" and spec.dataset == "bsd400"
    ]
    assert len(small) > 4
    assert {spec.training.patch for spec in small} == {40}  # docs/replication
    sizes = {(spec.network["depth"], spec.network["width"]) for spec in small if spec.architecture == "dncnn"}
    assert sizes == {(8, 24)}
