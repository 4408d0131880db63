"""Published numbers that the document's results are compared with."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd

from denoiser_priors.tables import read_csv

_FOLDER = Path(__file__).parent / "reference"

C_ALPHA = {1.0: 0.46, 2.0: 0.61, 3.0: 0.75, 5.0: 0.83}
"""Measured PSNR slopes by alpha (Kadkhodaie et al. 2024, Fig. 4; 100,000 images of 80 x 80)."""

DISK_EIGENVALUES = (1.177, 1.067, 1.004, 0.999, 0.945, 0.674, 0.552, 0.390, 0.304, 0.278)
"""The first ten on a disk at sigma 0.04 (Kadkhodaie et al. 2024, Fig. 5; 100,000 disks of 80 x 80)."""

FACE_EIGENVALUES = {
    5: 1.244,
    17: 1.115,
    29: 1.046,
    41: 1.008,
    53: 0.973,
    101: 0.822,
    149: 0.689,
    197: 0.590,
    245: 0.510,
}
"""By index, on a face at sigma 0.15 (Kadkhodaie et al. 2024, Fig. 3; 100,000 faces of 80 x 80)."""


@lru_cache
def timeline() -> pd.DataFrame:
    """Published results of BM3D and DnCNN: method (title), dataset, sigma ([0, 255] scale), psnr (dB), ssim, source."""
    return read_csv(_FOLDER / "timeline.csv", text=("method", "dataset", "source"))
