"""Bias-free batch norm: its formula, its gradient, its running variance, its fold."""

import pytest
import torch
from torch import nn

from denoiser_priors.networks.layers import BiasFreeBatchNorm2d, bias_free_batch_norm, conv, fold_batch_norm

LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])


def _input(layout, *, dtype=torch.float64, size=(4, 5, 6, 3)):
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([-3.0, 0.0, 0.5, 2.0, 10.0], dtype=torch.float64).view(1, -1, 1, 1)
    x = torch.randn(size, generator=generator, dtype=torch.float64) + means
    return x.to(dtype).to(memory_format=layout)


def _layer(channels=5, *, dtype=torch.float64, **keys):
    layer = BiasFreeBatchNorm2d(channels, **keys).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1.0, 2.0, channels))
    return layer


@LAYOUTS
def test_training_gradient_is_the_plain_formulas(layout):
    layer = _layer()
    x = _input(layout).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, _: layer(x), (x, layer.weight))
    cotangent = torch.sin(torch.arange(x.numel(), dtype=x.dtype)).view_as(x)
    fused = torch.autograd.grad(layer(x), (x, layer.weight), cotangent)
    plain = torch.autograd.grad(bias_free_batch_norm(x, layer.weight, layer.eps), (x, layer.weight), cotangent)
    torch.testing.assert_close(fused, plain, rtol=1e-12, atol=1e-13)


def test_gradient_through_the_mean_is_there():
    layer = _layer()
    x = _input(torch.contiguous_format).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).sum(), x)
    # y = x w / sd: what comes from sd sums to zero over a channel, the direct part to n w / sd.
    expected = x[:, 0].numel() * layer.weight / (x.var(dim=(0, 2, 3)).sqrt() + layer.eps)
    torch.testing.assert_close(gradient.sum(dim=(0, 2, 3)), expected)


@LAYOUTS
def test_training_output_keeps_the_mean_and_has_unit_deviation(layout):
    layer = _layer()
    x = _input(layout)
    y = layer(x)
    torch.testing.assert_close(y.std(dim=(0, 2, 3)), layer.weight.abs(), rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(
        y.mean(dim=(0, 2, 3)), layer.weight * x.mean(dim=(0, 2, 3)) / x.std(dim=(0, 2, 3)), rtol=1e-4, atol=1e-9
    )


def test_running_variance_follows_the_unbiased_variance():
    layer = _layer(momentum=0.25)
    x = _input(torch.channels_last)
    layer(x)
    torch.testing.assert_close(layer.running_var, 0.75 + 0.25 * x.var(dim=(0, 2, 3)))
    before = layer.running_var.clone()
    layer.eval()(x)
    torch.testing.assert_close(layer.running_var, before, rtol=0, atol=0)


def test_evaluation_has_eps_outside_the_root():
    layer = _layer(dtype=torch.float32).eval()
    layer.running_var.fill_(1e-10)
    x = torch.ones(1, 5, 2, 2)
    expected = layer.weight / 2e-5
    torch.testing.assert_close(layer(x), expected.view(1, -1, 1, 1).expand_as(x), rtol=1e-5, atol=0)


def test_fused_and_plain_modules_agree():
    fused, plain = _layer(), _layer(fused=False)
    x = _input(torch.channels_last)
    torch.testing.assert_close(fused(x), plain(x))
    torch.testing.assert_close(fused.running_var, plain.running_var)


@LAYOUTS
def test_half_precision_input_has_float32_statistics(layout):
    layer = _layer(dtype=torch.float32)
    x = _input(layout, dtype=torch.bfloat16, size=(8, 5, 16, 16)).requires_grad_()
    y = layer(x)
    assert y.dtype == torch.bfloat16
    exact = x.detach().double().var(dim=(0, 2, 3))
    torch.testing.assert_close(layer.running_var.double(), 0.9 + 0.1 * exact, rtol=1e-5, atol=0)
    weight = layer.weight.detach().double().requires_grad_()
    x64 = x.detach().double().requires_grad_()
    cotangent = torch.cos(torch.arange(x.numel(), dtype=torch.float64)).view_as(x)
    ours = torch.autograd.grad(y, (x, layer.weight), cotangent.to(x.dtype))
    exact = torch.autograd.grad(bias_free_batch_norm(x64, weight, layer.eps), (x64, weight), cotangent)
    for mine, reference in zip(ours, exact, strict=True):
        assert (mine - reference).norm() < 0.01 * reference.norm()


def test_a_constant_channel_has_a_finite_gradient():
    layer = _layer(channels=2, dtype=torch.float32)
    x = torch.stack([torch.zeros(3, 4, 4), torch.randn(3, 4, 4)], dim=1).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).sum(), x)
    assert torch.isfinite(gradient).all()


def test_a_single_value_per_channel_is_refused_in_training():
    with pytest.raises(ValueError, match="more than one value per channel"):
        BiasFreeBatchNorm2d(3)(torch.ones(1, 3, 1, 1))


def test_distributed_wrappers_leave_it_alone():
    network = nn.Sequential(BiasFreeBatchNorm2d(3), nn.BatchNorm2d(3))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    assert type(converted[0]) is BiasFreeBatchNorm2d
    assert type(converted[1]) is nn.SyncBatchNorm


@pytest.mark.parametrize("layer_bias", [False, True])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d, BiasFreeBatchNorm2d])
def test_fold_is_the_composition(norm, layer_bias):
    torch.manual_seed(0)
    layer, norm = conv(3, 4, bias=layer_bias).double(), norm(4).double()
    for tensor in (*norm.parameters(), norm.running_var):
        tensor.data.uniform_(0.5, 2)
    if hasattr(norm, "running_mean"):
        norm.running_mean.normal_()
    norm.eval()
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(fold_batch_norm(layer, norm)(x), norm(layer(x)))
