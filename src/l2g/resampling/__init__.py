"""Resampling: folds (cross-validation), and the bootstrap: how much a number owes to luck."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from l2g.numbers import between_0_and_1, whole_number
from l2g.resampling.folds import (
    Fold,
    grouped,
    k_fold,
    leave_one_out,
    nested,
    repeated,
    stratified,
    time_series,
)

__all__ = ["Bootstrap", "Fold", "bootstrap", "bootstrap_indices", "grouped", "k_fold"]
__all__ += ["leave_one_out", "nested", "repeated", "stratified", "time_series"]

INDICES_AT_ONCE = 2**20  # 8 MB, however many resamples there are in all


class Bootstrap(NamedTuple):
    """A statistic of the data and how much it varies over resamples of them."""

    estimate: float
    standard_error: float
    low: float
    high: float
    replicates: Tensor


def bootstrap_indices(n: int, runs: int, *, generator: Generator | None = None) -> Tensor:
    """Draw n of n with replacement, again and again: indices of shape (runs, n).

    About 1/e = 37 % of the examples are missing from each row: they are out of its bag.

    Args:
        n: number of examples.
        runs: number of resamples.
        generator: draws them; ``None`` draws from the global state.

    Raises:
        TypeError: ``n`` or ``runs`` is no whole number.
        ValueError: ``n`` or ``runs`` below 1.
    """
    n, runs = whole_number("n", n, least=1), whole_number("runs", runs, least=1)
    return torch.randint(n, (runs, n), generator=generator)


def bootstrap(
    statistic: Callable[[Tensor], Tensor | float],
    data: Tensor,
    *,
    runs: int = 1000,
    confidence: float = 0.95,
    generator: Generator | None = None,
) -> Bootstrap:
    """Standard error and percentile interval of a statistic by the bootstrap (Efron 1979).

    The data stand in for the population: what happens to the statistic from one resample to the
    next is what would happen, roughly, from one sample to the next.

    Args:
        statistic: data (n, ...) → one number.
        data: (n, ...); whole rows are drawn. Paired measurements share a row.
        runs: number of resamples.
        confidence: of the two-sided interval, between 0 and 1.
        generator: draws the resamples; ``None`` draws from the global state.

    Returns:
        The statistic of the data, its standard error (n − 1 in the denominator, n being ``runs``),
        the ends of the interval and the replicates (runs,).

    Raises:
        TypeError: ``data`` is no tensor, or an option no number.
        ValueError: fewer than 2 rows or resamples, ``confidence`` out of range, or a statistic
            that is not one finite number.
    """
    if not isinstance(data, Tensor):
        raise TypeError(f"data must be a tensor (n, ...), got {type(data).__name__}")
    if data.ndim == 0 or len(data) < 2:
        raise ValueError(f"data must hold at least 2 rows, got shape {tuple(data.shape)}")
    runs = whole_number("runs", runs, least=2)
    confidence = between_0_and_1("confidence", confidence)
    estimate = _one_number(statistic(data))
    rows = _resamples(len(data), runs, generator)
    replicates = torch.stack([_one_number(statistic(data[row])) for row in rows])
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    low, high = replicates.quantile(tails).tolist()
    return Bootstrap(estimate.item(), replicates.std().item(), low, high, replicates)


def _resamples(n: int, runs: int, generator: Generator | None) -> Iterator[Tensor]:
    """The rows of ``bootstrap_indices(n, runs)``, drawn in blocks: memory stays bounded."""
    at_once = max(1, INDICES_AT_ONCE // n)
    for done in range(0, runs, at_once):
        yield from bootstrap_indices(n, min(at_once, runs - done), generator=generator)


def _one_number(value: Tensor | float) -> Tensor:
    number = torch.as_tensor(value, dtype=torch.float64)
    if number.ndim or not number.isfinite():
        raise ValueError(
            f"statistic must return one finite number, got shape {tuple(number.shape)}: {value}"
        )
    return number


def error_632(apparent: float, out_of_bag: float) -> float:
    """0.368 × the error on the training data + 0.632 × the out-of-bag error (Efron 1983).

    It mends the pessimism of the second, whose models have seen 63 % of the examples only, and is
    fooled by a model that memorizes: see ``error_632_plus``. Both arguments are means.
    """
    return 0.368 * apparent + 0.632 * out_of_bag


def error_632_plus(apparent: float, out_of_bag: float, no_information: float) -> float:
    """The .632+ estimate, which trusts a memorizer's training error less (Efron, Tibshirani 1997).

    Args:
        apparent: mean error on the training data.
        out_of_bag: mean error on examples out of the bag.
        no_information: mean error if inputs had nothing to do with targets: over all pairs of a
            prediction and a target.
    """
    missed = min(out_of_bag, no_information)
    overfit = 0.0  # R: 0 without overfitting, 1 if out of the bag nothing has been learned
    if missed > apparent and no_information > apparent:
        overfit = (missed - apparent) / (no_information - apparent)
    weight = 0.632 / (1 - 0.368 * overfit)
    return (1 - weight) * apparent + weight * missed
