"""All thresholds at once: what a score finds, and at which price, from the highest score down.

An example is called positive when its score is at or above the threshold. Equal scores are passed
together, so ties are neither lucky nor unlucky.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from l2g.metrics.inputs import alike, class_indices, finite, shape, weights, zeros_and_ones


class RocCurve(NamedTuple):
    """False- and true-positive rate at each threshold, the highest first, (T,) each."""

    fpr: Tensor
    tpr: Tensor
    thresholds: Tensor


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall at each threshold, the highest first, (T,) each."""

    precision: Tensor
    recall: Tensor
    thresholds: Tensor


def roc_curve(scores: Tensor, targets: Tensor, *, sample_weight: Tensor | None = None) -> RocCurve:
    """The receiver operating characteristic: what share of the positives is found at what price.

    Args:
        scores: (N,), higher means more likely positive.
        targets: zeros and ones, (N,).
        sample_weight: (N,), how much each example counts.

    Returns:
        One point for each distinct score, after (0, 0) at the threshold ∞.

    Raises:
        TypeError, ValueError: shapes do not match, scores are not finite, targets are others than
            0 and 1, or of one kind only.
    """
    thresholds, tp, fp = _passed(scores, targets, sample_weight)
    _needs("roc_curve", positives=tp[-1], negatives=fp[-1])
    return RocCurve(_after(0.0, fp / fp[-1]), _after(0.0, tp / tp[-1]), thresholds)


def precision_recall_curve(
    scores: Tensor, targets: Tensor, *, sample_weight: Tensor | None = None
) -> PrecisionRecallCurve:
    """Precision and recall at each distinct score, after the precision 1 at recall 0.

    Arguments and errors as ``roc_curve``; targets may all be positive.
    """
    thresholds, tp, fp = _passed(scores, targets, sample_weight)
    _needs("precision_recall_curve", positives=tp[-1])
    return PrecisionRecallCurve(_after(1.0, tp / (tp + fp)), _after(0.0, tp / tp[-1]), thresholds)


def auc(scores: Tensor, targets: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """Area under the ROC curve: the probability that a positive outranks a negative, ties ½.

    Args:
        scores: (N,) or (N, 1); or (N, 2), whose difference is the score; or (N, K), where each
            class is held against all others, or (N, L) beside targets (N, L): then the mean over
            the columns.
        targets: zeros and ones (N,), classes (N,), or zeros and ones for each label (N, L).
        sample_weight: (N,), how much each example counts.

    Returns:
        A scalar in [0, 1].

    Raises:
        TypeError, ValueError: as ``roc_curve``.
    """

    def area(scores: Tensor, targets: Tensor) -> Tensor:
        fpr, tpr, _ = roc_curve(scores, targets, sample_weight=sample_weight)
        return torch.trapezoid(tpr, fpr)

    return _mean_of(area, scores, targets)


def average_precision(
    scores: Tensor, targets: Tensor, *, sample_weight: Tensor | None = None
) -> Tensor:
    """Precision, averaged over the steps of recall: Σ (R_t − R_{t−1}) P_t.

    Arguments and result as ``auc``; errors as ``precision_recall_curve``.
    """

    def mean_precision(scores: Tensor, targets: Tensor) -> Tensor:
        p, r, _ = precision_recall_curve(scores, targets, sample_weight=sample_weight)
        return (r.diff() * p[1:]).sum()

    return _mean_of(mean_precision, scores, targets)


def _passed(
    scores: Tensor, targets: Tensor, sample_weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Thresholds, ∞ first, and the weight of positives and negatives at or above each score."""
    alike("scores", scores, "targets", targets)
    if targets.ndim != 1:
        raise ValueError(f"scores and targets must have shape (N,), got {shape(targets)}")
    scores, targets = finite("scores", scores), zeros_and_ones("targets", targets)
    weight = weights(sample_weight, targets)
    order = scores.argsort(descending=True, stable=True)
    order = order[weight[order] > 0]
    scores, targets, weight = scores[order], targets[order], weight[order]
    last = torch.ones_like(scores).bool()
    last[:-1] = scores[1:] != scores[:-1]  # of equal scores only the last counts
    tp, fp = (weight * targets).cumsum(0)[last], (weight * (1 - targets)).cumsum(0)[last]
    return _after(torch.inf, scores[last]), tp, fp


def _after(first: float, values: Tensor) -> Tensor:
    return torch.cat([values.new_tensor([first]), values])


def _needs(name: str, **totals: Tensor) -> None:
    for kind, total in totals.items():
        if total == 0:
            raise ValueError(f"{name} needs both kinds of targets, got no {kind}")


def _mean_of(
    measure: Callable[[Tensor, Tensor], Tensor], scores: Tensor, targets: Tensor
) -> Tensor:
    return torch.stack([measure(*pair) for pair in _columns(scores, targets)]).mean()


def _columns(scores: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """One score and its zeros and ones for each question that is asked."""
    if not (isinstance(scores, Tensor) and isinstance(targets, Tensor) and scores.ndim == 2):
        yield scores, targets
    elif targets.ndim == 2:
        alike("scores", scores, "targets", targets)
        yield from zip(scores.T, targets.T, strict=True)
    else:
        alike("scores", scores[:, 0], "targets", targets)
        classes = class_indices("targets", targets, max(2, scores.shape[1]))
        if scores.shape[1] <= 2:
            yield scores[:, -1] - (scores[:, 0] if scores.shape[1] == 2 else 0), classes
        else:
            yield from ((scores[:, k], classes == k) for k in range(scores.shape[1]))
