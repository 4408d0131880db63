"""Classical restorations: better than what they are given, exact where they must be, and what they refuse."""

import sys

import numpy as np
import pytest
import skimage.data
import torch

from denoiser_priors.errors import ConfigError, DataError, OperatorError
from denoiser_priors.metrics.quality import psnr
from denoiser_priors.restoration.classical_baselines import (
    bicubic,
    demosaic_classical,
    richardson_lucy,
    total_variation_deblur,
    wiener,
)
from denoiser_priors.restoration.degradations import Blur, Mosaic, add_noise
from denoiser_priors.restoration.imresize import shrink
from denoiser_priors.restoration.kernels import motion_kernel

KERNEL = motion_kernel(9, seed=1)
METHODS = {"wiener": wiener, "richardson-lucy": richardson_lucy, "total variation": total_variation_deblur}


def photograph(side=80):
    pixels = skimage.data.astronaut()[60 : 60 + side, 180 : 180 + side]
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)[None]


@pytest.mark.parametrize("sigma", [2.55, 10.2])
@pytest.mark.parametrize("method", METHODS)
def test_deconvolution_improves_a_photograph(method, sigma):
    x = photograph()
    y = add_noise(Blur(x.shape[1:], KERNEL).measure(x), sigma, seed=0, dataset="test", image="astronaut")
    restored = METHODS[method](y, KERNEL, sigma)
    assert restored.shape == x.shape
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    # The blurred image lies under the middle of the sharp one.
    gain = psnr(restored[inner], x[inner]) - psnr(y[..., 4:-4, 4:-4].clamp(0, 1), x[inner])
    assert float(gain) > (1.5 if sigma < 5 else 0.5)
    assert 0 <= float(restored.min()) <= float(restored.max()) <= 1


@pytest.mark.parametrize("method", METHODS)
def test_an_even_image_stays_as_it_is(method):
    y = torch.full((1, 1, 30, 31), 0.4)
    restored = METHODS[method](y, KERNEL, 5.0)
    assert float((restored - 0.4)[..., 4:-4, 4:-4].abs().max()) < 0.01


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sigma": 0}, ConfigError, "sigma: expected a number above 0"),
        ({"kernel": np.ones((2, 2))}, OperatorError, "must be odd"),
        ({"kernel": np.ones((41, 1)) / 41}, OperatorError, "larger than the images"),
        ({"blurred": torch.full((1, 1, 20, 20), torch.nan)}, DataError, "not finite"),
        ({"blurred": torch.zeros(20, 20)}, DataError, "B, C, H, W"),
    ],
)
def test_what_cannot_be_used_is_refused(method, change, error, message):
    settings = {"blurred": torch.full((1, 1, 20, 20), 0.5), "kernel": KERNEL, "sigma": 5.0, **change}
    with pytest.raises(error, match=message):
        METHODS[method](**settings)


def test_bicubic_interpolation_reproduces_ramps_away_from_the_borders():
    ramp = torch.linspace(0.2, 0.8, 48, dtype=torch.float64).expand(1, 1, 24, 48)
    enlarged = bicubic(shrink(ramp, 3), 3)
    assert torch.allclose(enlarged[..., 12:-12], ramp[..., 12:-12], atol=1e-12)


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_interpolated_colours_of_even_areas_are_exact(pattern):
    colours = torch.tensor([0.2, 0.5, 0.7])[None, :, None, None].expand(1, 3, 8, 10)
    mosaic = Mosaic((3, 8, 10), pattern).measure(colours)
    assert torch.allclose(demosaic_classical(mosaic, pattern, method="bilinear"), colours, atol=1e-6)


def test_bilinear_interpolation_keeps_the_measurements_and_takes_any_pattern():
    x = photograph(24)
    for pattern in ("GRBG", ("RGB", "GBR", "BRG")):
        operator = Mosaic((3, 24, 24), pattern)
        mosaic = operator.measure(x)
        restored = demosaic_classical(mosaic, pattern, method="bilinear")
        assert torch.allclose(operator.measure(restored), mosaic, atol=1e-6)
        assert float(psnr(restored, x)) > 20
    with pytest.raises(ConfigError, match="malvar is for Bayer patterns"):
        demosaic_classical(mosaic, ("RGB", "GBR", "BRG"), method="malvar")


def test_malvar_and_menon_improve_on_bilinear():
    x = photograph(64)
    mosaic = Mosaic((3, 64, 64), "RGGB").measure(x)
    try:
        found = [demosaic_classical(mosaic, "RGGB", method=method) for method in ("bilinear", "malvar", "menon")]
    except ConfigError as error:
        pytest.skip(f"needs the optional package colour-demosaicing ({error})")
    bilinear, malvar, menon = (float(psnr(image, x)) for image in found)
    assert malvar > bilinear + 1
    assert menon > bilinear + 1


def test_without_the_optional_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "colour_demosaicing", None)
    with pytest.raises(ConfigError, match=r"pip install 'denoiser-priors\[demosaic\]', or use bilinear"):
        demosaic_classical(torch.zeros(1, 1, 8, 8), "RGGB", method="malvar")


def test_images_that_are_no_mosaics_are_refused():
    with pytest.raises(DataError, match=r"expected a tensor \(B, 1, H, W\)"):
        demosaic_classical(torch.zeros(1, 3, 8, 8))
