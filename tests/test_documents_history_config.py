"""The block `history` of the configuration: what is refused, and what the presets plan."""

import pytest

from denoiser_priors.config import load_config
from denoiser_priors.documents.history import plan
from denoiser_priors.errors import ConfigError


def refused(**history):
    with pytest.raises(ConfigError) as error:
        load_config(overrides={"history": history})
    return str(error.value)


def test_drawn_images_need_a_side():
    assert "`side` is needed" in refused(shuffled={"dataset": "c-alpha"})


def test_an_unknown_dataset_is_named_with_its_key():
    text = refused(generalization={"families": {"digits": {"dataset": "mnist5kk"}}})
    assert "history.generalization.families.digits.dataset" in text
    assert "mnist5k" in text


def test_a_denoiser_of_colour_images_is_refused():
    assert "bfcnn-color is for colour images" in refused(timeline={"dncnn": "bfcnn-color"})
    assert "unknown denoiser 'dncn'" in refused(pictures={"deep": "dncn"})


def test_names_become_file_names():
    assert "a name, which files are called by" in refused(generalization={"families": {"a/b": {}}})


@pytest.mark.parametrize("preset", ["config/released.yaml", "config/paper.yaml", "tests/config/smoke.yaml"])
def test_presets_plan_every_network_and_every_method(preset, request):
    config = load_config([request.config.rootpath / preset])
    names = list(plan.networks(config))
    assert len(names) == len(set(names))
    methods = {method for run in plan.runs(config) for method in run.methods}
    assert {"bm3d", "ksvd", "tv"} < methods
    assert len(methods) >= 15
    assert not plan.lacking(config)


def test_the_released_preset_covers_the_published_rows(request):
    config = load_config([request.config.rootpath / "config/released.yaml"])
    assert set(config.history.timeline.datasets) == {"set12", "bsd68"}
    assert config.history.timeline.limit is None
    assert config.history.timeline.side is None
    assert set(config.history.timeline.sigma) == {15, 25, 50}
    assert config.history.timeline.protocol == "kair"
    assert {1, 2, 3, 5} == set(config.history.slopes.alphas)
    assert plan.dncnn(config, bias=True) == "dncnn-cnn-0to55"


def test_bases_show_the_alpha_nearest_the_document_s():
    config = load_config(overrides={"history": {"slopes": {"alphas": [1, 3, 5.5]}}})
    assert plan.basis_alpha(config) == 3
