"""Sweeps: the same noise for everyone, rows that do not depend on batches, faults that name image and level."""

import numpy as np
import pytest
import torch
from skimage import data
from torch import nn

from denoiser_priors.data.images import Image, read_folder
from denoiser_priors.errors import ConfigError, DataError, ResultError
from denoiser_priors.evaluation import sweep
from denoiser_priors.evaluation.sweep import evaluate_images
from denoiser_priors.metrics import quality
from denoiser_priors.networks import zoo
from denoiser_priors.noise import noise_field
from denoiser_priors.tables import EVALUATION_COLUMNS, write_csv


def photographs(sizes, channels=1):
    photo = data.astronaut()[..., :channels]
    return [Image(f"img{k}", photo[9 * k : 9 * k + h, 100 : 100 + w].copy()) for k, (h, w) in enumerate(sizes)]


def shrink(noisy):
    """A denoiser that knows nothing: half-way to middle gray."""
    return 0.5 * noisy + 0.25


def run(denoiser=shrink, images=None, **changes):
    settings = {"name": "d", "dataset": "set", "sigmas": [10, 50], "draws": 2}
    images = photographs([(32, 40)] * 3 + [(40, 32)]) if images is None else images
    return evaluate_images(denoiser, images, **(settings | changes))


class FixedLpips:
    """Stands in for LPIPS: squared distance of mean colours."""

    minimum_size = 31

    def embed(self, x):
        return x.mean(dim=(2, 3))

    def distance(self, a, b):
        return (a - b).square().sum(dim=-1)


def test_rows_are_images_by_levels_by_draws_in_order():
    table = run(images=photographs([(16, 16)] * 11), sigmas=[50, 10])
    assert tuple(table.columns) == EVALUATION_COLUMNS
    assert table["image"].tolist() == [f"img{k}" for k in range(11) for _ in range(4)]
    assert table["sigma"].tolist() == [10, 10, 50, 50] * 11
    assert table["draw"].tolist() == [0, 1] * 22
    assert set(zip(table["denoiser"], table["dataset"], table["noise"], table["protocol"], strict=True)) == {
        ("d", "set", "gaussian", "bias_free")
    }


def test_values_are_those_of_one_image_by_hand():
    image = photographs([(32, 40)])[0]
    table = run(images=[image], sigmas=[50], draws=2, seed=3, noise="uniform")
    clean = torch.from_numpy(image.pixels).permute(2, 0, 1)[None].float() / 255
    field = noise_field((1, 32, 40), 50, seed=3, dataset="set", image="img0", draw=1, noise="uniform")
    noisy = clean + torch.from_numpy(field)[None]
    # The denoiser sees the noise unclipped; the metrics see clipped images.
    denoised, clipped = shrink(noisy).clamp(0, 1), noisy.clamp(0, 1)
    expected = {
        "input_psnr": quality.psnr(clipped, clean),
        "psnr": quality.psnr(denoised, clean),
        "input_ssim": quality.ssim(clipped, clean),
        "ssim": quality.ssim(denoised, clean),
    }
    for column, value in expected.items():
        assert table[column][1] == pytest.approx(value.item(), abs=1e-6)


@pytest.mark.parametrize("pixels", [1, 3000, 10**6])
def test_table_does_not_depend_on_batches(pixels, monkeypatch, tmp_path):
    images = photographs([(32, 40), (32, 40), (20, 20), (32, 40), (40, 32)])
    write_csv(run(images=images, lpips=FixedLpips()), tmp_path / "default.csv")
    monkeypatch.setitem(sweep.BATCH_PIXELS, "cpu", pixels)
    write_csv(run(images=images[::-1], lpips=FixedLpips()), tmp_path / "other.csv")
    assert (tmp_path / "default.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()


def test_batches_stay_within_their_pixels(monkeypatch):
    monkeypatch.setitem(sweep.BATCH_PIXELS, "cpu", 5000)
    seen = []

    def watch(noisy):
        seen.append(noisy.shape)
        return noisy

    run(watch, photographs([(32, 40)] * 5 + [(100, 100)]), sigmas=[10, 20, 30])
    assert all(n * h * w <= 5000 or n == 1 for n, _, h, w in seen)
    assert max(n for n, *_ in seen) == 3
    assert sum(n for n, *_ in seen) == 6 * 3 * 2


def test_every_denoiser_sees_the_same_noisy_images():
    seen = {"first": [], "second": []}
    for name, batches in seen.items():
        run(lambda noisy, batches=batches: batches.append(noisy) or noisy, name=name)
    for one, two in zip(*seen.values(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_an_image_has_the_same_noise_alone_and_among_others():
    images = photographs([(32, 40)] * 4)
    alone = run(images=images[2:3])
    among = run(images=images).query("image == 'img2'").reset_index(drop=True)
    np.testing.assert_allclose(alone["input_psnr"], among["input_psnr"], rtol=0, atol=1e-9)


def test_draws_seeds_and_datasets_have_other_noise():
    tables = [run(), run(seed=1), run(dataset="other"), run(noise="uniform")]
    values = np.stack([table["input_psnr"] for table in tables])
    assert len(np.unique(values.round(9))) == values.size


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_input_psnr_of_unclipped_noise_is_that_of_its_level(noise):
    table = run(images=photographs([(200, 200)]), noise=noise, protocol="kair", sigmas=[10, 50])
    expected = -20 * np.log10(table["sigma"] / 255)
    np.testing.assert_allclose(table["input_psnr"], expected, rtol=0, atol=0.1)


def test_noisy_test_images_have_the_released_quality(mirror):
    """The input PSNR and SSIM of Set68 stored with Mohan et al. 2020's released metrics, clipped before measuring."""
    images = read_folder(mirror / "LabForComputationalVision/bias_free_denoising/data/Test/Set68", 1)
    means = (
        run(lambda x: x, images, sigmas=[10, 50, 100], draws=1).groupby("sigma")[["input_psnr", "input_ssim"]].mean()
    )
    np.testing.assert_allclose(means["input_psnr"], [28.2623, 14.9137, 10.3148], rtol=0, atol=0.01)
    np.testing.assert_allclose(means["input_ssim"], [0.72299, 0.21802, 0.09586], rtol=0, atol=0.001)


def test_lpips_is_of_the_clipped_image_and_empty_where_too_small():
    images = [Image("large", np.full((31, 31, 1), 200, np.uint8)), Image("small", np.full((30, 40, 1), 200, np.uint8))]
    table = run(lambda noisy: torch.full_like(noisy, 3.0), images, sigmas=[10], draws=1, lpips=FixedLpips())
    assert table["lpips"][0] == pytest.approx((1 - 200 / 255) ** 2, abs=1e-6)
    assert np.isnan(table["lpips"][1])
    assert run(images=images)["lpips"].isna().all()
    bordered = run(images=images, lpips=FixedLpips(), protocol="bias_free(border=1)")
    assert bordered["lpips"].isna().all()


def test_lpips_rows_belong_to_their_images():
    images = photographs([(32, 40)] * 4)
    table = run(images=images, lpips=FixedLpips())
    for image in images:
        field = noise_field((1, 32, 40), 50, seed=0, dataset="set", image=image.name, draw=1)
        clean = torch.from_numpy(image.pixels).permute(2, 0, 1).float() / 255
        denoised = shrink(clean + torch.from_numpy(field)).clamp(0, 1)
        row = table.query("image == @image.name and sigma == 50 and draw == 1")
        assert row["lpips"].item() == pytest.approx((denoised.mean() - clean.mean()).square().item(), abs=1e-7)


def test_network_is_evaluated_in_evaluation_mode_and_given_back_as_it_was():
    network = zoo.build("dncnn", bias=True, depth=4, width=8)
    expected = run(network.eval())
    network.train()
    next(network.children()).eval()
    modes = [module.training for module in network.modules()]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    np.testing.assert_allclose(run(network)["psnr"], expected["psnr"], rtol=0, atol=1e-9)
    assert [module.training for module in network.modules()] == modes
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_output_that_is_not_finite_is_named(bad):
    def breaks(noisy):
        denoised = noisy.clone()
        denoised[noisy.flatten(1).std(dim=1) > 0.3, :, 0, 0] = bad
        return denoised

    images = [Image("calm", np.full((32, 32, 1), 128, np.uint8)), *photographs([(32, 32)])]
    with pytest.raises(
        ResultError, match=r"'d' gives values that are not finite for the image '(calm|img0)' at sigma 100"
    ):
        run(breaks, images, sigmas=[10, 100])


def test_channels_that_differ_are_refused():
    network = zoo.build("dncnn", bias=False, depth=3, width=4)
    with pytest.raises(DataError, match=r"'img0' has 3 channel\(s\) but the denoiser 'd' is for 1"):
        run(network, photographs([(16, 16)], channels=3))


def test_output_of_another_shape_is_refused():
    with pytest.raises(DataError, match=r"returned \(\d, 1, 15, 16\) for an input of shape \(\d, 1, 16, 16\)"):
        run(lambda noisy: noisy[:, :, 1:], photographs([(16, 16)]))
    with pytest.raises(DataError, match="returned ndarray"):
        run(lambda noisy: noisy.numpy(), photographs([(16, 16)]))


def test_images_that_cannot_be_measured_are_refused():
    with pytest.raises(DataError, match="no images"):
        run(images=[])
    with pytest.raises(DataError, match="two images are called 'img0'"):
        run(images=photographs([(16, 16)]) * 2)
    with pytest.raises(DataError, match=r"'img1' is 20x6 pixels.*at least 7x7"):
        run(images=photographs([(16, 16), (6, 20)]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigmas": []}, "sigma: expected"),
        ({"sigmas": [10, -5]}, r"not \[10, -5\]"),
        ({"sigmas": [float("nan")]}, "sigma: expected"),
        ({"noise": "poisson"}, "gaussian or uniform, not 'poisson'"),
        ({"draws": 0}, "draws: expected"),
        ({"protocol": "best"}, "protocol 'best' is unknown"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        run(**wrong)


def test_level_zero_returns_the_clean_image():
    table = run(nn.Identity(), sigmas=[0], draws=1)
    assert np.isinf(table["psnr"]).all()
    np.testing.assert_allclose(table["ssim"], 1, rtol=0, atol=1e-12)
