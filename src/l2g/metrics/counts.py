"""Metrics of decisions: the counts of a confusion matrix, and what is divided by what.

``precision``, ``recall`` and ``f1`` take an ``average``. ``"binary"`` is that of class 1 out of
two; ``None`` is one number for each class; ``"macro"`` is their mean, ``"weighted"`` their mean
weighted by how many examples each class has, and ``"micro"`` adds up the counts of all classes
first. The mean is over the classes that occur among targets or predictions, and a ratio 0/0 counts
as 0: so scikit-learn has it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2g.metrics.inputs import decided, shape, weights

AVERAGES = ("binary", "micro", "macro", "weighted", None)

Measure = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) → one number: a metric, or a loss


def accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """Share of examples whose largest logit belongs to the target class.

    Of several equally large logits PyTorch's ``max`` picks one; a row with NaN is never right.

    Args:
        logits: scores or probabilities, (N, K) or (N, K, d1, ...).
        targets: class indices, any integer dtype, (N,) or (N, d1, ...).

    Returns:
        A floating-point scalar in [0, 1], on the device of ``logits``.

    Raises:
        TypeError: ``targets`` are not integers.
        ValueError: shapes do not match, or there are no examples.
    """
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise TypeError(f"targets must hold integer class indices, got {targets.dtype}")
    if logits.ndim < 2 or targets.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            "logits and targets must have shapes (N, K, ...) and (N, ...), "
            f"got {tuple(logits.shape)} and {tuple(targets.shape)}"
        )
    if logits.numel() == 0:
        raise ValueError(f"accuracy needs at least one example, got {tuple(logits.shape)} logits")
    largest, predicted = logits.max(dim=1)
    return ((predicted == targets) & ~largest.isnan()).float().mean()


def confusion_matrix(
    predictions: Tensor,
    targets: Tensor,
    *,
    classes: int | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """How often class i (row) was taken for class j (column): counts, or sums of weights, (K, K).

    Args:
        predictions: classes (N,), or logits (N, K), whose largest is the prediction.
        targets: classes (N,).
        classes: K; by default as many as the logits, or the largest class, say.
        sample_weight: (N,), how much each example counts.

    Raises:
        TypeError, ValueError: shapes, dtypes or classes do not fit, or there are no examples.
    """
    predictions, targets, classes = decided(predictions, targets, classes)
    if targets.ndim > 1:
        raise ValueError(f"targets must be classes of shape (N,), got {shape(targets)}")
    weight = None if sample_weight is None else weights(sample_weight, targets)
    return _cells(predictions, targets, classes, weight)


def _cells(predictions: Tensor, targets: Tensor, classes: int, weight: Tensor | None) -> Tensor:
    cells = targets * classes + predictions
    return torch.bincount(cells, weight, minlength=classes**2).reshape(classes, classes)


def most_confused(
    matrix: Tensor, *, min_count: float = 1, names: Sequence[str] | None = None
) -> list[tuple[int | str, int | str, int | float]]:
    """The mistakes of a confusion matrix, most frequent first: (actual, predicted, count).

    Args:
        matrix: counts (K, K), rows are the true classes.
        min_count: leaves out what happened less often.
        names: of the classes; without them a class is its index.

    Raises:
        ValueError: the matrix is not square, or there are not as many names as classes.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix must have shape (K, K), got {shape(matrix)}")
    called = range(len(matrix)) if names is None else names
    if len(called) != len(matrix):
        raise ValueError(f"names must hold {len(matrix)}, one for each class, got {len(called)}")
    found = [
        (called[i], called[j], count)
        for i, row in enumerate(matrix.tolist())
        for j, count in enumerate(row)
        if i != j and count > 0 and count >= min_count
    ]
    return sorted(found, key=lambda mistake: -mistake[2])


def precision(
    predictions: Tensor,
    targets: Tensor,
    *,
    average: str | None = "binary",
    classes: int | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """TP / (TP + FP): of the examples that were called a class, the share that are of it.

    Args:
        predictions: classes (N,), logits (N, K), or several yes-or-no decisions (N, L).
        targets: classes (N,), or zeros and ones (N, L).
        average: see the top of this module.
        classes: K; by default as many as the logits, or the largest class, say.
        sample_weight: (N,), how much each example counts.

    Returns:
        A scalar in [0, 1]; for ``average=None`` one for each class or label, (K,) or (L,).

    Raises:
        TypeError, ValueError: shapes, dtypes or classes do not fit, there are no examples, or
            ``average`` is unknown or does not go with so many classes.
    """
    tally = _tally(predictions, targets, classes, sample_weight)
    return _averaged(tally.right, tally.called, tally, average)


def recall(
    predictions: Tensor,
    targets: Tensor,
    *,
    average: str | None = "binary",
    classes: int | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """TP / (TP + FN): of the examples of a class, the share that was found. As ``precision``.

    Its macro average is also called balanced accuracy, where each class occurs among the targets.
    """
    tally = _tally(predictions, targets, classes, sample_weight)
    return _averaged(tally.right, tally.actual, tally, average)


def f1(
    predictions: Tensor,
    targets: Tensor,
    *,
    average: str | None = "binary",
    classes: int | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall. As ``precision``.

    The macro average is the mean of the classes' F1, not the F1 of their mean precision and recall.
    """
    tally = _tally(predictions, targets, classes, sample_weight)
    return _averaged(2 * tally.right, tally.called + tally.actual, tally, average)


class _Tally(NamedTuple):
    """For each class or label: how many were right, called so, and are so; and which occur."""

    right: Tensor
    called: Tensor
    actual: Tensor
    occurs: Tensor
    labels: bool


def _tally(
    predictions: Tensor, targets: Tensor, classes: int | None, sample_weight: Tensor | None
) -> _Tally:
    predictions, targets, classes = decided(predictions, targets, classes)
    weight = weights(sample_weight, targets)
    if targets.ndim == 2:
        right, called, actual = (weight @ v for v in (predictions * targets, predictions, targets))
        return _Tally(right, called, actual, torch.ones_like(actual).bool(), labels=True)
    matrix = _cells(predictions, targets, classes, weight)
    occurs = torch.cat([predictions, targets]).bincount(minlength=classes) > 0
    return _Tally(matrix.diagonal(), matrix.sum(0), matrix.sum(1), occurs, labels=False)


def _averaged(part: Tensor, whole: Tensor, tally: _Tally, average: str | None) -> Tensor:
    if average not in AVERAGES:
        known = ", ".join(map(repr, AVERAGES))
        raise ValueError(f"average must be one of {known}; got {average!r}")
    each = _ratio(part, whole)
    if average == "binary" and (tally.labels or len(each) != 2):
        raise ValueError(
            f"average='binary' is for two classes, 0 and 1; for {len(each)} "
            f"{'labels' if tally.labels else 'classes'} say which average: 'macro', 'micro', ..."
        )
    if average == "binary":
        return each[1]
    if average == "micro":
        return _ratio(part.sum(), whole.sum())
    if average == "macro":
        return each[tally.occurs].mean()
    return each if average is None else _ratio(each @ tally.actual, tally.actual.sum())


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole, 0.0)
