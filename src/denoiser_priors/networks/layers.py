"""Building blocks of the networks: convolutions that keep the image size, bias-free batch norm, seeded weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from denoiser_priors.noise import keyed_generator


def conv(inputs: int, outputs: int, kernel: int = 3, *, bias: bool, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Zero-padded convolution; with stride 1 the output has the size of the input."""
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=bias)


class ConvStack(nn.Module):
    """First convolution, `hidden_layers` more of the same width, each followed by ReLU, and a linear last one.

    Args:
        inputs, outputs: channels of the input and of the output.
        width: channels of the layers between.
        hidden_layers: convolutions between the first and the last, which makes `hidden_layers + 2` in all.
        bias: additive constants in all layers; `last_bias` decides for the last one.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int, hidden_layers: int, bias: bool, last_bias: bool):
        super().__init__()
        self.first = conv(inputs, width, bias=bias)
        self.hidden = nn.ModuleList(conv(width, width, bias=bias) for _ in range(hidden_layers))
        self.last = conv(width, outputs, bias=last_bias)

    def pass_through_(self, channels: int) -> None:
        """Make the first `channels` of the output those of the input, where they are not negative."""
        for layer in (self.first, *self.hidden, self.last):
            pass_through(layer, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu_()
        for layer in self.hidden:
            x = layer(x).relu_()
        return self.last(x)


def bias_free_batch_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`x * weight / (sd + eps)` with the unbiased standard deviation of each channel, written out plainly.

    The deviation is taken around the mean, but the mean stays in the output, so that the layer adds nothing
    (Mohan et al. 2020, Appendix A.1). `eps` stands outside the root, as in the authors' code.
    """
    sd = x.var(dim=(0, 2, 3), keepdim=True).sqrt()
    return x / (sd + eps) * weight.view(1, -1, 1, 1)


class _FusedBiasFreeBatchNorm(torch.autograd.Function):
    """The same function and gradient in few passes over memory, with fp32 statistics of half-precision input."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        mean, variance = torch.zeros_like(weight), torch.ones_like(weight)
        # Given running statistics in fp32, the kernel keeps fp32 for half-precision input too; momentum 1 returns
        # the mean and the unbiased variance of this batch in them.
        torch.batch_norm_update_stats(x, mean, variance, 1.0)
        sd = variance.sqrt()
        scale = 1 / (sd + eps)
        y = scale_channels(x, weight * scale)
        ctx.save_for_backward(x, weight, mean, sd, scale)
        ctx.mark_non_differentiable(variance)
        return y, variance

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, mean, sd, scale = ctx.saved_tensors
        count = x.numel() // x.shape[1]
        # With s = 1 / (sd + eps) and A = sum(grad * x), the gradient is
        #   weight * s * (grad - A * s / ((count - 1) * sd) * (x - mean)).
        # The kernel of ordinary batch norm, told that the mean is 0 and the inverse deviation is
        # sqrt(s * count / ((count - 1) * sd)), gives this up to a constant per channel, which is then put right.
        # A constant channel has no gradient through its deviation: any inverse serves there.
        inverse = torch.where(sd > 0, scale * count / ((count - 1) * sd), 1).sqrt()
        gain, no_mean = weight * scale / inverse, torch.zeros_like(mean)
        grad_x, grad_inverse, grad_sum = torch.ops.aten.native_batch_norm_backward(
            grad, x, gain, None, None, no_mean, inverse, True, 0.0, [True, True, True]
        )
        correlation = grad_inverse / inverse
        constant = weight * scale * (grad_sum / count + correlation * inverse.square() / count * mean)
        grad_x += constant.to(grad_x.dtype).view(1, -1, 1, 1)
        return grad_x, correlation * scale, None


def scale_channels(x: Tensor, scale: Tensor) -> Tensor:
    """`x` times a number per channel, in one pass, in the precision of `x`, with `scale` in its own."""
    zeros, ones = torch.zeros_like(scale), torch.ones_like(scale)
    return torch.native_batch_norm(x, scale, zeros, zeros, ones, False, 0.0, 0.0)[0]


class BiasFreeBatchNorm2d(nn.Module):
    """Batch norm without additive constants: divides each channel by its standard deviation, times a learned weight.

    Training: the unbiased deviation of the batch around its mean, the mean not being subtracted; the running
    variance follows with `momentum`. Evaluation: the running variance, so the layer is linear, a factor per channel.

    Not a subclass of `nn.BatchNorm2d`, which distributed wrappers replace by one that subtracts the mean.

    Args:
        channels: channels of the input, (N, channels, H, W).
        eps: added to the deviation (outside the root).
        momentum: weight of the batch in the running variance.
        fused: use the fast kernels where there are any (CPU and CUDA); the plain formula otherwise.

    Raises:
        ValueError: in training, a batch with a single value per channel, which has no deviation.

    Source: Mohan et al. 2020, Appendix A.1, with the unstated details of the authors' code.
    """

    running_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1, fused: bool = True):
        super().__init__()
        self.eps, self.momentum, self.fused = eps, momentum, fused
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def factor(self) -> Tensor:
        """What each channel is multiplied by in evaluation, (channels,)."""
        return self.weight / (self.running_var.sqrt() + self.eps)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * self.factor().to(x.dtype).view(1, -1, 1, 1)
        if x.numel() == x.shape[1]:
            raise ValueError(f"batch norm needs more than one value per channel in training, got {tuple(x.shape)}")
        if self.fused and x.device.type in ("cpu", "cuda"):
            y, variance = _FusedBiasFreeBatchNorm.apply(x, self.weight, self.eps)
        else:
            y = bias_free_batch_norm(x, self.weight, self.eps)
            variance = x.detach().var(dim=(0, 2, 3))
        with torch.no_grad():
            self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)
        return y

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, eps={self.eps}, momentum={self.momentum}"


def fold_batch_norm(layer: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """The convolution that does what `layer` followed by `norm` (biased or bias-free, in evaluation) does."""
    with torch.no_grad():
        if isinstance(norm, BiasFreeBatchNorm2d):
            factor, shift = norm.factor(), None
        else:
            factor = norm.weight / (norm.running_var + norm.eps).sqrt()
            shift = norm.bias - norm.running_mean * factor
        # A copy, not a new layer: drawing or skipping the first weights of a layer takes longer than all of this.
        folded = copy.deepcopy(layer)
        folded.weight = nn.Parameter((layer.weight * factor.view(-1, 1, 1, 1)).contiguous())
        if layer.bias is not None or shift is not None:
            bias = torch.zeros_like(factor) if layer.bias is None else layer.bias * factor
            folded.bias = nn.Parameter(bias if shift is None else bias + shift)
    return folded


def initialise(model: nn.Module, seed: int) -> None:
    """Set all convolutions from `seed` alone: He-normal filters (fan in), zero biases.

    Layers called `last` have no ReLU after them and half the variance. Batch norm keeps the unit weights of its
    construction. Every tensor has its own generator, keyed by its name, so a biased network and its bias-free twin
    start from the same filters, whatever else drew random numbers before.
    """
    with torch.no_grad():
        for name, module in model.named_modules():
            if not isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                continue
            shape = tuple(module.weight.shape)
            if isinstance(module, nn.ConvTranspose2d):
                # Each output pixel of a strided transposed convolution sees only one in stride^2 of the kernel.
                fan_in = shape[0] * shape[2] * shape[3] / math.prod(module.stride)
            else:
                fan_in = math.prod(shape[1:])
            gain = 1.0 if name.endswith("last") else 2.0
            values = keyed_generator("weights", seed, name).standard_normal(shape) * math.sqrt(gain / fan_in)
            module.weight.copy_(torch.from_numpy(values))
            if module.bias is not None:
                module.bias.zero_()


def pass_through(layer: nn.Conv2d | nn.ConvTranspose2d, channels: int, *, first_input: int = 0) -> None:
    """Make the first `channels` outputs copies of the inputs from `first_input` on; halve the other filters.

    A stride takes every other pixel; a transposed convolution (4x4, stride 2) interpolates linearly. As many channels
    are copied as the layer has.
    """
    transposed = isinstance(layer, nn.ConvTranspose2d)
    weight = layer.weight.transpose(0, 1) if transposed else layer.weight
    kernel = torch.zeros(weight.shape[2:])
    if transposed:
        kernel.copy_(torch.outer(*2 * [torch.tensor([0.25, 0.75, 0.75, 0.25])]))
    else:
        kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = 1
    with torch.no_grad():
        weight *= 0.5
        for c in range(min(channels, weight.shape[0], weight.shape[1] - first_input)):
            weight[c] = 0
            weight[c, first_input + c] = kernel
