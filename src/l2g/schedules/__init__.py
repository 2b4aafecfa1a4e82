"""The learning-rate schedules of chapter 12: what the rate is after t steps, as a formula.

Names and arguments are those of ``torch.optim.lr_scheduler``; in double precision
``tests/test_schedules.py`` holds both to 1e-12 at every step. A step is one batch, not one epoch:
``fit(..., schedule=partial(CosineAnnealingLR, T_max=steps))`` calls ``step()`` after each of them.
``ReduceLROnPlateau`` is no formula: it watches a measurement, once per epoch.

In all formulas η₀ is the rate that the optimizer was made with. It may be a tensor (R,) for R runs.
"""

from l2g.schedules.composed import SequentialLR
from l2g.schedules.formulas import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    OneCycleLR,
    Schedule,
    StepLR,
)
from l2g.schedules.plateau import ReduceLROnPlateau

__all__ = [
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LinearLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
]
