"""How the document's figures call networks and their training ranges."""

from __future__ import annotations

from denoiser_priors.documents.claims import SMALL_RECIPES
from denoiser_priors.documents.style import SIGMA

ARCHITECTURES = {"dncnn": "DnCNN", "rcnn": "recurrent CNN", "unet": "UNet", "densenet": "DenseNet"}
_SHORT = {"rcnn": "R-CNN"}


def network(architecture: str, bias: bool) -> str:
    """The short name of a kind of network, as in "BF-UNet"."""
    name = _SHORT.get(architecture, ARCHITECTURES.get(architecture, architecture))
    return name if bias else f"BF-{name}"


def trained_on(low: float, high: float) -> str:
    """A training range, in the words of a panel's title."""
    return f"trained on {SIGMA} in [{low:g}, {high:g}]"


def level(sigma: float, low: float, high: float) -> str:
    """A noise level; an asterisk marks one outside the training range, as in the document."""
    return f"{SIGMA} = {sigma:g}" + ("" if low <= sigma <= high else "*")


def small(recipe: str, preset: str) -> str:
    """A mark for a network trained small, because its weights are not in reach, where the preset has others."""
    return "trained small" if recipe in SMALL_RECIPES and preset not in SMALL_RECIPES else ""
