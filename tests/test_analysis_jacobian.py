"""The Jacobian: against the plainest loop on every architecture, identities, memory, and what is refused."""

import argparse

import pytest
import torch
from analysis_cases import distance, image, network, one_thread, row_loop  # noqa: F401
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from denoiser_priors.analysis import frozen
from denoiser_priors.analysis.checks import AnalysisError, NotPiecewiseLinearError, check_piecewise_linear, crop
from denoiser_priors.analysis.jacobian import jacobian
from denoiser_priors.analysis.tracing import trace
from denoiser_priors.errors import DataError, DenoiserPriorsError
from denoiser_priors.networks import released, zoo

EVERY = pytest.mark.parametrize("architecture", list(zoo.ARCHITECTURES))
BOTH = pytest.mark.parametrize("bias", [False, True])


def convolutions(activation, *, channels=1):
    """A network of three convolutions with constants, not one of the zoo."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, 5, 3, padding=1), activation, nn.Conv2d(5, 5, 5, padding=2), activation]
    return nn.Sequential(*layers, nn.Conv2d(5, channels, 3, padding=1)).eval().requires_grad_(False)


@EVERY
@BOTH
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 11, 9), (1, 13, 11)])
def test_equals_the_loop_over_rows(architecture, bias, folded, channels, height, width):
    model = network(architecture, bias=bias, channels=channels, folded=folded)
    y = image(channels, height, width)
    expected = row_loop(model, y)
    for route, dtype in [("frozen", None), ("frozen", torch.float64), ("autograd", None)]:
        result = jacobian(model, y, route=route, dtype=dtype)
        assert result.dtype == (dtype or torch.float32)
        assert distance(result, expected) < (1e-5 if dtype is None else 1e-12)


@BOTH
@pytest.mark.parametrize("recurrences", [1, 2, 3, 4])
def test_every_number_of_recurrences(bias, recurrences):
    model = network("rcnn", bias=bias, recurrences=recurrences, hidden_layers=2)
    y = image(1, 9, 12)
    assert distance(jacobian(model, y, route="frozen"), row_loop(model, y)) < 1e-5


@pytest.mark.parametrize(
    ("padding", "dilation", "groups"), [(2, 2, 1), (3, 3, 1), (1, 1, 2), (2, 2, 2), ((1, 3), (1, 3), 1)]
)
def test_dilated_and_grouped_convolutions(padding, dilation, groups):
    torch.manual_seed(0)
    middle = nn.Conv2d(4, 4, 3, padding=padding, dilation=dilation, groups=groups)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), middle, nn.ReLU(), nn.Conv2d(4, 1, 5, padding=2))
    model = model.eval().requires_grad_(False)
    y = image(1, 10, 13)
    assert distance(jacobian(model, y, route="frozen"), row_loop(model, y)) < 1e-5


@pytest.mark.parametrize("stride", [2, 3])
def test_strides_and_transposed_convolutions(stride):
    torch.manual_seed(0)
    down = nn.Conv2d(3, 4, 3, stride=stride, padding=1)
    up = nn.ConvTranspose2d(4, 3, 4, stride=stride, padding=1)
    # As large as any stride and size can make it; what is too much is sliced off.
    model = nn.Sequential(down, nn.LeakyReLU(0.1), up).requires_grad_(False).eval()

    def denoiser(y):
        height, width = y.shape[-2:]
        return model.to(y.dtype)(nn.functional.pad(y, (1, 2, 0, 3)))[..., :height, -width:]

    y = image(3, 10, 9)
    assert distance(jacobian(denoiser, y, route="frozen", dtype=torch.float64), row_loop(denoiser, y)) < 1e-12


@EVERY
def test_bias_free_networks_are_their_jacobian_times_the_input(architecture):
    model, y = network(architecture, bias=False, channels=3), image(3, 9, 10)
    product = jacobian(model, y) @ y.flatten()
    torch.testing.assert_close(product, model(y[None]).flatten(), rtol=1e-5, atol=1e-5)


@BOTH
def test_windows_narrower_than_the_image_and_wider_ones_agree(bias):
    model = network("dncnn", bias=bias, depth=7)
    y = image(1, 9, 30)
    tall = jacobian(model, y.transpose(1, 2), rows=range(270), route="frozen")
    expected = row_loop(model, y.transpose(1, 2))
    assert distance(tall, expected) < 1e-5
    assert distance(jacobian(model, y, route="frozen"), row_loop(model, y)) < 1e-5


@pytest.mark.parametrize("route", ["frozen", "autograd"])
def test_rows_come_in_the_order_asked_for(route):
    model, y = network("unet", bias=True, channels=3), image(3, 7, 8)
    full = jacobian(model, y, route=route)
    rows = [100, 3, 4, 5, 167, 0, 3]
    torch.testing.assert_close(jacobian(model, y, rows, route=route), full[rows], rtol=1e-5, atol=1e-6)


def test_one_convolution_is_its_own_matrix():
    kernel = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    model = nn.Conv2d(1, 1, 3, padding=1).eval()
    with torch.no_grad():
        model.weight.copy_(kernel)
    rows = jacobian(model, image(1, 4, 5), [7, 0]).view(2, 4, 5)
    expected = torch.zeros(2, 4, 5)
    expected[0, 0:3, 1:4] = kernel
    expected[1, :2, :2] = kernel[1:, 1:]
    assert torch.equal(rows, expected)


def test_identity_and_constant():
    y = image(1, 3, 4)
    assert torch.equal(jacobian(lambda x: x, y), torch.eye(12))
    assert torch.equal(jacobian(lambda x: torch.ones_like(y[None]), y), torch.zeros(12, 12))
    assert torch.equal(jacobian(lambda x: torch.ones_like(y[None]), y, route="autograd"), torch.zeros(12, 12))
    assert torch.equal(jacobian(lambda x: 1 - 2 * x / 4, y, route="frozen"), -torch.eye(12) / 2)


@EVERY
def test_additive_constants_change_masks_only(architecture):
    """A network with constants so large that all ReLUs are open has the Jacobian of the filters alone."""
    model = network(architecture, bias=True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(1e3)
            elif parameter.ndim == 4:
                parameter.abs_()
    y, other = image(), image(seed=5)
    difference = (model.double()((y + other).double()[None]) - model(y.double()[None])).flatten()
    if architecture == "dncnn":  # its last step is a difference, but what is subtracted is linear all the same
        assert difference.abs().max() > 0
    torch.testing.assert_close(jacobian(model, y) @ other.double().flatten(), difference, rtol=1e-6, atol=1e-5)


class _Largest(TorchDispatchMode):
    """The largest tensor that any operation returns, in bytes."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [part.nbytes for part in tree_leaves(result) if isinstance(part, torch.Tensor) and part._base is None]
        self.bytes = max([self.bytes, *sizes])
        return result


@pytest.mark.parametrize("architecture", ["dncnn", "unet"])
def test_memory_bounds_intermediate_values_and_changes_nothing(architecture):
    model = network(architecture, bias=False, **({"width": 24, "depth": 8} if architecture == "dncnn" else {}))
    y = image(1, 20, 20)
    program = trace(model, y[None])
    full = frozen.matrix(program, None, 2**30)
    largest = {}
    for kilobytes in (200, 800, 8000):
        with _Largest() as recorder:
            part = frozen.matrix(program, range(100), kilobytes * 1024)
        largest[kilobytes] = recorder.bytes
        assert recorder.bytes <= max(kilobytes * 1024, part.nbytes)
        torch.testing.assert_close(part, full[:100], rtol=1e-4, atol=1e-6)
        assert distance(frozen.matrix(program, None, kilobytes * 1024), full) < 1e-6
    plans = [frozen.Plan.cheapest(program, 400, size) for size in (200 * 1024, 2**30)]
    assert all(plan.stored_bytes() < size for plan, size in zip(plans, (200 * 1024, 2**30), strict=True))
    assert plans[0].batch(200 * 1024)[0] < plans[1].batch(2**30)[0]


def test_the_halves_meet_where_they_save_most():
    model = network("dncnn", bias=False, depth=20, width=64)
    program = trace(model, image(1, 40, 40)[None])
    plan, whole = frozen.Plan.cheapest(program, 1600, 2**30), frozen.Plan.cheapest(program, 1600, 1)
    assert plan.cost(1600) < whole.cost(1600) / 2.5
    assert whole.stored_bytes() == 0
    # A few rows are cheaper without the pass forward for all pixels.
    assert frozen.Plan.cheapest(program, 3, 2**30).stored_bytes() == 0


def test_chunks_of_autograd_change_nothing():
    model, y = convolutions(nn.Tanh()), image(1, 7, 8)
    expected = row_loop(model, y)
    for megabytes in (1e-6, 0.05, 1024):
        assert distance(jacobian(model, y, memory_mb=megabytes), expected) < 1e-5


def test_a_smooth_network_has_a_jacobian_but_is_not_piecewise_linear():
    model, y = convolutions(nn.Tanh()), image()
    assert distance(jacobian(model, y), row_loop(model, y)) < 1e-5
    with pytest.raises(NotPiecewiseLinearError, match="uses tanh"):
        jacobian(model, y, route="frozen")
    with pytest.raises(NotPiecewiseLinearError, match="second derivative"):
        check_piecewise_linear(model, y[None])


@pytest.mark.parametrize(
    "denoiser",
    [
        lambda y: y * y,
        lambda y: y / y.std(),
        lambda y: y - y.square().mean(dim=(1, 2, 3), keepdim=True),
        lambda y: nn.functional.instance_norm(y),
        lambda y: nn.functional.softplus(y),
        lambda y: torch.conv2d(y, y[:, :, :3, :3], padding=1),
    ],
)
def test_functions_that_are_not_piecewise_linear_are_found_out(denoiser):
    y = image(1, 6, 7)
    with pytest.raises(NotPiecewiseLinearError):
        check_piecewise_linear(denoiser, y[None])
    with pytest.raises(NotPiecewiseLinearError):
        jacobian(denoiser, y, route="frozen")
    assert distance(jacobian(denoiser, y), row_loop(denoiser, y)) < 1e-4


@EVERY
@BOTH
def test_networks_of_the_zoo_are_piecewise_linear(architecture, bias):
    check_piecewise_linear(network(architecture, bias=bias, folded=False), image(batch=2))


@pytest.mark.parametrize(
    "denoiser",
    [
        lambda y: nn.functional.max_pool2d(y, 3, 1, 1),
        lambda y: y.abs(),
        lambda y: torch.where(y > 0.5, 2 * y, y),
        lambda y: y.flip(2).contiguous(),
        lambda y: y.view(1, 1, -1).cumsum(2).view(y.shape),
    ],
)
def test_piecewise_linear_functions_that_cannot_be_frozen_are_differentiated(denoiser):
    y = image(1, 6, 7)
    check_piecewise_linear(denoiser, y[None])
    with pytest.raises(NotPiecewiseLinearError):
        jacobian(denoiser, y, route="frozen")
    assert distance(jacobian(denoiser, y), row_loop(denoiser, y)) < 1e-5


def test_changes_in_place_are_followed_or_refused():
    def followed(y):
        x = y * 2
        x += y
        return x.relu_() * 3

    def hidden(y):
        x = y * 2
        x[:, :, 1:].relu_()
        return x

    y = image() - 0.5
    for denoiser in (followed, hidden):
        assert distance(jacobian(denoiser, y), row_loop(denoiser, y)) < 1e-6
    assert distance(jacobian(followed, y, route="frozen"), row_loop(followed, y)) < 1e-6
    with pytest.raises(NotPiecewiseLinearError, match="in place"):
        jacobian(hidden, y, route="frozen")


def test_the_network_is_left_as_it_was():
    model, y = network("dncnn", bias=True, folded=False), image()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given = y.clone()
    with torch.inference_mode():
        jacobian(model, y, dtype=torch.float64)
    result = jacobian(model, y)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(y, given)
    assert not result.requires_grad


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": torch.full((1, 4, 4), torch.nan)}, DataError, "not finite"),
        ({"y": torch.zeros(2, 1, 4, 4)}, DataError, "2 images"),
        ({"y": torch.zeros(4, 4)}, DataError, r"images \(B, C, H, W\)"),
        ({"y": torch.zeros(1, 4, 4, dtype=torch.uint8)}, DataError, "uint8"),
        ({"rows": [0, 16]}, AnalysisError, "16 is out of range; the image has 16 values, 0 to 15"),
        ({"rows": [-1]}, AnalysisError, "-1 is out of range"),
        ({"rows": []}, AnalysisError, "at least one"),
        ({"dtype": torch.bfloat16}, AnalysisError, "float32 or torch.float64"),
        ({"route": "fast"}, AnalysisError, "auto, frozen, autograd"),
        ({"denoiser": nn.Conv2d(1, 1, 3)}, AnalysisError, r"\(1, 1, 2, 2\) for an input of shape \(1, 1, 4, 4\)"),
        ({"denoiser": nn.BatchNorm2d(1)}, AnalysisError, r"training mode.*eval\(\)"),
    ],
)
def test_refusals_say_what_is_wrong(arguments, error, message):
    given = {"denoiser": nn.Conv2d(1, 1, 3, padding=1).eval(), "y": torch.zeros(1, 4, 4), **arguments}
    with pytest.raises(error, match=message) as raised:
        jacobian(**given)
    assert isinstance(raised.value, DenoiserPriorsError)


def test_a_patch_larger_than_the_image_is_refused():
    y = image(1, 9, 8)
    assert torch.equal(crop(y, 4), y[:, 2:6, 2:6])
    assert torch.equal(crop(y, 4, (5, 0)), y[:, 5:, :4])
    with pytest.raises(DataError, match="9x9 pixels does not fit an image of 8x9; choose a size from 1 to 8"):
        crop(y, 9)
    with pytest.raises(DataError, match="row 6, column 0 sticks out"):
        crop(y, 4, (6, 0))


@pytest.mark.parametrize("architecture", ["dncnn", "rcnn", "unet"])
def test_released_bias_free_networks_are_their_jacobian_times_the_input(mirror, architecture):
    checked = 0
    for checkpoint in released.CHECKPOINTS.values():
        if checkpoint.architecture != architecture or checkpoint.bias or checkpoint.channels != 1:
            continue
        repository, path = checkpoint.source.split(":")
        with torch.serialization.safe_globals([argparse.Namespace]):
            model = released.convert(mirror / repository.split("@")[0] / path, architecture, False, 1)
        model, y = zoo.fold(model), image(1, 20, 20)
        output = model(y[None]).flatten()
        assert distance(jacobian(model, y, route="frozen") @ y.flatten(), output) < 1e-5
        checked += 1
    assert checked >= 3
