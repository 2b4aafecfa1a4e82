"""The schedule that is no formula: it watches a measurement."""

import math
from typing import Any

import torch

from l2g.numbers import between_0_and_1, not_negative, whole_number
from l2g.schedules.formulas import check_optimizer


class ReduceLROnPlateau:
    """Times ``factor`` when a measurement has not improved for more than ``patience`` epochs.

    ``mode="min"`` is for a loss, ``mode="max"`` for an accuracy. Better means better by more than
    ``threshold`` (``threshold_mode="abs"``), or than this share of the size of the best so far
    (``"rel"``). After a cut, ``cooldown`` epochs are not counted; cuts of less than ``eps`` are not
    made.

    PyTorch takes the share of the best with its sign: of a loss that is level at −1 it says at each
    epoch that it is better, and never cuts. Here the share is one of the size, |best|.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer(optimizer)
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        self.optimizer, self.mode = optimizer, mode
        self.factor = between_0_and_1("factor", factor)
        self.patience = whole_number("patience", patience, least=0)
        self.threshold = not_negative("threshold", threshold)
        self.threshold_mode = threshold_mode
        self.cooldown = whole_number("cooldown", cooldown, least=0)
        self.min_lr = not_negative("min_lr", min_lr)
        self.eps = not_negative("eps", eps)
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_epochs = self.resting = 0

    def step(self, metric: float) -> None:
        """Take note of an epoch's measurement; NaN is no improvement."""
        metric = float(metric)
        better = self._is_better(metric)
        self.best = metric if better else self.best
        self.bad_epochs = 0 if better else self.bad_epochs + 1
        if self.resting > 0:
            self.resting, self.bad_epochs = self.resting - 1, 0
        if self.bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                lower = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.resting, self.bad_epochs = self.cooldown, 0

    def _is_better(self, metric: float) -> bool:
        sign, best = (1 if self.mode == "max" else -1), self.best
        if math.isinf(best):  # of which there is no share
            return sign * metric > sign * best
        if self.threshold_mode == "abs":
            return sign * metric > sign * (best + sign * self.threshold)
        share = math.copysign(self.threshold, best)
        return sign * metric > sign * (best * (1 + sign * share))

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", "bad_epochs", "resting")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __repr__(self) -> str:
        changing = ("optimizer", "best", "bad_epochs", "resting")
        settings = {name: value for name, value in vars(self).items() if name not in changing}
        return f"ReduceLROnPlateau({', '.join(f'{k}={v!r}' for k, v in settings.items())})"
