"""A schedule at work inside the loop."""

from collections.abc import Callable
from typing import Any

import torch

from l2g.schedules.formulas import Schedule
from l2g.schedules.plateau import ReduceLROnPlateau

PLATEAUS = (ReduceLROnPlateau, torch.optim.lr_scheduler.ReduceLROnPlateau)
SCHEDULES = (Schedule, torch.optim.lr_scheduler.LRScheduler, *PLATEAUS)


class Pace:
    """What sets the pace of a run, if anything does: its schedule, stepped when its time has come.

    A schedule that is a formula is stepped after every batch; one that watches the validation loss
    is stepped with it after every epoch. A run without a schedule has a pace that does nothing.
    """

    def __init__(self, make: Callable[[Any], Any] | None, optimizer: torch.optim.Optimizer) -> None:
        if make is not None and (isinstance(make, SCHEDULES) or not callable(make)):
            raise TypeError(
                f"schedule must make a schedule, got {type(make).__name__}: pass a factory such as "
                "functools.partial(schedules.StepLR, step_size=100)"
            )
        self.schedule = None if make is None else make(optimizer)
        self.watches = isinstance(self.schedule, PLATEAUS)

    def after_batch(self) -> None:
        if self.schedule is not None and not self.watches:
            self.schedule.step()

    def after_epoch(self, val_loss: float) -> None:
        if self.schedule is not None and self.watches:
            self.schedule.step(val_loss)
