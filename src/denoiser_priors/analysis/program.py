"""A denoiser frozen at one image: the linear maps it consists of there, as a graph that can be transposed."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Convolve:
    """Convolution with stride 1 and zero padding that keeps the size; weight (out, in / groups, kh, kw), odd kernel."""

    weight: Tensor
    dilation: tuple[int, int]
    groups: int = 1

    @property
    def reach(self) -> tuple[int, int]:
        """How many rows and columns from a pixel it sees."""
        return tuple(d * (k // 2) for d, k in zip(self.dilation, self.weight.shape[2:], strict=True))

    def transposed(self) -> Convolve:
        grouped = self.weight.unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
        return Convolve(grouped.contiguous(memory_format=torch.channels_last), self.dilation, self.groups)


@dataclass(frozen=True, eq=False)
class Resample:
    """Any other convolution, or its transpose: strides, even kernels, other padding. From `sizes[0]` to `sizes[1]`."""

    weight: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    sizes: tuple[tuple[int, int], tuple[int, int]]
    up: bool

    def transposed(self) -> Resample:
        return Resample(
            self.weight, self.stride, self.padding, self.dilation, self.groups, self.sizes[::-1], not self.up
        )

    def __call__(self, x: Tensor) -> Tensor:
        if not self.up:
            return torch.conv2d(x, self.weight, None, self.stride, self.padding, self.dilation, self.groups)
        shapes = zip(*self.sizes, self.weight.shape[2:], self.stride, self.padding, self.dilation, strict=True)
        extra = [big - ((small - 1) * s - 2 * p + d * (k - 1) + 1) for small, big, k, s, p, d in shapes]
        return torch.conv_transpose2d(
            x, self.weight, None, self.stride, self.padding, extra, self.groups, self.dilation
        )


@dataclass(frozen=True, eq=False)
class Multiply:
    """Element-wise factors that broadcast to (C, H, W): a ReLU's mask, the scale of a batch norm, a sign."""

    factor: Tensor

    def transposed(self) -> Multiply:
        return self


@dataclass(frozen=True, eq=False)
class Place:
    """The box of `size` (C, H, W) at `source` goes to `target`: concatenation, slices, padding."""

    source: tuple[int, int, int]
    target: tuple[int, int, int]
    size: tuple[int, int, int]

    def transposed(self) -> Place:
        return Place(self.target, self.source, self.size)


Map = Convolve | Resample | Multiply | Place


@dataclass(frozen=True, eq=False)
class Edge:
    """A linear map from the value of one node to (a summand of) another's."""

    source: int
    target: int
    map: Map


@dataclass(frozen=True, eq=False)
class Program:
    """Nodes 0 (the image) to the last (the output) in an order of computation; a value is the sum over incoming edges.

    Attributes:
        shapes: (C, H, W) of every node.
        edges: all edges, each from a lower to a higher node.
    """

    shapes: list[tuple[int, int, int]]
    edges: list[Edge]
    incoming: dict[int, list[Edge]] = field(init=False, default_factory=dict)

    def __post_init__(self):
        for edge in self.edges:
            self.incoming.setdefault(edge.target, []).append(edge)

    def transposed(self) -> Program:
        """The transposed linear map: all edges turned around, the output is node 0."""
        last = len(self.shapes) - 1
        edges = [Edge(last - e.target, last - e.source, e.map.transposed()) for e in reversed(self.edges)]
        return Program(self.shapes[::-1], edges)

    def local(self, edge: Edge) -> bool:
        """Whether the edge keeps pixels where they are, up to a convolution's reach."""
        if isinstance(edge.map, Place):
            place, image = edge.map, self.shapes[edge.source][1:]
            return image == self.shapes[edge.target][1:] == place.size[1:]
        return not isinstance(edge.map, Resample)

    def __call__(self, x: Tensor) -> Tensor:
        """The linear map itself: images (B, C, H, W) of node 0 to those of the last node."""
        last = len(self.shapes) - 1
        last_use = {edge.source: edge.target for edge in sorted(self.edges, key=lambda e: e.target)}
        values = {0: x}
        for node in sorted(self.incoming):
            total = None
            for edge in self.incoming[node]:
                value = self._follow(edge, values[edge.source])
                total = value if total is None else total + value
            values[node] = total
            for edge in self.incoming[node]:
                if last_use[edge.source] == node:
                    values.pop(edge.source, None)
        return values.get(last, torch.zeros_like(x))

    def _follow(self, edge: Edge, x: Tensor) -> Tensor:
        match edge.map:
            case Convolve(weight, dilation, groups):
                return torch.conv2d(x, weight, None, 1, edge.map.reach, dilation, groups)
            case Multiply(factor):
                return x * factor
            case Resample():
                return edge.map(x)
            case Place((c, y, x0), (tc, ty, tx), (channels, height, width)):
                target = x.new_zeros(len(x), *self.shapes[edge.target])
                box = x[:, c : c + channels, y : y + height, x0 : x0 + width]
                target[:, tc : tc + channels, ty : ty + height, tx : tx + width] = box
                return target

    def frontier(self, cut: int) -> list[int]:
        """Nodes up to `cut` that later nodes use."""
        return sorted({e.source for e in self.edges if e.source <= cut < e.target})


def simplified(shapes: list[tuple[int, int, int]], edges: list[Edge], output: int) -> Program:
    """The program without nodes that do not matter for the output, and with successive factors multiplied."""
    useful = {output}
    for edge in reversed(edges):
        if edge.target in useful:
            useful.add(edge.source)
    incoming: dict[int, list[Edge]] = {}
    uses: dict[int, int] = {}
    for edge in edges:
        if edge.target in useful:
            incoming.setdefault(edge.target, []).append(edge)
            uses[edge.source] = uses.get(edge.source, 0) + 1
    for node in sorted(incoming):
        source = incoming[node][0].source
        before = incoming.get(source, [])
        if len(incoming[node]) == len(before) == uses[source] == 1:
            first, second = before[0].map, incoming[node][0].map
            if isinstance(first, Multiply) and isinstance(second, Multiply):
                incoming[node] = [Edge(before[0].source, node, Multiply(first.factor * second.factor))]
                del incoming[source]
    order = {node: i for i, node in enumerate(sorted({0, output, *incoming}))}
    edges = [Edge(order[e.source], order[e.target], e.map) for node in sorted(incoming) for e in incoming[node]]
    return Program([shapes[node] for node in order], edges)
