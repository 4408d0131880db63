"""Pushes batches of single pixels through a frozen denoiser, each only within the window that it can reach."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denoiser_priors.analysis.program import Convolve, Edge, Multiply, Place, Program, Resample


@dataclass(frozen=True)
class Reach:
    """Around a pixel, the rows and columns where the value of a node can differ from zero; None is everywhere."""

    rows: int | None
    columns: int | None

    def row_range(self, row: int, height: int) -> tuple[int, int]:
        if self.rows is None:
            return 0, height
        return max(0, row - self.rows), min(height, row + self.rows + 1)

    def width(self, width: int) -> int:
        return width if self.columns is None else 2 * self.columns + 1


EVERYWHERE = Reach(None, None)


@dataclass
class Value:
    """Values of a node for a batch of pixels in one row of the image.

    Attributes:
        data: (B, C, h, w), rows from `top` on. Columns: all of the image, or those around the pixel of each sample.
        top: the row that comes first.
        columns: columns to each side of the pixel; None if all of the image's.
        clean: nothing but zeros beyond the left and right border of the image.
    """

    data: Tensor
    top: int
    columns: int | None
    clean: bool = True


class Pusher:
    """Computes values of a program's nodes for one-hot inputs; the columns of its matrix, up to some node.

    Args:
        program: of a denoiser, or the transposed one.
        last: nodes up to this one are computed, and those of `wanted`, from edges that start at `last` or before.
        wanted: nodes whose values are asked for.
    """

    def __init__(self, program: Program, last: int, wanted: list[int]):
        self.program, self.last, self.wanted = program, last, wanted
        self.reach = reaches(program, last, wanted)
        needed = set(wanted)
        for edge in sorted(program.edges, key=lambda e: -e.target):
            if edge.target in needed and edge.source <= last:
                needed.add(edge.source)
        self.nodes = [n for n in sorted(needed) if n in self.reach]
        self.edges = {n: [e for e in program.incoming.get(n, []) if e.source <= last] for n in self.nodes}
        self.last_use = {e.source: n for n in self.nodes for e in self.edges[n]}
        self.uses: dict[int, int] = {}
        for edges in self.edges.values():
            for edge in edges:
                self.uses[edge.source] = self.uses.get(edge.source, 0) + 1
        for node in wanted:
            self.uses[node] = self.uses.get(node, 0) + 1
        self._factors: dict[Edge | int, tuple[Tensor, int]] = {}

    def bytes_per_sample(self) -> int:
        """Upper bound of the memory that one sample of a batch needs."""
        sizes = {n: self.size(n) for n in self.nodes}
        most = 0
        alive: dict[int, int] = {}
        for node in self.nodes:
            alive[node] = sizes[node]
            inputs = [sizes[e.source] for e in self.edges[node]]
            live = sum(alive.values())
            # A convolution may lay out its input anew, and a window may be widened to the image.
            most = max(most, live + sizes[node] + max(inputs, default=0))
            for edge in self.edges[node]:
                if self.last_use[edge.source] == node and edge.source not in self.wanted:
                    alive.pop(edge.source, None)
        return most * self.like.itemsize

    def size(self, node: int) -> int:
        """Number of values of a node for one pixel, at most."""
        channels, height, width = self.program.shapes[node]
        reach = self.reach[node]
        rows = height if reach.rows is None else min(height, 2 * reach.rows + 1)
        return channels * rows * reach.width(width)

    def cost(self) -> float:
        """Multiplications of all convolutions for one pixel in the middle of the image."""
        total = 0.0
        for node in self.nodes:
            for edge in self.edges[node]:
                if isinstance(edge.map, (Convolve, Resample)):
                    weight = edge.map.weight
                    values = self.size(edge.source if isinstance(edge.map, Resample) and edge.map.up else node)
                    outputs = weight.shape[0]
                    total += values / outputs * weight.numel()
        return total

    def push(self, channel: int, row: int, first: int, count: int) -> dict[int, Value]:
        """Values of the `wanted` nodes for `count` inputs that are one in `channel`, `row`, columns `first`, ..."""
        channels = self.program.shapes[0][0]
        data = self.like.new_zeros((count, 1, 1, channels)).permute(0, 3, 1, 2)
        data[:, channel] = 1
        values = {0: Value(data, row, 0)}
        for node in self.nodes:
            if node:
                values[node] = self._evaluate(node, values, row, first, count)
                for edge in self.edges[node]:
                    if self.last_use[edge.source] == node and edge.source not in self.wanted:
                        values.pop(edge.source, None)
        return {node: values[node] for node in self.wanted}

    @property
    def like(self) -> Tensor:
        """A tensor of the type and device of all."""
        for edge in self.program.edges:
            if not isinstance(edge.map, Place):
                return edge.map.factor if isinstance(edge.map, Multiply) else edge.map.weight
        return torch.zeros(())

    def _evaluate(self, node: int, values: dict[int, Value], row: int, first: int, count: int) -> Value:
        edges, reach = self.edges[node], self.reach[node]
        channels, height, width = self.program.shapes[node]
        if len(edges) == 1 and not isinstance(edges[0].map, Place):
            edge = edges[0]
            free = self.uses[edge.source] == 1
            return self._apply(edge, values[edge.source], reach, row, first, free)
        top, bottom = reach.row_range(row, height)
        total = self.like.new_zeros((count, bottom - top, reach.width(width), channels)).permute(0, 3, 1, 2)
        clean = True
        for edge in edges:
            value = self._apply(edge, values[edge.source], reach, row, first, False)
            clean &= value.clean
            self._accumulate(total, edge, value, top, reach, width)
        return Value(total, top, reach.columns, clean)

    def _accumulate(self, total: Tensor, edge: Edge, value: Value, top: int, reach: Reach, width: int) -> None:
        data, into = value.data, slice(None)
        row = value.top - top
        column = 0 if value.columns is None else reach.columns - value.columns
        if isinstance(edge.map, Place):
            (c, y, x), (tc, ty, tx), (channels, height, columns) = edge.map.source, edge.map.target, edge.map.size
            data, into = data[:, c : c + channels], slice(tc, tc + channels)
            if not self.program.local(edge):
                data = data[:, :, y : y + height, x : x + columns]
                row, column = ty, tx
        height, columns = data.shape[2:]
        total[:, into, row : row + height, column : column + columns] += data

    def _apply(self, edge: Edge, value: Value, reach: Reach, row: int, first: int, free: bool) -> Value:
        """The map of an edge, on the columns (all, or a window) that its target has."""
        _, height, width = self.program.shapes[edge.source]
        if reach.columns is None and value.columns is not None:
            value = widened(value, first, width)
            free = True
        if not self.program.local(edge):
            data = value.data
            if data.shape[2] < height:
                data = torch.nn.functional.pad(data, (0, 0, value.top, height - value.top - data.shape[2]))
            return Value(data if isinstance(edge.map, Place) else edge.map(data), 0, None)
        if isinstance(edge.map, Convolve):
            return self._convolve(edge, value, row, first)
        if isinstance(edge.map, Multiply):
            return self._multiply(edge, value, reach, first, free)
        return value

    def _convolve(self, edge: Edge, value: Value, row: int, first: int) -> Value:
        height = self.program.shapes[edge.source][1]
        map_, data = edge.map, value.data
        if not value.clean:
            data = data * _under(*self._inside(edge.source), value, first)
        down, right = map_.reach
        top, bottom = max(0, value.top - down), min(height, value.top + data.shape[2] + down)
        # Padding is the same above and below; rows outside the image are cut off after it.
        extra = max(value.top - top, bottom - value.top - data.shape[2])
        padding = (down + extra, right if value.columns is None else 2 * right)
        output = torch.conv2d(data, map_.weight, None, 1, padding, map_.dilation, map_.groups)
        start = top - (value.top - extra)
        output = output[:, :, start : start + bottom - top]
        if value.columns is None:
            return Value(output, top, None)
        return Value(output, top, value.columns + right, clean=value.clean and right == 0)

    def _multiply(self, edge: Edge, value: Value, reach: Reach, first: int, free: bool) -> Value:
        factor, data = edge.map.factor, value.data
        if factor.shape[1] > 1 or factor.shape[2] > 1 or not value.clean:
            factor = _under(*self._padded(edge), value, first)
        elif free and factor.numel() == 1 and float(factor) == 1:
            return value
        if free and data.is_contiguous(memory_format=torch.channels_last):
            return Value(data.mul_(factor), value.top, value.columns)
        return Value(data * factor, value.top, value.columns)

    def _padded(self, edge: Edge) -> tuple[Tensor, int]:
        """The factors of an edge for the whole image, (H, W + 2 margin, C), zero in the margins, and their width."""
        if edge not in self._factors:
            self._factors[edge] = self._spread(edge.map.factor, edge.source)
        return self._factors[edge]

    def _inside(self, node: int) -> tuple[Tensor, int]:
        """Ones for the whole image, zeros in the margins."""
        if node not in self._factors:
            self._factors[node] = self._spread(self.like.new_ones(1, 1, 1), node)
        return self._factors[node]

    def _spread(self, factor: Tensor, node: int) -> tuple[Tensor, int]:
        _, height, width = self.program.shapes[node]
        margin = self.reach[node].columns or 0
        factor = factor.expand(-1, height, width).permute(1, 2, 0)
        return torch.nn.functional.pad(factor, (0, 0, margin, margin)).contiguous(), margin


def reaches(program: Program, last: int, wanted: list[int]) -> dict[int, Reach]:
    """How far the values of the nodes up to `last` and of `wanted` reach around a pixel of node 0.

    Nodes that edges starting at `last` or before do not connect with node 0 are missing.
    """
    found = {0: Reach(0, 0)}
    for node in [*range(1, last + 1), *(n for n in wanted if n > last)]:
        width, reach = program.shapes[node][2], None
        for edge in program.incoming.get(node, []):
            if edge.source > last or edge.source not in found:
                continue
            down, right = edge.map.reach if isinstance(edge.map, Convolve) else (0, 0)
            new = _further(found[edge.source], down, right) if program.local(edge) else EVERYWHERE
            reach = new if reach is None else _larger(reach, new)
        if reach is not None:
            # A window that is wider than the image costs more than the image.
            small = reach.columns is not None and 2 * reach.columns + 1 <= width
            found[node] = reach if small else Reach(reach.rows, None)
    return found


def widened(value: Value, first: int, width: int) -> Value:
    """The same values in all columns of the image."""
    if value.columns is None:
        return value
    count, channels, height, window = value.data.shape
    wide = value.data.new_zeros((count, height, width + window - 1, channels))
    # In `wide`, the window of a sample starts at the column of its pixel: one further for each sample.
    b, h, w, c = wide.stride()
    diagonal = wide.as_strided((count, height, window, channels), (b + w, h, w, c), first * w)
    diagonal.copy_(value.data.permute(0, 2, 3, 1))
    return Value(wide[:, :, value.columns : value.columns + width].permute(0, 3, 1, 2), value.top, None)


def _under(padded: Tensor, margin: int, value: Value, first: int) -> Tensor:
    """The part of `padded` (H, W + 2 margin, C) under each sample, a view that broadcasts to (B, C, h, w)."""
    height, width = value.data.shape[2:]
    rows = padded[value.top : value.top + height].permute(2, 0, 1)
    if value.columns is None:
        return rows[:, :, margin : margin + width]
    # The samples' pixels lie side by side, and so do their windows.
    start = first + margin - value.columns
    return rows[:, :, start : start + len(value.data) + width - 1].unfold(2, width, 1).permute(2, 0, 1, 3)


def _further(reach: Reach, down: int, right: int) -> Reach:
    return Reach(
        None if reach.rows is None else reach.rows + down, None if reach.columns is None else reach.columns + right
    )


def _larger(one: Reach, two: Reach) -> Reach:
    rows = None if None in (one.rows, two.rows) else max(one.rows, two.rows)
    columns = None if None in (one.columns, two.columns) else max(one.columns, two.columns)
    return Reach(rows, columns)
