"""Records what a denoiser computes at one image as the linear maps it consists of there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from denoiser_priors.analysis.checks import NotPiecewiseLinearError, check_output
from denoiser_priors.analysis.program import Convolve, Edge, Map, Multiply, Place, Program, Resample, simplified


def trace(denoiser: Callable[[Tensor], Tensor], y: Tensor) -> Program:
    """The Jacobian of a denoiser at one image, as a program: every ReLU replaced by the factors 0 or 1 it has there.

    The denoiser runs once. Its operations are watched below the level of modules, so it may be any function, and none
    that the image passes through is missed. Additive constants do not appear: they have no derivative.

    Args:
        denoiser: from (1, C, H, W) to the same shape.
        y: (1, C, H, W).

    Raises:
        NotPiecewiseLinearError: the image meets an operation other than convolutions, ReLU (leaky too), constant
            factors and terms, batch norm in evaluation, concatenation, slices and padding with constants; names it.
        AnalysisError: the output has another shape.
    """
    recorder = _Recorder(y)
    with torch.no_grad(), recorder:
        output = denoiser(y)
    check_output(output, y)
    # A node of its own: the denoiser may return what it was given, or a constant.
    node = recorder.node(output) if recorder.knows(output) else None
    recorder.shapes.append(tuple(output.shape[1:]))
    last = len(recorder.shapes) - 1
    if node is not None:
        recorder.edges.append(Edge(node, last, Multiply(output.new_ones(1, 1, 1))))
    return simplified(recorder.shapes, recorder.edges, last)


class _Recorder(TorchDispatchMode):
    """Follows the image through the operations below autograd; those without an entry in `_RULES` stop it."""

    def __init__(self, y: Tensor):
        super().__init__()
        self.dtype = y.dtype
        self.shapes: list[tuple[int, int, int]] = []
        self.edges: list[Edge] = []
        self._nodes: dict[int, int] = {}
        self._alive: list[Tensor] = []  # keeps the keys of `_nodes` unique
        self.add(y, [])

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if not any(self.knows(part) for part in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)
        rule = _RULES.get(name.removesuffix("_") if name not in _RULES else name)
        if rule is None:
            raise self.refusal(name)
        names = [argument.name for argument in func._schema.arguments]
        defaults = {argument.name: argument.default_value for argument in func._schema.arguments}
        bound = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
        if name.endswith("_") and self._has_other_views(args[0]):
            raise self.refusal(f"{name} in place on a tensor of which there are other views")
        return rule(self, bound, lambda: func(*args, **kwargs))

    def _has_other_views(self, tensor: Tensor) -> bool:
        memory = tensor.untyped_storage().data_ptr()
        return any(other is not tensor and other.untyped_storage().data_ptr() == memory for other in self._alive)

    def knows(self, value: Any) -> bool:
        return isinstance(value, Tensor) and id(value) in self._nodes

    def node(self, tensor: Tensor) -> int:
        return self._nodes[id(tensor)]

    def add(self, tensor: Tensor, incoming: list[tuple[Tensor | int, Map]]) -> Tensor:
        """A new node, whose value is `tensor` here; returns `tensor`."""
        if tensor.ndim != 4 or tensor.shape[0] != 1 or tensor.dtype != self.dtype:
            raise self.refusal(f"a value of shape {tuple(tensor.shape)} and type {tensor.dtype}")
        self.shapes.append(tuple(tensor.shape[1:]))
        node = len(self.shapes) - 1
        for source, map_ in incoming:
            self.edges.append(Edge(source if isinstance(source, int) else self.node(source), node, map_))
        self._nodes[id(tensor)] = node
        self._alive.append(tensor)
        return tensor

    def add_after(self, run: Callable[[], Tensor], source: Tensor, map_: Map) -> Tensor:
        """A new node that is a map of one other, which `run` may overwrite in place."""
        node = self.node(source)
        return self.add(run(), [(node, map_)])

    def refusal(self, what: str) -> NotPiecewiseLinearError:
        return NotPiecewiseLinearError(
            f"the denoiser uses {what}, which is not known to be piecewise linear; expected convolutions, ReLU, "
            "batch norm in evaluation mode, concatenation, slices and padding."
        )


def _convolution(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    x, weight = a["input"], a["weight"]
    if recorder.knows(weight) or recorder.knows(a["bias"]) or x.ndim != 4:
        raise recorder.refusal("a convolution whose filters depend on the image")
    output = run()
    weight = weight.detach().contiguous(memory_format=torch.channels_last)
    stride, padding, dilation = ([*a[key], *a[key]][:2] for key in ("stride", "padding", "dilation"))
    kernel = weight.shape[2:]
    same = all(2 * p == d * (k - 1) and k % 2 for p, d, k in zip(padding, dilation, kernel, strict=True))
    if same and stride == [1, 1] and not a["transposed"]:
        map_: Map = Convolve(weight, tuple(dilation), a["groups"])
    else:
        sizes = (tuple(x.shape[2:]), tuple(output.shape[2:]))
        map_ = Resample(weight, tuple(stride), tuple(padding), tuple(dilation), a["groups"], sizes, a["transposed"])
    return recorder.add(output, [(x, map_)])


def _relu(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    x = a["self"]
    mask = (x > 0).to(x.dtype)
    if "negative_slope" in a:
        mask += (1 - mask) * a["negative_slope"]
    return recorder.add_after(run, x, Multiply(mask[0]))


def _sum(sign: float, other_sign: float) -> Callable:
    def rule(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
        alpha = a["alpha"]
        scale, other_scale = (alpha, 1.0) if sign < 0 else (1.0, alpha)
        terms = [(a["self"], sign * scale), (a["other"], other_sign * other_scale)]
        sources = [
            (recorder.node(x), Multiply(x.new_full((1, 1, 1), s)), x.shape) for x, s in terms if recorder.knows(x)
        ]
        output = run()
        if any(shape != output.shape for *_, shape in sources):
            raise recorder.refusal("broadcasting of a sum")
        return recorder.add(output, [source[:2] for source in sources])

    return rule


def _product(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    x, factor = a["self"], a["other"]
    if recorder.knows(factor):
        x, factor = factor, x
    if recorder.knows(factor):
        raise recorder.refusal("a product of two values that depend on the image")
    return _factor(recorder, x, factor, run)


def _quotient(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    if recorder.knows(a["other"]) or a.get("rounding_mode"):
        raise recorder.refusal("a division by a value that depends on the image, or with rounding")
    return _factor(recorder, a["self"], 1 / torch.as_tensor(a["other"], dtype=recorder.dtype), run)


def _factor(recorder: _Recorder, x: Tensor, factor: Any, run: Callable[[], Tensor]) -> Tensor:
    factor = torch.as_tensor(factor, dtype=x.dtype, device=x.device)
    factor = factor.reshape((1,) * (4 - factor.ndim) + tuple(factor.shape))
    if torch.broadcast_shapes(factor.shape, x.shape) != x.shape:
        raise recorder.refusal("broadcasting of a product")
    return recorder.add_after(run, x, Multiply(factor[0].clone()))


def _negative(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    return _factor(recorder, a["self"], -1.0, run)


def _copy(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    return _factor(recorder, a["self"], 1.0, run)


def _batch_norm(recorder: _Recorder, a: dict, run: Callable[[], tuple]) -> tuple:
    x = a["input"]
    if a.get("training", False) or a["running_var"] is None or any(recorder.knows(a[k]) for k in ("weight", "bias")):
        raise recorder.refusal("batch norm with the statistics of the image")
    scale = (a["running_var"] + a.get("eps", a.get("epsilon"))).rsqrt()
    if a["weight"] is not None:
        scale = scale * a["weight"]
    output = run()
    recorder.add(output[0], [(x, Multiply(scale.detach().to(x.dtype).view(-1, 1, 1)))])
    return output


def _concatenate(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    if a["dim"] % 4 == 0:
        raise recorder.refusal("concatenation along the batch")
    output, offset, incoming = run(), [0, 0, 0], []
    for x in a["tensors"]:
        if recorder.knows(x):
            incoming.append((x, Place((0, 0, 0), tuple(offset), tuple(x.shape[1:]))))
        offset[a["dim"] % 4 - 1] += x.shape[a["dim"]]
    return recorder.add(output, incoming)


def _pad(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    x, output = a["self"], run()
    before = [0, 0, 0, 0]
    for i in range(len(a["pad"]) // 2):
        before[3 - i] = a["pad"][2 * i]
    start = [max(0, -b) for b in before]
    target = [max(0, b) for b in before]
    size = [min(n - s, m - t) for n, s, m, t in zip(x.shape, start, output.shape, target, strict=True)]
    return recorder.add(output, [(x, Place(tuple(start[1:]), tuple(target[1:]), tuple(size[1:])))])


def _slice(recorder: _Recorder, a: dict, run: Callable[[], Tensor]) -> Tensor:
    x, output = a["self"], run()
    if a["step"] != 1:
        raise recorder.refusal("slices with a step")
    start, length = a["start"] or 0, x.shape[a["dim"]]
    source = [0, 0, 0, 0]
    source[a["dim"]] = min(max(start + length if start < 0 else start, 0), length)
    return recorder.add(output, [(x, Place(tuple(source[1:]), (0, 0, 0), tuple(output.shape[1:])))])


_RULES: dict[str, Callable] = {
    "convolution": _convolution,
    "relu": _relu,
    "leaky_relu": _relu,
    "add": _sum(1.0, 1.0),
    "sub": _sum(1.0, -1.0),
    "rsub": _sum(-1.0, 1.0),
    "mul": _product,
    "div": _quotient,
    "neg": _negative,
    "clone": _copy,
    "_to_copy": _copy,
    "alias": _copy,
    "native_batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "cat": _concatenate,
    "constant_pad_nd": _pad,
    "slice": _slice,
}
