"""The networks that are timed: of the authors' sizes, with random weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.rounds import Settings
from denoiser_priors.networks import zoo
from denoiser_priors.networks.layers import bias_free_batch_norm

SIZES = {"depth": 20, "width": 64}
SMALL = {"depth": 4, "width": 8}


class PlainDnCNN(nn.Module):
    """DnCNN as one would first write it, with the weights of `model`: nothing fused, folded or in place."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.first, self.hidden, self.norms, self.last = model.first, model.hidden, model.norms, model.last
        self.bias = model.bias

    def forward(self, noisy: Tensor) -> Tensor:
        x = torch.relu(self.first(noisy))
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = layer(x)
            plain = self.bias or not self.training
            x = torch.relu(norm(x) if plain else bias_free_batch_norm(x, norm.weight, norm.eps))
        return noisy - self.last(x)


def network(settings: Settings, *, spread: float, bias: bool = False) -> nn.Module:
    """DnCNN in evaluation mode, not folded, whose output differs from its input, which that of a new one does not.

    Args:
        spread: standard deviation of the weights of the last layer.
    """
    model = zoo.build("dncnn", bias=bias, **settings.size(SIZES, SMALL))
    with torch.no_grad():
        model.last.weight.normal_(0, spread, generator=torch.Generator().manual_seed(0))
    return model.eval().to(settings.device)
