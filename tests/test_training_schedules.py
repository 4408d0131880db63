"""Learning rates, early stopping and the watch over the loss."""

import math

import pytest

from denoiser_priors.config import Training
from denoiser_priors.training import schedules
from denoiser_priors.training.losses import WINDOW, Diverged, Losses, decibels
from denoiser_priors.training.schedules import best_epoch, learning_rate, over


def rates(training, **keys):
    return [learning_rate(training, step, **keys) for step in range(training.epochs * training.steps_per_epoch)]


def test_one_cycle_goes_from_a_25th_to_the_largest_rate_to_almost_nothing():
    values = rates(Training(schedule="one-cycle", lr=2e-3, epochs=1, steps_per_epoch=101))
    assert values[0] == pytest.approx(2e-3 / 25)
    assert values[30] == max(values) == pytest.approx(2e-3)
    assert values[100] == pytest.approx(2e-7)
    assert values[15] == pytest.approx((2e-3 / 25 + 2e-3) / 2)
    assert values[65] == pytest.approx((2e-3 + 2e-7) / 2)
    assert values[:31] == sorted(set(values[:31]))
    assert values[30:] == sorted(set(values[30:]), reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_a_few_steps_stays_between_its_ends(steps):
    values = [schedules.one_cycle(step, steps) for step in range(steps)]
    assert values[0] == pytest.approx(1 / 25)
    assert all(1e-4 <= value <= 1 for value in values)


def test_one_cycle_spans_all_epochs_however_they_are_cut():
    whole = Training(schedule="one-cycle", epochs=1, steps_per_epoch=60)
    cut = Training(schedule="one-cycle", epochs=6, steps_per_epoch=10)
    assert rates(whole) == rates(cut)


def test_multistep_multiplies_after_each_milestone():
    training = Training(schedule="multistep", lr=1e-3, epochs=6, steps_per_epoch=2, milestones=(2, 3, 5), gamma=0.5)
    assert rates(training)[::2] == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4, 2.5e-4, 1.25e-4])
    assert rates(training)[1::2] == rates(training)[::2]


def test_plateau_multiplies_each_time_the_psnr_drops():
    training = Training(schedule="plateau", lr=1e-3, gamma=0.25)
    psnrs = [30.0, 31.0, 30.5, 30.6, 30.6, 30.2]
    factors = [learning_rate(training, 0, psnrs[:epochs]) / 1e-3 for epochs in range(len(psnrs) + 1)]
    assert factors == pytest.approx([1, 1, 1, 1 / 4, 1 / 4, 1 / 4, 1 / 16])


def test_warm_up_is_linear_and_multiplies_the_schedule():
    constant = Training(lr=1e-3, warmup_steps=4, epochs=1, steps_per_epoch=6)
    assert rates(constant) == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3, 1e-3])
    plain = Training(schedule="one-cycle", epochs=1, steps_per_epoch=10)
    warm = plain.model_copy(update={"warmup_steps": 5})
    ratios = [a / b for a, b in zip(rates(warm), rates(plain), strict=True)]
    assert ratios == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])


def test_best_epoch_is_the_first_of_equals():
    assert best_epoch([]) == -1
    assert best_epoch([30.0, 31.0, 31.0, 30.5]) == 1
    assert best_epoch([math.inf, 31.0]) == 0


def test_training_is_over_after_its_epochs_or_when_nothing_gets_better():
    patient = Training(epochs=9, early_stopping=2)
    assert not over(patient, [])
    assert not over(patient, [30.0, 29.0])
    assert over(patient, [30.0, 29.0, 29.5])
    assert not over(patient, [30.0, 29.0, 30.5, 30.1])
    endless = Training(epochs=4)
    assert not over(endless, [30.0, 29.0, 28.0])
    assert over(endless, [30.0, 29.0, 28.0, 27.0])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_a_divergence(loss):
    losses = Losses()
    losses.add(0, 0.1)
    with pytest.raises(Diverged) as caught:
        losses.add(1, loss)
    assert caught.value.step == 1


def test_spikes_are_forgiven_and_lasting_growth_is_not():
    losses = Losses()
    for step in range(WINDOW):
        losses.add(step, 1e6 if step % 3 == 0 else 0.01)
    for step in range(WINDOW, 2 * WINDOW - 1):
        losses.add(step, 5.0)
    with pytest.raises(Diverged, match="5"):
        losses.add(2 * WINDOW - 1, 5.0)


def test_growth_from_the_first_step_on_is_a_divergence():
    losses = Losses()
    for step in range(WINDOW - 1):
        losses.add(step, 0.001 if step == 0 else 1e20)
    with pytest.raises(Diverged, match="grown"):
        losses.add(WINDOW - 1, 1e20)


def test_a_bad_start_is_not_a_divergence():
    losses = Losses()
    for step in range(3 * WINDOW):
        losses.add(step, 100 / (1 + step))


def test_the_watch_goes_on_from_a_checkpoint():
    losses, resumed = Losses(), Losses()
    for step in range(WINDOW + 30):
        losses.add(step, 0.01 * (1 + step % 7))
    resumed.restore(losses.state())
    assert resumed.mean == losses.mean
    for watch in (losses, resumed):
        for step in range(WINDOW + 30, 2 * WINDOW - 1):
            watch.add(step, 2.0)
        with pytest.raises(Diverged):
            watch.add(2 * WINDOW - 1, 2.0)


def test_decibels():
    assert decibels(0.01) == pytest.approx(20)
    assert decibels(0) == math.inf
