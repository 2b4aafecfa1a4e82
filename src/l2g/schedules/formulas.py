"""The schedules that are a formula of the step."""

import math
from typing import Any

import torch

from l2g.numbers import above_zero, in_unit_interval, not_negative, whole_number


class Schedule:
    """Sets the rate of every parameter group to ``lr_at(t, η₀)`` after t steps.

    Raises:
        TypeError, ValueError: an argument is out of range.
        ValueError: in ``step``, past ``end``, or with a parameter group that came later.
    """

    end: float = math.inf  # the last step that the schedule is made for

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        check_optimizer(optimizer)
        self.optimizer, self.t = optimizer, 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [self.base_of(group) for group in optimizer.param_groups]
        self._set()

    def lr_at(self, t: int, base: Any) -> Any:
        """The rate after ``t`` steps of a group that began with ``base``."""
        raise NotImplementedError

    def base_of(self, group: dict[str, Any]) -> Any:
        """η₀ of a parameter group."""
        return group["initial_lr"]

    def step(self) -> None:
        self._check_groups(self.base_lrs)
        if self.t >= self.end:
            raise ValueError(
                f"{type(self).__name__} is made for {self.end} steps and has taken them all; "
                "give it as many as there are batches in all epochs"
            )
        self.go_to(self.t + 1)

    def go_to(self, t: int) -> None:
        """Set all as it is after ``t`` steps."""
        self.t = t
        self._set()

    def _set(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.lr_at(self.t, base)

    def state_dict(self) -> dict[str, Any]:
        return {"t": self.t, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._check_groups(state["base_lrs"])
        self.base_lrs = list(state["base_lrs"])
        self.go_to(state["t"])

    def _check_groups(self, base_lrs: list[Any]) -> None:
        if len(base_lrs) != len(self.optimizer.param_groups):
            raise ValueError(
                f"optimizer has {len(self.optimizer.param_groups)} parameter groups, but its "
                f"{type(self).__name__} is made for {len(base_lrs)}: add groups before you make it"
            )

    def __repr__(self) -> str:
        changing = ("optimizer", "t", "base_lrs")
        settings = {name: value for name, value in vars(self).items() if name not in changing}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in settings.items())})"


class StepLR(Schedule):
    """η₀ γ^⌊t/s⌋: every ``step_size`` s steps, times ``gamma`` γ."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, step_size: int, gamma: float = 0.1
    ) -> None:
        self.step_size = whole_number("step_size", step_size, least=1)
        self.gamma = above_zero("gamma", gamma)
        super().__init__(optimizer)

    def lr_at(self, t: int, base: Any) -> Any:
        return base * self.gamma ** (t // self.step_size)


class ExponentialLR(Schedule):
    """η₀ γᵗ"""

    def __init__(self, optimizer: torch.optim.Optimizer, gamma: float) -> None:
        self.gamma = above_zero("gamma", gamma)
        super().__init__(optimizer)

    def lr_at(self, t: int, base: Any) -> Any:
        return base * self.gamma**t


class LinearLR(Schedule):
    """A straight line from a·η₀ to b·η₀ in T steps, level from there on: the usual warm-up.

    a is ``start_factor``, b ``end_factor``, T ``total_iters``.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor = above_zero("start_factor", start_factor)
        self.end_factor = not_negative("end_factor", end_factor)
        self.total_iters = whole_number("total_iters", total_iters, least=1)
        super().__init__(optimizer)

    def lr_at(self, t: int, base: Any) -> Any:
        done = min(1.0, t / self.total_iters)
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class CosineAnnealingLR(Schedule):
    """η_min + (η₀ − η_min)(1 + cos(πt/T))/2, from η₀ to η_min in T = ``T_max`` steps.

    PyTorch's climbs up again afterwards; this one raises.

    Source: Loshchilov and Hutter (2017), "SGDR: stochastic gradient descent with warm restarts".
    """

    def __init__(self, optimizer: torch.optim.Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = self.end = whole_number("T_max", T_max, least=1)
        self.eta_min = not_negative("eta_min", eta_min)
        super().__init__(optimizer)

    def lr_at(self, t: int, base: Any) -> Any:
        return _cosine(base, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """Cosines one after another, the first of ``T_0`` steps, each ``T_mult`` times as long.

    Source: Loshchilov and Hutter (2017), equation 5.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
    ) -> None:
        self.T_0 = whole_number("T_0", T_0, least=1)
        self.T_mult = whole_number("T_mult", T_mult, least=1)
        self.eta_min = not_negative("eta_min", eta_min)
        super().__init__(optimizer)

    def lr_at(self, t: int, base: Any) -> Any:
        length = self.T_0
        if self.T_mult == 1:
            t %= length
        while t >= length:
            t, length = t - length, length * self.T_mult
        return _cosine(base, self.eta_min, t / length)


class OneCycleLR(Schedule):
    """Half a cosine up from η_max/``div_factor`` to η_max, then one down to nearly nothing.

    The way up takes the fraction ``pct_start`` of ``total_steps``; the end is the start divided by
    ``final_div_factor``. Momentum (or β₁), if the optimizer has it, goes the other way, from
    ``max_momentum`` to ``base_momentum`` and back. ``max_lr`` is by default the optimizer's rate.

    Source: Smith (2018), "A disciplined approach to neural network hyper-parameters: part 1".
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        max_lr: float | None = None,
        *,
        total_steps: int,
        pct_start: float = 0.3,
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.total_steps = self.end = whole_number("total_steps", total_steps, least=2)
        self.pct_start = in_unit_interval("pct_start", pct_start)
        self.cycle_momentum = cycle_momentum
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        self.div_factor = above_zero("div_factor", div_factor)
        self.final_div_factor = above_zero("final_div_factor", final_div_factor)
        self.max_lr = None if max_lr is None else above_zero("max_lr", max_lr)
        super().__init__(optimizer)

    def base_of(self, group: dict[str, Any]) -> Any:
        """η_max. The group keeps it, and starts from what the cycle starts from, as in PyTorch."""
        peak = group.get("max_lr", group["initial_lr"]) if self.max_lr is None else self.max_lr
        group |= {"max_lr": peak, "initial_lr": peak / self.div_factor}
        return peak

    def lr_at(self, t: int, base: Any) -> Any:
        start = base / self.div_factor
        return self._along(t, start, base, start / self.final_div_factor)

    def _along(self, t: int, start: Any, middle: Any, end: Any) -> Any:
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if t <= top:
            return _cosine(start, middle, t / top if top > 0 else 1.0)
        return _cosine(middle, end, (t - top) / (last - top) if t < last else 1.0)

    def _set(self) -> None:
        super()._set()
        if self.cycle_momentum:
            momentum = self._along(self.t, self.max_momentum, self.base_momentum, self.max_momentum)
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                elif "momentum" in group:
                    group["momentum"] = momentum


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")


def _cosine(start: Any, end: Any, done: float) -> Any:
    """Half a cosine from ``start`` to ``end``, of which the fraction ``done`` is behind us."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
