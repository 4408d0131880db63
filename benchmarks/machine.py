"""The machine: what it is, how fast it multiplies matrices and copies memory, and what work then takes at least."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import metadata

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from denoiser_priors.networks.precision import supports_bf16
from denoiser_priors.provenance import processor

PACKAGES = ("torch", "numpy", "snakemake")

SECONDS = 0.15
"""Of one measurement of a ceiling."""

_FREE = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias", "lift_fresh")


def describe(device: torch.device) -> dict[str, str]:
    """Processor or GPU, cores, threads, memory, and versions."""
    cuda = device.type == "cuda"
    total = torch.cuda.get_device_properties(device).total_memory if cuda else _memory()
    return {
        "processor": torch.cuda.get_device_name(device) if cuda else processor(),
        "device": device.type,
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "memory": f"{total / 2**30:.0f} GB" if total else "",
        "native bf16": "yes" if supports_bf16(device) else "no",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
    }


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


class Ceilings:
    """Speeds that nothing on this device exceeds by much: matrix products in fp32 and bf16, and copies.

    A library's matrix product is not always the fastest there is (MKL uses half of an AMD processor's vector width), so
    the best of three is taken: torch's, and a 1x1 convolution and a linear layer of oneDNN, which are matrix products.

    Args:
        device: where.
        side: of the square matrices.
        copied: bytes of the array that is copied; more than the caches hold.
        clock: what is timed with, seconds.
    """

    def __init__(
        self,
        device: torch.device,
        side: int = 1024,
        copied: int = 2**27,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._device, self._clock = device, clock
        generator = torch.Generator().manual_seed(0)
        a, b = (torch.randn(side, side, generator=generator).to(device) for _ in range(2))
        self._flops = 2 * side**3
        self._products: dict[str, Callable[[], object]] = {}
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            ways = _products(a.to(dtype), b.to(dtype))
            self._products[name] = min(ways, key=self._seconds)
        self._bytes = copied
        self._source = torch.ones(copied // 4, device=device)
        self._target = torch.empty_like(self._source)

    def measure(self) -> dict[str, float]:
        """Means over a short while: "fp32" and "bf16", operations per second; "copy", bytes read and written."""
        found = {name: self._flops / self._seconds(product) for name, product in self._products.items()}
        return {**found, "copy": 2 * self._bytes / self._seconds(lambda: self._target.copy_(self._source))}

    def _seconds(self, function: Callable[[], object]) -> float:
        # The mean and not the best, as for what is compared with it: others on the machine slow both.
        function()
        self._wait()
        start, count = self._clock(), 0
        while (passed := self._clock() - start) < SECONDS or not count:
            function()
            self._wait()
            count += 1
        return passed / count

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def _products(a: Tensor, b: Tensor) -> list[Callable[[], object]]:
    """Ways to multiply two matrices."""
    side = len(a)
    if a.is_cuda:
        return [lambda: a @ b]
    image = a.T.reshape(1, side, -1, 8).contiguous(memory_format=torch.channels_last)
    filters = b[:, :, None, None].contiguous(memory_format=torch.channels_last)
    ways: list[Callable[[], object]] = [lambda: a @ b, lambda: F.conv2d(image, filters)]
    if a.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        blocked = a.to_mkldnn()
        ways.append(lambda: torch._C._nn.mkldnn_linear(blocked, b))
    return ways


class Work:
    """Operations, and what they take at least: arithmetic at the rate of the matrix product, memory at that of a copy.

    Each operation counts by itself, as it is carried out: it reads its inputs and writes its outputs once, and takes
    the longer of the two times. Arithmetic counts where it is that of a convolution or a matrix product. Small arrays
    stay in caches, which are faster than copies of large ones, so small work can beat this bound.
    """

    def __init__(self, operations: Iterable[tuple[str, int, int]]):
        self._operations = Counter(operations)

    @property
    def flops(self) -> int:
        """Multiplications and additions of convolutions and matrix products."""
        return sum(flops * count for (_, flops, _), count in self._operations.items())

    @property
    def bytes(self) -> int:
        """Read and written."""
        return sum(moved * count for (_, _, moved), count in self._operations.items())

    @property
    def precision(self) -> str:
        """In which most of the arithmetic is done."""
        total: Counter[str] = Counter()
        for (precision, flops, _), count in self._operations.items():
            total[precision] += flops * count
        return max(total, key=total.__getitem__, default="fp32")

    def seconds(self, ceilings: dict[str, float]) -> tuple[float, float]:
        """At least so many in all, and of these in operations that arithmetic limits."""
        total = arithmetic = 0.0
        for (precision, flops, moved), count in self._operations.items():
            computing, moving = flops / ceilings[precision], moved / ceilings["copy"]
            total += max(computing, moving) * count
            arithmetic += computing * count if computing > moving else 0.0
        return total, arithmetic


def work_of(function: Callable[[], object]) -> Work:
    """The operations of torch that a call of `function` carries out."""
    with _Operations() as mode:
        function()
    return Work(mode.found)


class _Operations(TorchDispatchMode):
    """Takes down precision, arithmetic and bytes of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int, int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:
                # Operations that are made of others come whole in inference mode.
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        inputs, outputs = list(_tensors((args, kwargs))), list(_tensors(result))
        views = {id(x) for x in outputs if not func._schema.is_mutable and _shares(x, inputs)}
        if func._overloadpacket.__name__ not in _FREE and not (outputs and len(views) == len(outputs)):
            moved = sum(_size(x) for x in (*inputs, *outputs))
            flops = formula(*args, **kwargs, out_val=result) if formula else 0
            half = any(x.dtype in (torch.bfloat16, torch.float16) for x in inputs)
            self.found.append(("bf16" if half else "fp32", flops, moved))
        return result


def _tensors(tree: object) -> Iterable[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        yield from _tensors(list(tree.values()))
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from _tensors(part)


def _size(x: Tensor) -> int:
    """Bytes of the values that there are, an expanded one counted once."""
    values = 1
    for length, stride in zip(x.shape, x.stride(), strict=True):
        values *= length if stride or not length else 1
    return values * x.element_size()


def _shares(x: Tensor, others: Iterable[Tensor]) -> bool:
    return any(x.untyped_storage()._cdata == other.untyped_storage()._cdata for other in others)
