"""The matrix of a frozen denoiser: pixels pushed forward from the input and back from the output meet in the middle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denoiser_priors.analysis.program import Program
from denoiser_priors.analysis.windows import Pusher, Value, widened

_TILE = 8
_GROUP = 8
_STORE_SHARE = 0.6


def matrix(program: Program, rows: Sequence[int] | None, memory: int) -> Tensor:
    """The matrix of a program, or some of its rows.

    Args:
        program: from an image of N = C * H * W values to another.
        rows: indices of outputs in [0, N), ascending, none twice; None for all.
        memory: bytes that intermediate values may take, besides the result.

    Returns:
        (M or N, N), of the type and on the device of the program's maps.
    """
    shape = channels, height, width = program.shapes[0]
    wanted = range(channels * height * width) if rows is None else rows
    plan = Plan.cheapest(program, len(wanted), memory)
    meetings = plan.fill(memory)
    result = plan.like.new_zeros(len(wanted), channels * height * width)
    batch, group = plan.batch(memory)
    pending: dict[int, list[tuple[Tensor, Value, int]]] = {node: [] for node in meetings}
    for position, channel, row, first, count in _runs(wanted, shape, batch):
        block = result[position : position + count].view(count, *shape)
        for node, value in plan.backward.push(channel, row, first, count).items():
            node = plan.last - node
            if node == 0:
                value = widened(value, first, width)
                block[:, :, value.top : value.top + value.data.shape[2]] += value.data
                continue
            pending[node].append((block, value, first))
            if len(pending[node]) == group or position + count == len(wanted):
                meetings[node].add(pending[node])
                pending[node].clear()
    return result


@dataclass
class Plan:
    """A cut through a program: what lies before it is pushed from the input, what lies after it from the output.

    Each half reaches half as far, and the cost of a window grows with the square of its side.

    Attributes:
        frontier: nodes where the two halves meet; node 0 alone if everything is pushed from the output.
        forward, backward: push single pixels through the program and the transposed one.
    """

    program: Program
    frontier: list[int]
    forward: Pusher
    backward: Pusher

    @classmethod
    def at(cls, program: Program, transposed: Program, cut: int) -> Plan:
        """The plan that cuts after the node `cut`."""
        frontier, last = program.frontier(cut), len(program.shapes) - 1
        forward = Pusher(program, cut, [node for node in frontier if node])
        return cls(program, frontier, forward, Pusher(transposed, last - cut - 1, [last - node for node in frontier]))

    @classmethod
    def cheapest(cls, program: Program, rows: int, memory: int) -> Plan:
        """The plan with the fewest multiplications for so many rows, of those that fit into the memory."""
        transposed = program.transposed()
        plans = [cls.at(program, transposed, cut) for cut in range(len(program.shapes) - 1)]
        fitting = [plan for plan in plans if plan.stored_bytes() <= _STORE_SHARE * memory]
        return min(fitting, key=lambda plan: plan.cost(rows))

    @property
    def last(self) -> int:
        return len(self.program.shapes) - 1

    @property
    def like(self) -> Tensor:
        return self.backward.like

    def meetings(self) -> list[Meeting]:
        return [Meeting(self, node) for node in self.frontier if node]

    def stored_bytes(self) -> int:
        """Memory for the values of the frontier for all inputs."""
        return sum(meeting.stored_values() for meeting in self.meetings()) * self.like.itemsize

    def cost(self, rows: int) -> float:
        """Multiplications for so many rows."""
        channels, height, width = self.program.shapes[0]
        forward = self.forward.cost() * channels * height * width if len(self.forward.nodes) > 1 else 0.0
        return forward + rows * (self.backward.cost() + sum(meeting.cost() for meeting in self.meetings()))

    def batch(self, memory: int) -> tuple[int, int]:
        """How many outputs are pushed together, and how many such batches are multiplied together."""
        free, each = memory - self.stored_bytes(), self.backward.bytes_per_sample()
        width = self.program.shapes[0][2]
        batch = max(1, min(width, free // each))
        # What is kept of a batch, and laid out anew for the product.
        kept = 4 * self.like.itemsize * sum(math.prod(self.program.shapes[node]) for node in self.frontier)
        return batch, max(1, min(_GROUP, (free - batch * each) // (batch * kept)))

    def fill(self, memory: int) -> dict[int, Meeting]:
        """The nodes where the halves meet, with the values that all inputs cause there."""
        meetings = {meeting.node: meeting for meeting in self.meetings()}
        if not meetings:
            return meetings
        for meeting in meetings.values():
            meeting.allocate(self.like)
        shape = self.program.shapes[0]
        batch = max(1, (memory - self.stored_bytes()) // self.forward.bytes_per_sample())
        for _, channel, row, first, count in _runs(range(math.prod(shape)), shape, batch):
            for node, value in self.forward.push(channel, row, first, count).items():
                meetings[node].store(channel, row, first, value)
        return meetings


class Meeting:
    """Scalar products between what inputs cause at a node and what outputs see of it.

    The values that the inputs cause are kept by the row of the node and by tiles of columns, for those inputs only
    that reach the tile: products become products of matrices, most of whose entries are not zero.
    """

    def __init__(self, plan: Plan, node: int):
        self.node = node
        self.inputs = plan.program.shapes[0]
        self.shape = plan.program.shapes[node]
        self.reach = plan.forward.reach[node]
        self.seen = plan.backward.size(plan.last - node)
        _, _, width = self.shape
        step = width if self.reach.columns is None else _TILE
        self.tiles = [(left, min(width, left + step)) for left in range(0, width, step)]
        self._stored: dict[tuple[int, int, int], Tensor] = {}

    def input_rows(self, row: int) -> tuple[int, int]:
        """Rows of the input that reach a row of the node."""
        if self.reach.rows is None:
            return 0, self.inputs[1]
        return max(0, row - self.reach.rows), min(self.inputs[1], row + self.reach.rows + 1)

    def input_columns(self, left: int, right: int) -> tuple[int, int]:
        """Columns of the input that reach the columns of a tile."""
        if self.reach.columns is None:
            return 0, self.inputs[2]
        return max(0, left - self.reach.columns), min(self.inputs[2], right + self.reach.columns)

    def stored_values(self) -> int:
        rows = sum(bottom - top for top, bottom in map(self.input_rows, range(self.shape[1])))
        columns = 0
        for left, right in self.tiles:
            first, last = self.input_columns(left, right)
            columns += (last - first) * (right - left)
        return self.inputs[0] * self.shape[0] * rows * columns

    def cost(self) -> float:
        """Multiplications for one output."""
        outputs = self.shape[0] * self.shape[1] * self.shape[2]
        return self.stored_values() * self.seen / outputs

    def allocate(self, like: Tensor) -> None:
        for row in range(self.shape[1]):
            top, bottom = self.input_rows(row)
            for left, right in self.tiles:
                first, last = self.input_columns(left, right)
                size = (bottom - top, last - first, right - left, self.shape[0])
                for channel in range(self.inputs[0]):
                    self._stored[channel, row, left] = like.new_zeros(size)

    def store(self, channel: int, row: int, first: int, value: Value) -> None:
        """Keep the values that a row of inputs, one in `channel`, causes."""
        wide = widened(value, first, self.shape[2]).data.permute(0, 2, 3, 1)
        for i in range(wide.shape[1]):
            top, _ = self.input_rows(value.top + i)
            for left, right in self.tiles:
                start, stop = self.input_columns(left, right)
                target = self._stored[channel, value.top + i, left][row - top]
                # The batch may hold only some of the pixels that reach the tile.
                begin, end = max(start, first), min(stop, first + len(wide))
                if begin < end:
                    target[begin - start : end - start] = wide[begin - first : end - first, i, left:right]

    def add(self, batches: list[tuple[Tensor, Value, int]]) -> None:
        """Add to each block (B, C, H, W), rows of the matrix, the products with what these outputs see of the node.

        Args:
            batches: block, what its outputs see of the node, and the column of the first of them.
        """
        width = self.shape[2]
        wide = [widened(value, first, width).data.permute(0, 2, 3, 1) for _, value, first in batches]
        spans = [(value.top, value.top + value.data.shape[2]) for _, value, _ in batches]
        for row in range(min(top for top, _ in spans), max(bottom for _, bottom in spans)):
            top, bottom = self.input_rows(row)
            for left, right in self.tiles:
                parts = []
                for i, (_, value, first) in enumerate(batches):
                    start, stop = 0, len(wide[i])
                    if value.columns is not None:
                        start, stop = max(0, left - value.columns - first), min(stop, right + value.columns - first)
                    if spans[i][0] <= row < spans[i][1] and start < stop:
                        parts.append((i, start, stop))
                if not parts:
                    continue
                seen = torch.cat([wide[i][j:k, row - spans[i][0], left:right].flatten(1) for i, j, k in parts])
                begin, end = self.input_columns(left, right)
                for channel in range(self.inputs[0]):
                    stored = self._stored[channel, row, left].flatten(2).flatten(0, 1)
                    products = (seen @ stored.T).view(-1, bottom - top, end - begin)
                    products = products.split([stop - start for _, start, stop in parts])
                    for (i, start, stop), product in zip(parts, products, strict=True):
                        batches[i][0][start:stop, channel, top:bottom, begin:end] += product


def _runs(indices: Sequence[int], shape: tuple[int, int, int], most: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Position in `indices`, channel, row, first column, number of pixels that lie side by side, `most` at a time."""
    _, height, width = shape
    start = 0
    while start < len(indices):
        index = indices[start]
        count, room = 1, min(most, width - index % width, len(indices) - start)
        while count < room and indices[start + count] == index + count:
            count += 1
        yield start, index // (height * width), index // width % height, index % width, count
        start += count
