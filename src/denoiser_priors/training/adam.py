"""Adam without what torch's optimiser classes import: the compiler, 1.5 s of every training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1) by torch's fused kernel: what `torch.optim.Adam(fused=True)` computes.

    Args:
        parameters: what is optimised, float32.
    """

    BETAS = (0.9, 0.999)
    EPS = 1e-8

    def __init__(self, parameters: Sequence[Tensor]):
        self._parameters = list(parameters)
        self._state = {
            "step": [torch.zeros((), device=parameter.device) for parameter in self._parameters],
            "mean": [torch.zeros_like(parameter, requires_grad=False) for parameter in self._parameters],
            "square": [torch.zeros_like(parameter, requires_grad=False) for parameter in self._parameters],
        }

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Change the parameters that have a gradient, at the learning rate `lr`."""
        chosen = [i for i, parameter in enumerate(self._parameters) if parameter.grad is not None]
        steps, means, squares = ([self._state[name][i] for i in chosen] for name in ("step", "mean", "square"))
        adam(
            [self._parameters[i] for i in chosen],
            [self._parameters[i].grad for i in chosen],
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=self.BETAS[0],
            beta2=self.BETAS[1],
            lr=lr,
            weight_decay=0.0,
            eps=self.EPS,
            maximize=False,
        )

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Number of steps and moving means of each parameter's gradient and of its square."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: it is not one of these parameters.
        """
        loaded = {}
        for name, own in self._state.items():
            given = state[name]
            if [value.shape for value in given] != [value.shape for value in own]:
                raise ValueError("the state of the optimiser is that of other parameters")
            loaded[name] = [torch.empty_like(value).copy_(new) for value, new in zip(own, given, strict=True)]
        self._state = loaded
