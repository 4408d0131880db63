"""PSNR and SSIM against their definitions, scikit-image, and closed forms."""

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import structural_similarity

from denoiser_priors.metrics.quality import psnr, ssim

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def pairs(n, c, h, w, noise=0.1, dtype=torch.float32):
    """Pieces of a photograph and noisy versions of them; the noise differs from image to image."""
    photo = torch.from_numpy(data.astronaut()[:, :, :c].copy()).permute(2, 0, 1).to(dtype) / 255
    clean = torch.stack([photo[:, 7 * k : 7 * k + h, 3 * k : 3 * k + w] for k in range(n)])
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(noise / n, noise, n).view(n, 1, 1, 1)
    return clean, clean + scale * torch.randn(clean.shape, generator=generator).to(dtype)


def test_psnr_of_a_constant_error_is_its_level():
    clean = torch.rand(3, 1, 9, 9, dtype=torch.float64)
    errors = torch.tensor([0.1, 0.01, 0.001], dtype=torch.float64)
    expected = torch.tensor([20.0, 40.0, 60.0], dtype=torch.float64)
    torch.testing.assert_close(psnr(clean + errors.view(3, 1, 1, 1), clean), expected, rtol=0, atol=1e-9)


def test_psnr_of_equal_images_is_infinite():
    image = torch.rand(2, 3, 8, 8)
    assert psnr(image, image).tolist() == [np.inf, np.inf]


def test_psnr_pools_channels_before_the_logarithm():
    clean = torch.zeros(1, 3, 4, 4)
    noisy = clean.clone()
    noisy[:, 0] = 0.3
    assert psnr(noisy, clean).item() == pytest.approx(-10 * np.log10(0.03), abs=1e-6)


@pytest.mark.parametrize(("window", "options"), [("uniform", {}), ("gaussian", GAUSSIAN)])
@pytest.mark.parametrize("shape", [(4, 1, 64, 64), (3, 3, 61, 47), (2, 1, 11, 90)], ids=str)
def test_ssim_equals_scikit_image(window, options, shape):
    clean, noisy = pairs(*shape)
    expected = [
        structural_similarity(a.double().numpy(), b.double().numpy(), data_range=1, channel_axis=0, **options)
        for a, b in zip(clean, noisy, strict=True)
    ]
    np.testing.assert_allclose(ssim(noisy, clean, window=window).numpy(), expected, rtol=0, atol=1e-12)


def test_ssim_equals_scikit_image_in_flat_bright_regions():
    """Where the local variance is a tiny difference of large squares."""
    generator = torch.Generator().manual_seed(1)
    clean = 0.95 + 0.002 * torch.rand(1, 1, 40, 40, generator=generator)
    noisy = clean + 0.002 * torch.randn(clean.shape, generator=generator)
    expected = structural_similarity(clean[0, 0].double().numpy(), noisy[0, 0].double().numpy(), data_range=1)
    assert ssim(noisy, clean).item() == pytest.approx(expected, abs=1e-12)


def test_ssim_is_one_for_equal_images_and_symmetric():
    clean, noisy = pairs(2, 1, 32, 32)
    torch.testing.assert_close(ssim(clean, clean), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(ssim(clean, noisy), ssim(noisy, clean), rtol=0, atol=1e-12)


def test_ssim_of_constant_images_is_their_luminance_term():
    a, b = 0.3, 0.6
    expected = (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
    value = ssim(torch.full((1, 1, 12, 12), a), torch.full((1, 1, 12, 12), b)).item()
    assert value == pytest.approx(expected, abs=1e-6)


def test_metrics_do_not_depend_on_the_batch_or_the_memory_layout():
    clean, noisy = pairs(5, 3, 40, 33)
    for metric in (psnr, ssim):
        singly = torch.cat([metric(a[None], b[None]) for a, b in zip(noisy, clean, strict=True)])
        layout = torch.channels_last
        together = metric(noisy.contiguous(memory_format=layout), clean.contiguous(memory_format=layout))
        torch.testing.assert_close(together, singly, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("window", "side"), [("uniform", 7), ("gaussian", 11)])
def test_ssim_needs_one_whole_window(window, side):
    clean, noisy = pairs(1, 1, side, side)
    assert -1 <= ssim(noisy, clean, window=window).item() <= 1
    with pytest.raises(ValueError, match=f"{side}x{side}"):
        ssim(noisy[..., :-1], clean[..., :-1], window=window)


def test_arguments_that_do_not_fit_are_refused():
    image = torch.rand(2, 1, 16, 16)
    with pytest.raises(ValueError, match="one shape"):
        psnr(image, image[:1])
    with pytest.raises(ValueError, match="one shape"):
        ssim(image[0], image[0])
    with pytest.raises(ValueError, match="uniform, gaussian"):
        ssim(image, image, window="square")
