"""Memory of the C library: keep what a training step frees, because the next step asks for the same again."""

from __future__ import annotations

import ctypes
import sys

# Numbers of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The second is what old versions accept at most.
THRESHOLDS = (1 << 30, 1 << 25)


def keep_freed_memory() -> bool:
    """Tell glibc not to give the memory of freed tensors back to the system; whether that was possible.

    Otherwise every step of a small network has its activations' pages mapped and zeroed again, which takes up to a
    quarter of the time on a CPU. Holds for the rest of the process; other C libraries are left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return all(
        any(mallopt(parameter, threshold) for threshold in THRESHOLDS)
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD)
    )
