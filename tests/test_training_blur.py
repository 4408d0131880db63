"""Training on blurred images: what a step sees, validation, and that interruption changes nothing."""

import os
import signal
import subprocess
import sys

import pytest
import torch
import training_cases
from training_cases import outputs, pictures, run, tiny

from denoiser_priors.data.blur import blur
from denoiser_priors.data.patches import PatchSampler
from denoiser_priors.errors import DataError
from denoiser_priors.training.batches import Batches, training_blur, training_noise
from denoiser_priors.training.validation import levels, validate, validation_crops

CPU = torch.device("cpu")
BLUR = training_cases.BLUR
MARGIN = 4


def test_a_patch_is_blurred_as_in_its_surroundings_and_the_target_is_clean():
    spec = tiny(blur_range=BLUR)
    noisy, clean = Batches(spec, pictures(), CPU).get(3)
    assert noisy.shape == clean.shape == (4, 1, 16, 16)
    settings = {"seed": spec.seed, "scales": spec.training.scales, "augment": True}
    sampler = PatchSampler(pictures(), patch=16 + 2 * MARGIN, batch=4, **settings)
    wide = torch.from_numpy(sampler.batch(3)).float() / 255
    inside = slice(MARGIN, -MARGIN)
    assert torch.equal(clean, wide[..., inside, inside])
    blurred = noisy - training_noise(spec, 3, clean.shape)
    for patch, width, found in zip(wide, training_blur(spec, 3, 4).tolist(), blurred, strict=True):
        expected = blur(patch[None], width)[0, :, inside, inside]
        assert torch.allclose(found, expected, atol=5e-4)


def test_widths_are_uniform_over_the_range_and_differ_between_steps_and_seeds():
    spec = tiny(blur_range=(1, 4))
    widths = training_blur(spec, 0, 4000).sort().values
    assert (widths - torch.linspace(1, 4, 4000)).abs().max() < 0.1
    others = training_blur(spec, 1, 4), training_blur(tiny(blur_range=(1, 4), seed=1), 0, 4)
    assert not any(torch.equal(training_blur(spec, 0, 4), other) for other in others)


def test_widths_are_not_tied_to_noise_levels():
    spec = tiny(blur_range=(0, 4), noise_range=(0, 50))
    sigmas = training_noise(spec, 0, (2000, 1, 8, 8)).std(dim=(1, 2, 3))
    widths = training_blur(spec, 0, 2000)
    assert torch.corrcoef(torch.stack([sigmas, widths]))[0, 1].abs() < 0.1


def test_twins_see_the_same_blur_and_without_a_range_there_is_none():
    biased, free = (Batches(tiny(bias=bias, blur_range=BLUR), pictures(), CPU).get(1) for bias in (True, False))
    assert all(torch.equal(a, b) for a, b in zip(biased, free, strict=True))
    spec = tiny()
    noisy, clean = Batches(spec, pictures(), CPU).get(1)
    assert torch.equal(noisy, training_noise(spec, 1, clean.shape).add_(clean))


def test_colour_patches_are_blurred_alike_in_all_channels():
    import numpy as np

    from denoiser_priors.data.images import Image

    colour = [Image(image.name, np.repeat(image.pixels, 3, axis=2)) for image in pictures()]
    spec = tiny(channels=3, blur_range=BLUR, noise_range=(0, 0))
    degraded, clean = Batches(spec, colour, CPU).get(0)
    assert torch.allclose(degraded, degraded[:, :1].expand_as(degraded), atol=1e-6)
    assert not torch.allclose(degraded, clean, atol=1e-3)


def test_an_image_too_small_for_the_margin_is_named_with_the_reason():
    with pytest.raises(DataError, match=r"picture0.*24 x 24.*16 pixels a side.*margin of 4"):
        Batches(tiny(blur_range=BLUR), pictures(side=20), CPU)


def test_validation_is_in_the_middle_of_both_ranges():
    assert levels(tiny(noise_range=(10, 50), blur_range=(1, 4))) == [(30, 2.5), (10, 1), (50, 4)]
    assert levels(tiny(noise_range=(0, 50))) == [(25, 0), (0, 0), (50, 0)]


def test_validation_of_the_identity_gives_the_psnr_of_the_blur():
    from denoiser_priors.metrics.quality import psnr
    from denoiser_priors.networks import zoo

    spec = tiny()
    model = zoo.build("dncnn", bias=False, depth=3, width=8)
    torch.nn.init.zeros_(model.last.weight)
    crops = validation_crops(spec, pictures())
    expected = sum(psnr(blur(clean, 1.5), clean).item() for _, clean in crops) / len(crops)
    assert validate(model, crops, spec, 0, 1.5, device=CPU) == pytest.approx(expected, abs=1e-3)


def test_killed_training_on_blurred_images_resumes_to_the_same_bytes(tmp_path):
    spec = tiny(blur_range=BLUR)
    run(tmp_path / "straight", spec)
    killed = tmp_path / "killed"
    command = [sys.executable, training_cases.__file__, str(killed), "step", "12", "0", "blur"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    summary = run(killed, spec)
    assert 0 < summary["resumed_from_step"] < 21
    assert outputs(killed) == outputs(tmp_path / "straight")
    assert outputs(killed)[0] != (run(tmp_path / "sharp"), outputs(tmp_path / "sharp"))[1][0]
