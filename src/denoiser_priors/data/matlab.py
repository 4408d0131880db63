"""Variables of MATLAB files, read without trusting them."""

from __future__ import annotations

import os
import warnings

import numpy as np


def load_variable(path: str | os.PathLike, name: str) -> np.ndarray | None:
    """The variable `name` of a MATLAB file of version 7 or older, as `scipy.io.loadmat` gives it; None without one.

    Raises:
        ValueError: not such a file, or a damaged one; says why in one line. Code in the file is never run.
    """
    from scipy.io import loadmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SciPy comments on odd files before refusing them
            return loadmat(path, variable_names=[name]).get(name)
    except Exception as error:  # a damaged file surfaces as almost any type
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
