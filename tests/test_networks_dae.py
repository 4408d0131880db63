"""The released denoising autoencoder: conversion checked against its formula, faults, and what it removes."""

import itertools

import numpy as np
import pytest
import scipy.io
import torch

from denoiser_priors import load_denoiser
from denoiser_priors.errors import CheckpointError
from denoiser_priors.networks import zoo
from denoiser_priors.networks.dae import load_dae


def layers(channels=3, width=4, depth=4, seed=0):
    """Weights (3, 3, inputs, outputs) and constants (outputs, 1) as MatConvNet keeps them."""
    generator = np.random.default_rng(seed)
    sizes = [channels, *[width] * (depth - 1), channels]
    return [
        (generator.standard_normal((3, 3, i, o)) / 5, generator.standard_normal((o, 1)))
        for i, o in itertools.pairwise(sizes)
    ]


def write(path, weights, kinds=None):
    net = np.empty((1, 2 * len(weights) - 1), object)
    for index in range(net.size):
        if index % 2 == 0:
            pair = np.empty((1, 2), object)
            pair[0, 0], pair[0, 1] = weights[index // 2]
            net[0, index] = {"type": "conv", "weights": pair, "pad": 1}
        else:
            net[0, index] = {"type": "relu", "weights": np.empty((0, 0), object)}
    for index, kind in (kinds or {}).items():
        net[0, index]["type"] = kind
    scipy.io.savemat(path, {"net": net})
    return path


def theirs(x, weights):
    """The released formula: images in [0, 255], blue first, input plus output (correlation, padding with zeros)."""
    bgr = x.flip(1) * 255
    y = bgr
    for index, (weight, bias) in enumerate(weights):
        y = torch.conv2d(
            y, torch.from_numpy(weight.transpose(3, 2, 0, 1).copy()), torch.from_numpy(bias.ravel()), padding=1
        )
        y = y if index == len(weights) - 1 else y.relu()
    return (bgr + y).flip(1) / 255


@pytest.mark.parametrize("channels", [1, 3])
def test_the_converted_network_is_the_released_formula(tmp_path, channels):
    weights = layers(channels)
    model = load_dae(write(tmp_path / "net.mat", weights)).double()
    assert (model.architecture, model.bias, model.channels) == ("dncnn", True, channels)
    x = torch.rand(2, channels, 9, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = theirs(x, weights)
    with torch.no_grad():
        assert torch.allclose(model(x), expected, rtol=1e-6, atol=1e-7)
        assert torch.allclose(zoo.fold(model)(x), expected, rtol=1e-6, atol=1e-7)


def test_it_is_a_weights_file_like_others(tmp_path):
    path = write(tmp_path / "net.mat", layers())
    model = load_dae(path)
    zoo.save(model, tmp_path / "weights.safetensors", model.metadata)
    x = torch.rand(1, 3, 8, 8)
    again, direct = load_denoiser(tmp_path / "weights.safetensors"), load_denoiser(path)
    assert torch.allclose(again(x), direct(x), atol=1e-6)
    assert again.metadata["noise_range"] == [11, 11]


def test_files_that_hold_no_such_network_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such weights file"):
        load_dae(tmp_path / "missing.mat")
    (tmp_path / "text.mat").write_text("not a MATLAB file, though it is called one " * 9)
    with pytest.raises(CheckpointError, match=r"text\.mat: not a MATLAB file"):
        load_dae(tmp_path / "text.mat")
    scipy.io.savemat(tmp_path / "other.mat", {"kernels": np.ones((3, 3))})
    with pytest.raises(CheckpointError, match="holds no network"):
        load_dae(tmp_path / "other.mat")
    with pytest.raises(CheckpointError, match="layer 2 of net is 'pool', expected 'relu'"):
        load_dae(write(tmp_path / "pool.mat", layers(), {1: "pool"}))


def test_damaged_files_are_refused(tmp_path):
    path = write(tmp_path / "net.mat", layers())
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(CheckpointError, match=r"net\.mat: "):
        load_dae(path)


def test_weights_are_checked(tmp_path):
    weights = layers()
    weights[2][0][0, 0, 0, 0] = np.nan
    with pytest.raises(CheckpointError, match="convolution 3 has values that are not finite"):
        load_dae(write(tmp_path / "nan.mat", weights))
    weights = layers()
    weights[1] = (np.zeros((3, 3, 4, 5)), np.zeros((5, 1)))
    with pytest.raises(CheckpointError, match=r"convolution 2 has weights \(5, 4, 3, 3\) and 5 constants, expected"):
        load_dae(write(tmp_path / "shape.mat", weights))
    with pytest.raises(CheckpointError, match="takes 2 channels"):
        load_dae(write(tmp_path / "two.mat", layers(channels=2)))


def test_the_released_autoencoder_removes_the_noise_it_was_trained_on(mirror):
    """Colour noise of 11 on part of a photograph of Set5: 27.3 dB become more than 36."""
    from denoiser_priors.data.images import read_image
    from denoiser_priors.metrics.quality import psnr

    model = load_denoiser(mirror / "siavashBigdeli/DMSP/DAEs/matconvnet_std11/DAE_sigma11.mat")
    assert sum(p.numel() for p in model.parameters()) == 668_227
    path = mirror / "LabForComputationalVision/universal_inverse_problem/test_images/color/Set5/bird.png"
    x = torch.from_numpy(read_image(path)[80:176, 80:176].copy()).permute(2, 0, 1)[None].float() / 255
    noisy = x + 11 / 255 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        right, swapped = model(noisy), model(noisy.flip(1)).flip(1)
    assert 27.1 < float(psnr(noisy, x)) < 27.5
    assert float(psnr(right, x)) > 36
    assert float(psnr(right, x)) > float(psnr(swapped, x))
