"""Networks with random weights and the plainest possible Jacobian, shared by the tests of the analysis."""

import copy

import pytest
import torch

from denoiser_priors.networks import zoo

SIZES = {
    "dncnn": {"depth": 5, "width": 6},
    "rcnn": {"hidden_layers": 1, "width": 5, "recurrences": 3},
    "unet": {"width": 4, "inner_width": 6, "merge_width": 5},
    "densenet": {"blocks": 3, "hidden_layers": 1, "width": 5, "link_width": 2},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small operations on several threads of a busy machine wait for each other most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(architecture, *, bias, channels=1, folded=True, **sizes):
    """A small network in evaluation mode whose weights, constants and running statistics are random."""
    model = zoo.build(architecture, bias=bias, channels=channels, **{**SIZES[architecture], **sizes})
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1, generator=generator)
            elif parameter.ndim == 4:
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5, generator=generator)
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5, generator=generator)
    return zoo.fold(model) if folded else model.eval()


def image(channels=1, height=9, width=8, *, batch=None, seed=1):
    shape = (channels, height, width) if batch is None else (batch, channels, height, width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def row_loop(denoiser, y):
    """All rows in float64, one derivative each."""
    if isinstance(denoiser, torch.nn.Module):
        denoiser = copy.deepcopy(denoiser).double()
    x = y.double().requires_grad_()
    output = denoiser(x[None]).flatten()
    return torch.stack([torch.autograd.grad(value, x, retain_graph=True)[0].flatten() for value in output])


def distance(result, expected):
    """Relative distance in the Frobenius norm."""
    return float((result.double() - expected.double()).norm() / expected.double().norm())
