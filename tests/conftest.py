"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the long form of tests/faults and tests/fuzz")


@pytest.fixture(scope="session")
def long(request) -> bool:
    """Whether the long form was asked for."""
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Root of an offline mirror of the datasets and released weights; skips the test where there is none."""
    root = os.environ.get("DENOISER_PRIORS_MIRROR")
    if not root or not Path(root).is_dir():
        pytest.skip("needs a mirror: set DENOISER_PRIORS_MIRROR to its root")
    return Path(root)
