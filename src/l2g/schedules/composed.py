"""One schedule after another."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch

from l2g.numbers import whole_number
from l2g.schedules.formulas import (
    CosineAnnealingWarmRestarts,
    OneCycleLR,
    Schedule,
    check_optimizer,
)


class SequentialLR(Schedule):
    """One schedule after another, each counting from its own start: warm-up, then something else.

    ``schedules`` are made for the same optimizer; ``milestones`` are the steps at which the second,
    third ... take over. Each sets all that it would set alone, one-cycle the momentum too. The
    first one starts from the group's ``initial_lr``, which a one-cycle lowers to its own start: so
    a warm-up leads to where the cycle begins, as in PyTorch.

    Raises:
        TypeError: a schedule is none of ``l2g.schedules``, or a milestone is not whole.
        ValueError: milestones do not rise from 1, or are not one fewer than the schedules; a
            schedule has another optimizer, or ends before its time is up.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedules: Sequence[Schedule],
        milestones: Sequence[int],
    ) -> None:
        check_optimizer(optimizer)
        self.schedules = [_checked(schedule, optimizer) for schedule in schedules]
        self.milestones = [whole_number("milestones", m, least=1) for m in milestones]
        rising = self.milestones == sorted(set(self.milestones))
        if not rising or len(self.schedules) != len(self.milestones) + 1:
            raise ValueError(
                "milestones must be rising, one fewer than schedules, got "
                f"{list(milestones)} for {len(self.schedules)} schedules"
            )
        self.starts = [0, *self.milestones]
        for schedule, start, stop in zip(
            self.schedules, self.starts, self.milestones, strict=False
        ):
            if stop - start - 1 > schedule.end:
                raise ValueError(
                    f"milestones give {type(schedule).__name__} {stop - start} steps, but it is "
                    f"made for {schedule.end}"
                )
        self.end = self.schedules[-1].end + self.starts[-1]
        _start_from_group(self.schedules[0])
        super().__init__(optimizer)

    def lr_at(self, t: int, base: Any) -> Any:
        now = bisect_right(self.milestones, t)
        return self.schedules[now].lr_at(t - self.starts[now], base)

    def _set(self) -> None:
        now = bisect_right(self.milestones, self.t)
        self.schedules[now].go_to(self.t - self.starts[now])

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"inner": [s.state_dict() for s in self.schedules]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for schedule, own in zip(self.schedules, state["inner"], strict=True):
            schedule.load_state_dict(own)
        super().load_state_dict(state)


def _start_from_group(first: Schedule) -> None:
    """PyTorch's first schedule multiplies the rate of its group; these two know their own."""
    if isinstance(first, SequentialLR):
        _start_from_group(first.schedules[0])
    elif not isinstance(first, OneCycleLR | CosineAnnealingWarmRestarts):
        first.base_lrs = [group["initial_lr"] for group in first.optimizer.param_groups]


def _checked(schedule: Any, optimizer: torch.optim.Optimizer) -> Schedule:
    if not isinstance(schedule, Schedule):
        kind = f"{type(schedule).__module__}.{type(schedule).__name__}"
        raise TypeError(f"schedules must be formulas of the step, of l2g.schedules, got {kind}")
    if schedule.optimizer is not optimizer:
        raise ValueError(
            f"schedules must all be made for the optimizer of the sequence, but "
            f"{type(schedule).__name__} has another"
        )
    return schedule
