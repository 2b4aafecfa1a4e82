"""One schedule after another."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch

from l2g.schedules.formulas import Schedule


class SequentialLR(Schedule):
    """One schedule after another, each counting from its own start: warm-up, then something else.

    ``schedules`` are made for the same optimizer; ``milestones`` are the steps at which the second,
    third ... take over.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedules: Sequence[Schedule],
        milestones: Sequence[int],
    ) -> None:
        if len(schedules) != len(milestones) + 1 or list(milestones) != sorted(set(milestones)):
            raise ValueError(
                "milestones must be rising, one fewer than schedules, got "
                f"{list(milestones)} for {len(schedules)} schedules"
            )
        self.schedules, self.milestones = list(schedules), list(milestones)
        self.end = self.schedules[-1].end + (self.milestones[-1] if self.milestones else 0)
        super().__init__(optimizer)

    def lr_at(self, t: int, base: Any) -> Any:
        now = bisect_right(self.milestones, t)
        return self.schedules[now].lr_at(t - [0, *self.milestones][now], base)
