"""What training computes: batches, validation, the network that comes out, the log, and what it refuses."""

import csv
import logging
import math

import numpy as np
import pytest
import torch
from training_cases import outputs, pictures, run, tiny

from denoiser_priors.data.images import Image
from denoiser_priors.errors import DataError, TrainingError
from denoiser_priors.networks import zoo
from denoiser_priors.training import checkpoint, loop, schedules, trainer
from denoiser_priors.training.batches import Batches, training_noise
from denoiser_priors.training.trainer import Trainer
from denoiser_priors.training.validation import validate, validation_crops

CPU = torch.device("cpu")


def log_rows(folder):
    with open(folder / "training.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def scripted_validation(monkeypatch, psnrs):
    """Let the epochs' validation PSNRs be `psnrs`, at every noise level of the range."""
    calls = iter([psnr for psnr in psnrs for _ in range(3)])
    monkeypatch.setattr(trainer, "validate", lambda *_, **__: next(calls))


def weights(path):
    return zoo.load(path).state_dict()


def test_batches_depend_on_seed_and_step_alone():
    spec = tiny()
    in_order, alone = Batches(spec, pictures(), CPU), Batches(spec, pictures(), CPU)
    in_order.get(0)
    in_order.get(1)
    for a, b in zip(in_order.get(2), alone.get(2), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(alone.get(2)[0], alone.get(3)[0])
    other = Batches(spec.model_copy(update={"seed": 1}), pictures(), CPU)
    assert not torch.equal(other.get(2)[1], alone.get(2)[1])


def test_noise_differs_between_steps_and_seeds():
    fields = [training_noise(tiny(seed=seed), step, (2, 1, 8, 8)) for seed in (0, 1) for step in (0, 1)]
    assert not any(torch.equal(fields[i], fields[j]) for i in range(4) for j in range(i))


def test_twins_see_the_same_patches_and_noise():
    biased = Batches(tiny(bias=True), pictures(), CPU).get(4)
    bias_free = Batches(tiny(bias=False), pictures(), CPU).get(4)
    assert all(torch.equal(a, b) for a, b in zip(biased, bias_free, strict=True))


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_noise_has_its_standard_deviation_and_shape(noise):
    field = training_noise(tiny(noise=noise, noise_range=(51, 51)), 0, (64, 1, 40, 40))
    assert field.mean().item() == pytest.approx(0, abs=2e-3)
    assert field.std().item() == pytest.approx(0.2, rel=0.01)
    kurtosis = (field**4).mean() / (field**2).mean() ** 2
    assert kurtosis.item() == pytest.approx({"gaussian": 3, "uniform": 1.8}[noise], rel=0.03)


def test_noise_levels_are_uniform_over_the_range():
    field = training_noise(tiny(noise_range=(51, 102)), 0, (400, 1, 30, 30))
    levels = field.std(dim=(1, 2, 3)).sort().values
    expected = torch.linspace(0.2, 0.4, 400)
    assert (levels - expected).abs().max() < 0.03


def test_validation_of_the_identity_gives_the_psnr_of_the_noise():
    spec = tiny(training={"validation_images": 3})
    model = zoo.build("dncnn", bias=False, depth=3, width=8)
    torch.nn.init.zeros_(model.last.weight)
    flat = [Image(f"flat{i}", np.full((128, 128, 1), 128, np.uint8)) for i in range(3)]
    crops = validation_crops(spec, flat)
    assert validate(model, crops, spec, 12.75, device=CPU) == pytest.approx(-20 * math.log10(0.05), abs=0.05)
    assert validate(model, crops, spec, 0, device=CPU) == math.inf


@pytest.mark.parametrize("blur_width", [0.0, 1.5])
def test_validation_of_images_together_is_that_of_each(blur_width):
    spec, model = tiny(), zoo.build("dncnn", bias=True, depth=3, width=8)
    sides = [(32, 32), (32, 32), (32, 32), (20, 40), (300, 300), (300, 300), (32, 32)]
    draw = np.random.default_rng(0)
    crops = [
        (f"image{i}", torch.from_numpy(draw.random((1, 1, *side), dtype=np.float32))) for i, side in enumerate(sides)
    ]
    calls = []
    together = validate(model, crops, spec, 25, blur_width, device=CPU, between=lambda: calls.append(1))
    each = [validate(model, [crop], spec, 25, blur_width, device=CPU) for crop in crops]
    assert together == pytest.approx(sum(each) / len(each), abs=1e-4)
    assert len(calls) == 5  # three small ones; one of another shape; two too large for one batch; one more


def test_validation_leaves_the_network_in_place_and_uses_running_statistics():
    spec = tiny()
    model = zoo.build("dncnn", bias=True, depth=3, width=8).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    validate(model, validation_crops(spec, pictures()), spec, 25, device=CPU)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_validation_takes_the_centre_of_large_images_and_so_many_of_them():
    wide = Image("wide", np.tile(np.arange(600) % 256, (20, 1)).astype(np.uint8)[..., None])
    crops = validation_crops(tiny(), [wide, *pictures(3)])
    assert [name for name, _ in crops] == ["wide", "picture0"]
    assert crops[0][1].shape == (1, 1, 20, 512)
    assert crops[0][1][0, 0, 0, 0].item() == pytest.approx(44 / 255)


@pytest.mark.parametrize("bias", [False, True])
def test_training_learns_to_denoise(tmp_path, bias):
    training = {"epochs": 2, "steps_per_epoch": 150, "batch": 8, "lr": 1e-2}
    spec = tiny(bias=bias, noise_range=(25, 25), training=training)
    summary = run(tmp_path, spec)
    noisy = -20 * math.log10(25 / 255)
    assert summary["kept"]["validation_psnr"] > noisy + 4
    model = zoo.load_denoiser(tmp_path / "weights.safetensors")
    crops = validation_crops(spec, pictures()[:2])
    assert validate(model, crops, spec, 25, device=CPU) == pytest.approx(summary["kept"]["validation_psnr"], abs=1e-3)


def test_the_same_training_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "b")
    run(tmp_path / "c", tiny(seed=1))
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")
    assert outputs(tmp_path / "a")[0] != outputs(tmp_path / "c")[0]


@pytest.mark.parametrize("architecture", ["dncnn", "rcnn", "unet", "densenet"])
@pytest.mark.parametrize("bias", [False, True])
def test_every_architecture_trains_in_half_precision_with_float32_weights(tmp_path, architecture, bias):
    training = {"precision": "bf16", "epochs": 1, "steps_per_epoch": 2, "clip_grad_norm": 1.0}
    summary = run(tmp_path, tiny(architecture, bias=bias, training=training))
    assert summary["steps"] == 2
    before = zoo.build(architecture, bias=bias, **tiny(architecture).network).state_dict()
    after = weights(tmp_path / "weights.safetensors")
    assert {value.dtype for value in after.values() if value.is_floating_point()} == {torch.float32}
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_colour_images(tmp_path):
    colour = [Image(image.name, np.repeat(image.pixels, 3, axis=2)) for image in pictures()]
    run(tmp_path, tiny(channels=3), images=colour)
    assert zoo.load(tmp_path / "weights.safetensors").channels == 3


def test_the_log_has_one_row_for_each_epoch(tmp_path):
    summary = run(tmp_path)
    rows = log_rows(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["step"] for row in rows] == ["7", "14", "21"]
    assert [row["validation_sigma"] for row in rows] == ["25"] * 3
    spec = tiny()
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(
        [schedules.learning_rate(spec.training, step) for step in (6, 13, 20)], rel=1e-5
    )
    for row in rows:
        assert float(row["train_psnr"]) == pytest.approx(-10 * math.log10(float(row["train_loss"])), abs=1e-3)
        assert float(row["validation_psnr_low"]) > float(row["validation_psnr"]) > float(row["validation_psnr_high"])
    assert float(rows[-1]["validation_psnr"]) == pytest.approx(summary["kept"]["validation_psnr"], abs=1e-4)


def test_the_weights_file_says_how_it_was_made_and_nothing_of_when(tmp_path):
    spec = tiny()
    run(tmp_path, spec)
    metadata = zoo.load(tmp_path / "weights.safetensors").metadata
    assert metadata["name"] == spec.name
    assert metadata["noise_range"] == [0, 50]
    assert metadata["training"]["batch"] == 4
    assert metadata["extra"]["training"]["steps"] == 21
    assert not any("second" in key for key in metadata["extra"]["training"])


def test_select_best_keeps_the_weights_of_the_best_epoch(tmp_path, monkeypatch):
    constant = {"schedule": "constant"}
    run(tmp_path / "two", tiny(training={**constant, "epochs": 2}))
    scripted_validation(monkeypatch, [30.0, 32.0, 31.0])
    summary = run(tmp_path / "best", tiny(training={**constant, "select": "best"}))
    assert summary["kept"]["epoch"] == summary["best_epoch"] == 2
    two, best = (weights(tmp_path / name / "weights.safetensors") for name in ("two", "best"))
    assert all(torch.equal(two[name], best[name]) for name in two)
    # Both sets of weights are in the checkpoint: the other one costs no training.
    summary = run(tmp_path / "best", tiny(training={**constant, "select": "last"}))
    assert summary["reused"]
    assert summary["kept"]["epoch"] == 3
    last = weights(tmp_path / "best" / "weights.safetensors")
    assert any(not torch.equal(two[name], last[name]) for name in two)


def test_early_stopping_ends_training_when_nothing_gets_better(tmp_path, monkeypatch):
    scripted_validation(monkeypatch, [30.0, 32.0, 31.0, 31.5])
    summary = run(tmp_path, tiny(training={"epochs": 9, "early_stopping": 2, "schedule": "constant"}))
    assert summary["stopped_early"]
    assert (summary["epochs"], summary["steps"]) == (4, 28)
    assert len(log_rows(tmp_path)) == 4


def test_plateau_lowers_the_rate_in_training(tmp_path, monkeypatch):
    scripted_validation(monkeypatch, [30.0, 29.0, 29.5, 29.0, 30.0])
    run(tmp_path, tiny(training={"epochs": 5, "schedule": "plateau", "gamma": 0.25, "lr": 1e-3}))
    found = [float(row["learning_rate"]) for row in log_rows(tmp_path)]
    assert found == pytest.approx([1e-3, 1e-3, 0.25e-3, 0.25e-3, 0.0625e-3])


def test_clipping_bounds_the_norm_of_the_gradient():
    spec = tiny(training={"clip_grad_norm": 1e-4})
    clipped, free = Trainer(spec, CPU), Trainer(tiny(), CPU)
    for t in (clipped, free):
        t.take_step(Batches(spec, pictures(), CPU))
    norms = [
        torch.stack([p.grad.square().sum() for p in t.model.parameters()]).sum().sqrt().item() for t in (clipped, free)
    ]
    assert norms[0] == pytest.approx(1e-4, rel=1e-3)
    assert norms[1] > 1e-3


def test_a_step_is_one_step_of_adam_on_the_mean_squared_error():
    spec = tiny(bias=True, training={"schedule": "constant", "lr": 1e-3})
    batches, t = Batches(spec, pictures(), CPU), Trainer(spec, CPU)
    reference = zoo.build("dncnn", bias=True, **spec.network)
    noisy, clean = batches.get(0)
    ((reference(noisy) - clean) ** 2).mean().backward()
    before = {name: p.detach().clone() for name, p in reference.named_parameters()}
    t.take_step(batches)
    for name, p in t.model.named_parameters():
        gradient = dict(reference.named_parameters())[name].grad
        # The first step of Adam: rate times g / (|g| + eps).
        expected = before[name] - 1e-3 * gradient / (gradient.abs() + 1e-8)
        known = gradient.abs() > 1e-6
        assert torch.allclose(p[known], expected[known], atol=2e-6)


def test_a_loss_that_is_not_finite_stops_training_and_the_last_good_checkpoint_stays(tmp_path, monkeypatch):
    sane = schedules.learning_rate

    def explode(training, step, psnrs=()):
        return 1e36 if step >= 9 else sane(training, step, psnrs)

    monkeypatch.setattr(schedules, "learning_rate", explode)
    spec = tiny(noise_range=(0, 40))
    with pytest.raises(TrainingError) as caught:
        run(tmp_path, spec, checkpoint_seconds=0)
    message = str(caught.value)
    assert "step 11:" in message
    assert "[0, 40]" in message
    assert "1e+36" in message
    assert "training.lr" in message
    assert "training.clip_grad_norm" in message
    assert not (tmp_path / "weights.safetensors").exists()
    monkeypatch.undo()
    summary = run(tmp_path, spec)
    assert summary["resumed_from_step"] == 9
    run(tmp_path / "straight", spec)
    assert outputs(tmp_path) == outputs(tmp_path / "straight")


def test_an_image_smaller_than_the_patch_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(DataError, match="picture0"):
        run(tmp_path, images=pictures(side=12))
    assert not (tmp_path / "weights.safetensors").exists()
    assert not (tmp_path / "training.csv").exists()


def test_no_validation_image_is_an_error(tmp_path):
    with pytest.raises(DataError, match="validation"):
        run(tmp_path, validation=[])


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_an_error(tmp_path, device, monkeypatch):
    with pytest.raises(TrainingError, match=device):
        run(tmp_path, device=device)
    monkeypatch.setenv("DENOISER_PRIORS_DEVICE", device)
    with pytest.raises(TrainingError, match=device):
        run(tmp_path, device=None)


def test_threads_are_set_for_training_and_restored(tmp_path):
    before = torch.get_num_threads()
    assert run(tmp_path, tiny(training={"epochs": 1, "steps_per_epoch": 1}), threads=2)["threads"] == 2
    assert torch.get_num_threads() == before
    with pytest.raises(TrainingError, match="threads"):
        run(tmp_path, threads=0)


def test_plain_lines_report_every_epoch(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(tmp_path)
    lines = [record.getMessage() for record in caplog.records if "step" in record.getMessage()]
    assert [line.split(",")[0] for line in lines] == [f"tiny-dncnn: step {step} of 21" for step in (7, 14, 21)]
    assert all("validation" in line and "dB" in line for line in lines)
    assert "left" in lines[0]
    assert "left" not in lines[-1]


def test_a_bar_shows_both_psnrs(tmp_path, capsys):
    run(tmp_path, progress=True)
    shown = capsys.readouterr().err
    assert "21/21" in shown
    assert "train" in shown
    assert "validation" in shown


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"bias": True},
        {"noise_range": (0, 51)},
        {"noise": "uniform"},
        {"blur_range": (0, 2)},
        {"network": {"depth": 4, "width": 8}},
        {"training": {"lr": 2e-3}},
        {"training": {"epochs": 4}},
        {"training": {"precision": "bf16"}},
    ],
)
def test_whatever_changes_the_outcome_changes_the_key(change):
    assert checkpoint.cache_key(tiny(**change), "data") != checkpoint.cache_key(tiny(), "data")


def test_other_data_changes_the_key_and_another_name_does_not():
    key = checkpoint.cache_key(tiny(), "data")
    assert checkpoint.cache_key(tiny(), "other") != key
    assert checkpoint.cache_key(tiny(name="renamed", recipe="quick"), "data") == key
    assert checkpoint.cache_key(tiny(training={"select": "best"}), "data") == key


def test_other_validation_images_are_another_training(tmp_path):
    run(tmp_path)
    assert not run(tmp_path, validation=pictures()[2:])["reused"]


def test_a_finished_training_is_taken_from_the_cache(tmp_path, monkeypatch):
    run(tmp_path)
    before = outputs(tmp_path)
    for name in ("weights.safetensors", "training.csv"):
        (tmp_path / name).unlink()
    monkeypatch.setattr(loop, "Batches", None)
    summary = run(tmp_path)
    assert summary["reused"]
    assert outputs(tmp_path) == before
    assert run(tmp_path, tiny(name="renamed"))["reused"]
    assert zoo.load(tmp_path / "weights.safetensors").metadata["name"] == "renamed"
