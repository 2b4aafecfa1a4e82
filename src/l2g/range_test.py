"""The range test of chapter 12: one run on a rising rate, which looks for a rate to train with."""

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from l2g.checkpoint import seeded
from l2g.checks import check_roles, ready
from l2g.data import Split, batches
from l2g.losses import cross_entropy
from l2g.metrics import Measure
from l2g.numbers import below_one, whole_number
from l2g.optim.matched import Factory, Groups, optimizer_for


@dataclass(frozen=True)
class LRRangeTest:
    """What a range test saw: the rate ``lr`` of each step, its ``loss``, the ``smoothed`` loss."""

    lr: Tensor
    loss: Tensor
    smoothed: Tensor

    def tenth_of_minimum(self) -> float:
        """First rule: a tenth of the rate at which the smoothed loss is lowest."""
        return self.lr[self.smoothed.argmin()].item() / 10

    def last_descent(self) -> float:
        """Second rule: the last rate before the minimum at which the smoothed loss clearly falls.

        Clearly: at least half as steeply, per decade of the rate, as where it falls most steeply.

        Raises:
            ValueError: the smoothed loss is lowest at the first rate, so it never falls.
        """
        lowest = int(self.smoothed.argmin())
        if lowest == 0:
            raise ValueError("the smoothed loss never falls: take a lower lowest, or more steps")
        slope = torch.gradient(self.smoothed, spacing=(self.lr.log10(),))[0][: lowest + 1]
        return self.lr[(slope <= slope.min() / 2).nonzero().max()].item()

    def plot(self, ax: Any) -> None:
        """Draw losses over the rates (a logarithmic axis), and what the two rules say."""
        from l2g.plots import MUTED, series

        ax.plot(self.lr, self.loss, color=MUTED, linewidth=0.8, alpha=0.6, label="each batch")
        ax.plot(self.lr, self.smoothed, **series(0), label="smoothed")
        rules = {"minimum / 10": self.tenth_of_minimum()}
        if self.smoothed.argmin() > 0:
            rules["last descent"] = self.last_descent()
        for i, (label, lr) in enumerate(rules.items(), start=1):
            ax.axvline(lr, **series(i), label=f"{label}: {lr:.2g}")
        first, low = self.smoothed[0].item(), self.smoothed.min().item()
        margin = (first - low) / 2 or 1.0
        limits = (0, 1.5 * first) if low >= 0 < first else (low - margin, first + margin)
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss (nats)", ylim=limits)
        ax.legend()


def lr_range_test(
    model: nn.Module,
    split: Split,
    *,
    optimizer: Factory = torch.optim.SGD,
    groups: Groups | None = None,
    loss: Measure = cross_entropy,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 64,
    seed: int = 0,
    smoothing: float = 0.9,
) -> LRRangeTest:
    """Train a copy of ``model`` while the rate grows geometrically, until the loss explodes.

    One run on changing weights, not repeated trials: it tells at which rates *these* first steps go
    down and break, no more. ``model`` itself is not touched.

    Exploded: the smoothed loss lies above its lowest value by more than ten times the fall so far,
    from the highest loss that one of ten batches has before the first step. Only differences count,
    so that a loss minus a constant, and be it negative, gives the same curve, shifted. (A common
    rule, four times the lowest value, stops within a few steps of this one on fresh classifiers,
    but means nothing for a loss that may be negative.)

    Args:
        split: the training data; batches go round and round if they are too few.
        optimizer: a factory, as for ``fit``; its own rate is overwritten.
        groups: model → parameter groups for the factory, as for ``optim.optimizer_for``; all of
            them climb at the same rate.
        lowest, highest: the first rate, and the rate after the last of ``steps``.
        seed: of the order of the batches and of dropout.
        smoothing: β of the bias-corrected exponential average of the losses.

    Returns:
        The steps up to the one at which the loss explodes.

    Raises:
        TypeError, ValueError: as ``fit``; rates not rising; ``smoothing`` outside [0, 1); a loss
            that explodes before there are three steps.

    Source: Smith (2017), "Cyclical learning rates for training neural networks", section 3.3.
    """
    steps = whole_number("steps", steps, least=3)
    if not 0 < lowest < highest < math.inf:
        raise ValueError(
            f"lowest and highest must be 0 < lowest < highest, got {lowest}, {highest}"
        )
    smoothing = below_one("smoothing", smoothing)
    check_roles(model, optimizer, None, ())
    device = next(model.parameters()).device
    split, model = ready("split", split, device), copy.deepcopy(model).train()
    made = optimizer_for(model, optimizer, groups)
    lrs = torch.logspace(math.log10(lowest), math.log10(highest), steps, dtype=torch.float64)
    with seeded(seed, device), torch.no_grad():
        at_rest = islice(_endless(split, batch_size, seed), 10)
        start = max(loss(model(x), y).item() for x, y in at_rest)
    with seeded(seed, device):
        trace = _climb(model, _endless(split, batch_size, seed), made, loss, lrs)
        losses, smoothed = _until_exploded(trace, start, smoothing)
    if len(losses) < 3:
        raise ValueError(f"the loss exploded at once: take a lowest rate below {lowest}")
    seen = lrs[: len(losses)]
    return LRRangeTest(seen, torch.tensor(losses), torch.tensor(smoothed))


def _endless(split: Split, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from batches(split, batch_size, generator=generator)


def _climb(
    model: nn.Module,
    endless: Iterator[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    loss: Measure,
    lrs: Tensor,
) -> Iterator[float]:
    """The loss of each batch, before the step at the rate that belongs to it."""
    for lr, (x, y) in zip(lrs.tolist(), endless, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        batch_loss = loss(model(x), y)
        yield batch_loss.item()
        batch_loss.backward()
        try:
            optimizer.step()
        except FloatingPointError:  # a gradient that is not finite ends the climb, too
            return


def _until_exploded(
    trace: Iterable[float], start: float, smoothing: float
) -> tuple[list[float], list[float]]:
    """The losses before the explosion, and their averages, taken of what they differ from start."""
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    for t, value in enumerate(trace, start=1):
        average = smoothing * average + (1 - smoothing) * (value - start)
        now = start + average / (1 - smoothing**t)
        lowest = min([now, *smoothed])
        if not now <= lowest + 10 * (start - lowest) < math.inf:  # NaN ends here, too
            break
        losses.append(value)
        smoothed.append(now)
    return losses, smoothed
