"""The state of one training and how a step and the end of an epoch change it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoiser_priors.config import Denoiser
from denoiser_priors.errors import TrainingError
from denoiser_priors.networks import precision, zoo
from denoiser_priors.noise import keyed_generator
from denoiser_priors.training import schedules
from denoiser_priors.training.adam import Adam
from denoiser_priors.training.batches import Batches, training_levels
from denoiser_priors.training.direct_iteration import Restorer
from denoiser_priors.training.losses import Diverged, Losses, decibels
from denoiser_priors.training.validation import levels, validate

# A GPU computes ahead of the program; asking for every loss would stop it at every step.
STEPS_BETWEEN_LOOKS = {"cpu": 1, "cuda": 20}


class Trainer:
    """A network, its optimiser and the record of its training.

    All that is random is a function of (seed, step), so `state` is complete: a trainer restored from it goes on as
    the one that gave it would have.

    Args:
        spec: the network and how it is trained.
        device: where it is trained.

    Attributes:
        model: float32 weights, in training layout.
        average: moving averages of the parameters, by name, or None where none is kept.
        step: number of steps that are done.
        epochs: for each epoch that is complete, the values of its row in the log (`reporting.log_csv`).
        best: weights of the epoch with the largest validation PSNR, on the CPU.
        finished: no step is left.
    """

    def __init__(self, spec: Denoiser, device: torch.device):
        self.spec, self.device = spec, device
        self._training = spec.training
        model = zoo.build(spec.architecture, bias=spec.bias, channels=spec.channels, seed=spec.seed, **spec.network)
        self.model = precision.prepare(model, device, self._training.precision)
        self._parameters = list(self.model.parameters())
        self._optimizer = Adam(self._parameters)
        self.average: dict[str, Tensor] | None = None
        if self._training.ema is not None:
            self.average = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self.losses = Losses()
        self._unseen: list[Tensor] = []
        self.step = 0
        self.epochs: list[dict[str, float]] = []
        self.best: dict[str, Tensor] | None = None
        self.finished = False

    @property
    def psnrs(self) -> list[float]:
        """Validation PSNR of the epochs that are complete."""
        return [epoch["validation_psnr"] for epoch in self.epochs]

    @property
    def at_epoch_end(self) -> bool:
        """All steps of an epoch are done, but not yet its validation."""
        return self.step == (len(self.epochs) + 1) * self._training.steps_per_epoch

    def take_step(self, batches: Batches) -> None:
        """One step of the optimiser on the mean squared error.

        For a network that is told the noise level, each image's error counts in units of its noise: then this is
        denoising score matching with the weights of Song and Ermon 2020, Eq. 2, and no level outweighs another. A
        network that is told the time learns the mean clean image at each (Delbracio & Milanfar 2023, Eq. 6).

        Raises:
            Diverged: the loss says that training has failed.
        """
        noisy, clean = batches.get(self.step)
        self.model.train()
        self.model.prepare_step(keyed_generator("prepare step", self.spec.seed, self.step))
        told = self.model.told
        sigma = training_levels(self.spec, self.step, len(noisy)).to(self.device) if told else None
        with precision.autocast(self.device, self._training.precision):
            denoised = self.model(noisy, sigma) if told else self.model(noisy)
        loss = error = F.mse_loss(denoised.float(), clean)
        if told and not isinstance(self.spec, Restorer):
            loss = ((denoised.float() - clean) / sigma.view(-1, 1, 1, 1)).square().mean()
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        if self._training.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._training.clip_grad_norm)
        self._optimizer.step(self._rate(self.step))
        if self.average is not None:
            with torch.no_grad():
                for name, value in self.model.named_parameters():
                    self.average[name].lerp_(value, 1 - self._training.ema)
        self._unseen.append(error.detach())
        self.step += 1
        if len(self._unseen) >= STEPS_BETWEEN_LOOKS[self.device.type]:
            self._look_at_losses()

    def end_epoch(self, crops: Sequence[tuple[str, Tensor]], *, between: Callable[[], None]) -> None:
        """Validate, and take the outcome down.

        Args:
            crops: validation images, see `validation.validation_crops`.
            between: called before each batch of images; may raise, which leaves the trainer as it was.

        Raises:
            Diverged: the weights or the validation PSNR are not finite.
        """
        self.check()
        chosen, kept = levels(self.spec), self.kept()
        psnrs = {
            level: validate(kept, crops, self.spec, *level, device=self.device, between=between)
            for level in dict.fromkeys(chosen)
        }
        middle, low, high = (psnrs[level] for level in chosen)
        if math.isnan(middle):
            raise Diverged(self.step - 1, "the validation PSNR is not a number")
        epoch = {
            "epoch": len(self.epochs) + 1,
            "step": self.step,
            "learning_rate": self._rate(self.step - 1),
            "train_loss": self.losses.mean,
            "train_psnr": decibels(self.losses.mean),
            "validation_sigma": chosen[0][0],
            "validation_psnr": middle,
            "validation_psnr_low": low,
            "validation_psnr_high": high,
        }
        self.epochs.append(epoch)
        self.losses.restart()
        if schedules.best_epoch(self.psnrs) == len(self.epochs) - 1:
            self.best = {name: value.detach().cpu().clone() for name, value in kept.state_dict().items()}
        self.finished = schedules.over(self._training, self.psnrs)

    def kept(self) -> nn.Module:
        """The network whose weights are kept: the trained one, or a copy with the averages."""
        if self.average is None:
            return self.model
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average, strict=False)
        return model

    def check(self) -> None:
        """Make sure that what is there is worth keeping.

        Raises:
            Diverged: a loss or a weight is not finite.
        """
        self._look_at_losses()
        if not all(torch.isfinite(parameter).all() for parameter in self._parameters):
            raise Diverged(self.step - 1, "a weight is not finite")

    def state(self) -> dict[str, Any]:
        """Everything that a checkpoint stores; call `check` first."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": None if self.finished else self._optimizer.state_dict(),
            "losses": self.losses.state(),
            "epochs": self.epochs,
            "best": self.best,
            "finished": self.finished,
            **({} if self.average is None else {"average": self.average}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: it is not one of this network.
        """
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average = {name: state["average"][name].to(value.device) for name, value in self.average.items()}
        if not state["finished"]:
            self._optimizer.load_state_dict(state["optimizer"])
        self.losses.restore(state["losses"])
        self.step, self.epochs, self.best = state["step"], state["epochs"], state["best"]
        self.finished = state["finished"]

    def explain(self, error: Diverged) -> TrainingError:
        """The error that a user gets."""
        low, high = self.spec.noise_range
        advice = ["a lower training.lr"]
        if not self._training.warmup_steps:
            advice.append("training.warmup_steps")
        if self._training.clip_grad_norm is None:
            advice.append("training.clip_grad_norm")
        return TrainingError(
            f"{self.spec.name}: training failed at step {error.step + 1}: {error.what} (noise range "
            f"[{low:g}, {high:g}], learning rate {self._rate(error.step):.3g}). Try {', or '.join(advice)}; "
            "the last good checkpoint is kept."
        )

    def _rate(self, step: int) -> float:
        return schedules.learning_rate(self._training, step, self.psnrs)

    def _look_at_losses(self) -> None:
        values = [loss.item() for loss in self._unseen] if len(self._unseen) < 2 else torch.stack(self._unseen).tolist()
        first = self.step - len(values)
        self._unseen.clear()
        for i, value in enumerate(values):
            self.losses.add(first + i, value)
