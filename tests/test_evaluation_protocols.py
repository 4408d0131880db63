"""Protocols: what is clipped, rounded, converted and cut before an image is measured."""

import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import rgb2ycbcr
from skimage.metrics import structural_similarity

from denoiser_priors.errors import ConfigError
from denoiser_priors.evaluation.protocols import PROTOCOLS, get_protocol, luma
from denoiser_priors.metrics import quality


@pytest.fixture
def clean():
    crop = data.astronaut()[40:100, 200:280]
    return torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def noisy(clean):
    return clean + 0.3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))


def measured(protocol, x, clean, *, prepare):
    clean = protocol.crop(clean)
    return protocol.psnr(prepare(x), clean).item(), protocol.ssim(prepare(x), clean).item()


def test_bias_free_clips_both_and_rounds_neither(clean, noisy):
    protocol = get_protocol("bias_free")
    clipped = noisy.clamp(0, 1)
    expected = quality.psnr(clipped, clean).item(), quality.ssim(clipped, clean).item()
    assert measured(protocol, noisy, clean, prepare=protocol.noisy) == pytest.approx(expected, abs=1e-12)
    assert measured(protocol, noisy, clean, prepare=protocol.denoised) == pytest.approx(expected, abs=1e-12)


def test_kair_is_the_metric_of_eight_bit_images(clean, noisy):
    protocol = get_protocol("kair")
    as_uint8 = [(x.clamp(0, 1) * 255).round().numpy()[0].astype(np.uint8) for x in (noisy, clean)]
    mse = np.mean((as_uint8[0].astype(float) - as_uint8[1]) ** 2)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = 20 * np.log10(255 / np.sqrt(mse)), structural_similarity(*as_uint8, channel_axis=0, **window)
    assert measured(protocol, noisy, clean, prepare=protocol.denoised) == pytest.approx(expected, abs=1e-5)


def test_kair_measures_noise_as_it_is(clean, noisy):
    protocol = get_protocol("kair")
    unclipped = quality.psnr(noisy, clean).item()
    assert protocol.psnr(protocol.noisy(noisy), clean).item() == pytest.approx(unclipped, abs=1e-12)
    assert unclipped < quality.psnr(noisy.clamp(0, 1), clean).item() - 0.5


def test_luma_is_that_of_matlab(clean):
    expected = rgb2ycbcr(clean[0].double().permute(1, 2, 0).numpy())[..., 0] / 255
    np.testing.assert_allclose(luma(clean)[0, 0].numpy(), expected, rtol=0, atol=1e-12)
    ends = luma(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)).flatten() * 255
    assert ends.tolist() == pytest.approx([16, 235], abs=1e-9)


def test_luminance_of_a_constant_error_shrinks_by_the_studio_range(clean):
    protocol = get_protocol("luminance")
    dark = (clean * 0.5 * 255).round() / 255
    value = protocol.psnr(protocol.denoised(dark + 20 / 255), dark).item()
    assert value == pytest.approx(-20 * np.log10(20 / 255 * 219 / 255), abs=1e-4)


def test_luminance_of_gray_images_is_that_of_equal_channels(clean, noisy):
    protocol = get_protocol("luminance")
    gray, gray_noisy = clean[:, :1], protocol.denoised(noisy[:, :1])
    colour = protocol.psnr(gray_noisy.repeat(1, 3, 1, 1), gray.repeat(1, 3, 1, 1))
    torch.testing.assert_close(protocol.psnr(gray_noisy, gray), colour, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_nothing_inside_the_border_counts(name, clean, noisy):
    protocol = get_protocol(f"{name}(border=6)")
    framed = noisy.clone()
    for edge in (np.s_[..., :6, :], np.s_[..., -6:, :], np.s_[..., :, :6], np.s_[..., :, -6:]):
        framed[edge] = 0.7
    expected = measured(protocol, noisy, clean, prepare=protocol.denoised)
    assert measured(protocol, framed, clean, prepare=protocol.denoised) == expected


def test_mean_shift_pools_rounded_channels(clean, noisy):
    protocol = get_protocol("mean_shift(border=3)")
    rounded = ((noisy.clamp(0, 1) * 255).round() / 255)[..., 3:-3, 3:-3]
    expected = quality.psnr(rounded, clean[..., 3:-3, 3:-3]).item()
    assert protocol.psnr(protocol.denoised(noisy), protocol.crop(clean)).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("label", ["bias_free", "kair", "luminance(border=4)", "mean_shift(border=12)"])
def test_labels_name_protocols_and_parameters(label):
    protocol = get_protocol(label)
    assert protocol.label == label
    assert get_protocol(protocol) is protocol


@pytest.mark.parametrize("label", ["psnr", "mean_shift(8)", "mean_shift(border=-1)", "kair ", ""])
def test_unknown_protocols_are_refused(label):
    with pytest.raises(ConfigError, match="bias_free, kair, luminance, mean_shift"):
        get_protocol(label)


@pytest.mark.parametrize(("label", "side"), [("bias_free", 7), ("kair", 11), ("mean_shift(border=5)", 17)])
def test_smallest_image_is_what_the_metric_takes(label, side, clean):
    protocol = get_protocol(label)
    assert protocol.smallest() == side
    piece = clean[..., :side, :side]
    assert protocol.ssim(protocol.denoised(piece), protocol.crop(piece)).item() == pytest.approx(1)
    with pytest.raises(ValueError, match="needs at least"):
        protocol.ssim(protocol.denoised(piece[..., 1:]), protocol.crop(piece[..., 1:]))
