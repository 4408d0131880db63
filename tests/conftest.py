"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Root of an offline mirror of the datasets and released weights; skips the test where there is none."""
    root = os.environ.get("DENOISER_PRIORS_MIRROR")
    if not root or not Path(root).is_dir():
        pytest.skip("needs a mirror: set DENOISER_PRIORS_MIRROR to its root")
    return Path(root)
