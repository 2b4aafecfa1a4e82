"""Evidence: sentences that a run must bear out, and comparisons over runs."""

import html
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2g.numbers import between_0_and_1, whole_number

# Colours and font are inherited, so that the box is legible on light and dark pages alike.
CLAIM_STYLE = "border-left:3px solid #2e9e6b;padding:.2em .8em;margin:.4em 0"
FEWEST_PAIRS = 3
FEWEST_PAIRS_FOR_A_VERDICT = 5
NUMBERS_AT_ONCE = 2**20  # drawn numbers in memory, however many resamples there are


class ClaimError(AssertionError):
    """A claim that the run did not bear out."""


def claim(sentence: str, holds: Any, value: Any = None) -> None:
    """State a sentence that this run has shown; raise when it has not.

    A claim that holds is printed with its measured value; in a notebook it is displayed, and
    carries the record from which the book collects its ledger (`data-claim`, as JSON).

    Args:
        sentence: what is claimed, as a plain sentence.
        holds: a bool, a NumPy bool or a 0-d bool tensor; nothing that merely counts as true.
        value: the measurement behind it: a number, a string, a scalar tensor or array, or a
            mapping from names to those.

    Raises:
        ClaimError: the claim does not hold; nothing is displayed then.
        TypeError: `holds` or `value` has another type.
        ValueError: the sentence is empty.
    """
    if not isinstance(sentence, str):
        raise TypeError(f"sentence must be a string, got {type(sentence).__name__}")
    if not sentence.strip():
        raise ValueError("sentence must say what is claimed, got an empty string")
    truth, record = _truth(holds), _record(value)
    shown = _shown(record)
    if not truth:
        raise ClaimError(f"this does not hold: {sentence}{f'  ({shown})' if shown else ''}")
    _display(sentence, record, shown)


def _truth(holds: Any) -> bool:
    is_bool = isinstance(holds, bool | np.bool_)
    if is_bool or (isinstance(holds, Tensor) and holds.dtype is torch.bool and holds.ndim == 0):
        return bool(holds)
    got = type(holds).__name__
    if hasattr(holds, "shape"):
        got = f"{got} of shape {(*holds.shape,)} and dtype {holds.dtype}"
    raise TypeError(f"holds must be one bool (use .all() or .any() on an array), got {got}")


def _record(value: Any) -> Any:
    """`value` as JSON holds it: None, str, int, float, or a mapping of those."""
    if isinstance(value, Mapping):
        return {str(name): _record(entry) for name, entry in value.items()}
    if isinstance(value, Tensor | np.ndarray | np.generic):
        if math.prod(value.shape) != 1:
            raise TypeError(f"value must be a scalar, got shape {(*value.shape,)}")
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no NaN and no infinity
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        "value must be a number, a string, a scalar tensor or a mapping of names to those, "
        f"got {type(value).__name__}"
    )


def _shown(record: Any) -> str:
    if isinstance(record, dict):
        return ", ".join(f"{name} = {_shown(entry)}" for name, entry in record.items())
    if isinstance(record, float):
        return f"{record:.4g}"
    return "" if record is None else str(record)


def _display(sentence: str, record: Any, shown: str) -> None:
    text = f"✓ {sentence}{f'  ({shown})' if shown else ''}"
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(text)
        return
    from IPython.display import display

    value = f' <span style="opacity:.8">({html.escape(shown)})</span>' if shown else ""
    data = html.escape(json.dumps({"sentence": sentence, "value": record}, ensure_ascii=False))
    box = (
        f'<div class="l2g-claim" data-claim="{data}" style="{CLAIM_STYLE}">'
        f"✓ {html.escape(sentence)}{value}</div>"
    )
    display({"text/plain": text, "text/html": box}, raw=True)


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
