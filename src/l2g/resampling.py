"""Resampling: the bootstrap, which asks how much a number owes to the luck of the draw."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor


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
        ValueError: ``n`` or ``runs`` below 1.
    """
    if n < 1 or runs < 1:
        raise ValueError(f"n and runs must be at least 1, got {n} and {runs}")
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
        ValueError: fewer than 2 rows or resamples, ``confidence`` out of range, or a statistic
            that is not one finite number.
    """
    if data.ndim == 0 or len(data) < 2 or runs < 2:
        raise ValueError(
            f"data and runs must be at least 2 rows and 2 resamples, got data of shape "
            f"{tuple(data.shape)} and {runs}"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    estimate = _one_number(statistic(data))
    indices = bootstrap_indices(len(data), runs, generator=generator)
    replicates = torch.stack([_one_number(statistic(data[row])) for row in indices])
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    low, high = replicates.quantile(tails).tolist()
    return Bootstrap(estimate.item(), replicates.std().item(), low, high, replicates)


def _one_number(value: Tensor | float) -> Tensor:
    number = torch.as_tensor(value, dtype=torch.float64)
    if number.ndim or not number.isfinite():
        raise ValueError(
            f"statistic must return one finite number, got shape {tuple(number.shape)}: {value}"
        )
    return number
