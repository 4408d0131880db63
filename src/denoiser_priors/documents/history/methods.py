"""The denoisers of table_timeline in the order of their ideas, with their years and names."""

from __future__ import annotations

FAST = (
    "heat",
    "wiener",
    "wiener-local",
    "tikhonov",
    "perona-malik",
    "tv",
    "wavelet-soft",
    "wavelet-hard",
    "wavelet-bayes",
    "bilateral",
    "nlm",
)
"""Classical methods that take less than a second per image."""

DNCNN, BF_DNCNN = "DnCNN", "BF-DnCNN"
"""Titles of the networks; Zhang et al. 2017 and Mohan et al. 2020."""

NETWORK_YEARS = {DNCNN: 2017, BF_DNCNN: 2020}
