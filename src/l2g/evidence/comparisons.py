"""Comparisons of two procedures over the same runs: a difference, its interval, a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2g.numbers import between_0_and_1, whole_number

FEWEST_PAIRS = 3
FEWEST_PAIRS_FOR_A_VERDICT = 5
NUMBERS_AT_ONCE = 2**20  # drawn numbers in memory, however many resamples there are


@dataclass(frozen=True)
class Comparison:
    """The mean paired difference a − b over runs, its interval and what follows from it."""

    difference: float
    low: float
    high: float
    verdict: str
    pairs: int
    confidence: float

    def __str__(self) -> str:
        too_few = ", too few for a verdict" if self.pairs < FEWEST_PAIRS_FOR_A_VERDICT else ""
        return (
            f"a − b = {self.difference:+.4g} [{self.low:+.4g}, {self.high:+.4g}] "
            f"({100 * self.confidence:.4g} % interval, {self.pairs} pairs{too_few}): {self.verdict}"
        )


def compare(
    a: Sequence[float] | np.ndarray | Tensor,
    b: Sequence[float] | np.ndarray | Tensor,
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two procedures by the same measure over the same runs; a[k] and b[k] belong together.

    Bootstrap of the mean paired difference with a percentile interval, widened for few pairs
    (the expanded percentile interval of Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69:371–386). The verdict is "better" or "worse" (a against
    b) when the interval excludes 0, else "inconclusive". An end as near to 0 as rounding is large,
    in the coarser of the dtypes that a and b have, excludes nothing.

    Measured on normal differences, a 95 % interval covers the truth in 91.5 % of cases with 5
    pairs, 94.7 % with 10, 95.2 % with 20. It cannot leave the range of the differences, so with
    n pairs it covers at most 1 − 2^(1−n): 75 % for 3, 87.5 % for 4. Below 5 pairs the verdict is
    therefore always "inconclusive".

    Args:
        a, b: one number per run (seed, fold, ...), of equal length, at least 3.
        higher_is_better: True for an accuracy, False for a loss.
        confidence: of the two-sided interval, between 0 and 1.
        resamples: number of bootstrap resamples; the same `seed` gives the same interval.

    Raises:
        TypeError: `a` or `b` is not a sequence of numbers, or an option is no number.
        ValueError: unequal lengths, fewer than 3 pairs, NaN or infinite values, or `confidence` or
            `resamples` out of range.
    """
    confidence = between_0_and_1("confidence", confidence)
    resamples = whole_number("resamples", resamples, least=1)
    (x, eps_x), (y, eps_y) = _one_per_run("a", a), _one_per_run("b", b)
    differences = _paired_differences(x, y)
    n = len(differences)
    low, high = _interval(differences, confidence, resamples, np.random.default_rng(seed))
    # Where runs tie, an end is 0 up to the last bits of the differences, or of a and b themselves.
    operands = max(np.abs(x).max(), np.abs(y).max())
    rounding = max(1e-9 * np.abs(differences).max(), 2 * max(eps_x, eps_y) * operands)
    above, below = low > rounding, high < -rounding
    verdict = "inconclusive"
    if n >= FEWEST_PAIRS_FOR_A_VERDICT and (above or below):
        verdict = "better" if above == higher_is_better else "worse"
    return Comparison(float(differences.mean()), float(low), float(high), verdict, n, confidence)


def _interval(
    differences: np.ndarray, confidence: float, resamples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the expanded percentile interval of the mean over the last axis, (..., n) → (...).

    The percentile interval is too narrow twice over: its quantiles are those of a normal, not of
    Student's t, and the variance that it sees is divided by n, not by n − 1.
    """
    from scipy import stats

    n = differences.shape[-1]
    quantile_of_t = stats.t.ppf((1 + confidence) / 2, n - 1)
    tail = stats.norm.cdf(-math.sqrt(n / (n - 1)) * quantile_of_t)
    rows = max(1, NUMBERS_AT_ONCE // differences.size)
    means = [
        differences[..., rng.integers(n, size=(min(rows, resamples - done), n))].mean(axis=-1)
        for done in range(0, resamples, rows)
    ]
    low, high = np.quantile(np.concatenate(means, axis=-1), [tail, 1 - tail], axis=-1)
    return low, high


def _one_per_run(name: str, values: Any) -> tuple[np.ndarray, float]:
    """The values in double precision, and the relative spacing of the dtype in which they come."""
    if isinstance(values, list | tuple) and any(
        isinstance(v, Tensor) and not v.ndim for v in values
    ):
        values = torch.stack([torch.as_tensor(v) for v in values])
    eps = float(np.finfo(np.float64).eps)
    if isinstance(values, Tensor):
        eps = torch.finfo(values.dtype).eps if values.is_floating_point() else eps
        values = values.detach().cpu().double().numpy()
    runs = np.asarray(values)
    if runs.dtype.kind == "f":
        eps = max(eps, float(np.finfo(runs.dtype).eps))
    if runs.ndim != 1 or runs.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must be a flat sequence of numbers, one per run, got {type(values).__name__} "
            f"of shape {runs.shape} and dtype {runs.dtype}"
        )
    if not np.isfinite(runs).all():
        raise ValueError(f"{name} must be finite, got {runs.tolist()}")
    return runs.astype(np.float64), eps


def _paired_differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if len(a) != len(b):
        raise ValueError(f"a and b must pair up run by run, got {len(a)} and {len(b)} values")
    if len(a) < FEWEST_PAIRS:
        raise ValueError(
            f"a comparison needs at least {FEWEST_PAIRS} paired runs, got {len(a)}: "
            "a single run is an anecdote"
        )
    return a - b
