"""How far off: predictions of numbers, and probabilities."""

import torch
from torch import Tensor

from l2g.metrics.inputs import alike, class_indices, finite, shape, weights
from l2g.numbers import whole_number


def mae(predictions: Tensor, targets: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """Mean absolute error, in the unit of the targets; the median makes it smallest.

    Args:
        predictions: numbers (N,) or (N, D).
        targets: numbers of the same shape.
        sample_weight: (N,), how much each example counts.

    Raises:
        TypeError, ValueError: shapes do not match, numbers are not finite, or there are none.
    """
    return _mean(_errors(predictions, targets).abs(), sample_weight)


def mse(predictions: Tensor, targets: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """Mean squared error, in the unit of the targets squared; the mean makes it smallest.

    Arguments and errors as ``mae``.
    """
    return _mean(_errors(predictions, targets).square(), sample_weight)


def r2(predictions: Tensor, targets: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """1 − (squared error) / (squared error of the targets' own mean): 1 is perfect, 0 no better.

    Arguments and errors as ``mae``; of several columns the mean. The targets must vary.
    """
    error = _errors(predictions, targets).square()
    targets = targets.to(error.dtype)
    weight = weights(sample_weight, targets)
    spread = (targets - (weight @ targets) / weight.sum()).square()
    if (targets == targets[0]).all(dim=0).any():
        raise ValueError("targets must vary: R² divides by their spread, which is 0")
    return (1 - (weight @ error) / (weight @ spread)).mean()


def brier(probs: Tensor, targets: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
    """Mean squared error of probabilities (Brier 1950).

    Args:
        probs: of the class 1, (N,), where the error is (p − y)²; or of all classes, (N, K), where
            it is summed over them, so that two classes count twice.
        targets: classes (N,).
        sample_weight: (N,), how much each example counts.

    Raises:
        TypeError, ValueError: shapes or classes do not fit, or rows are no probabilities.
    """
    probs, targets = _probabilities(probs, targets)
    if probs.ndim == 1:
        return _mean((probs - targets).square(), sample_weight)
    wanted = torch.nn.functional.one_hot(targets, probs.shape[1])
    return _mean((probs - wanted).square().sum(dim=1), sample_weight)


def ece(probs: Tensor, targets: Tensor, *, bins: int = 15) -> Tensor:
    """Expected calibration error: how far belief and accuracy are apart (Guo et al. 2017).

    Examples are sorted into ``bins`` equal intervals (low, high] of belief. Within each the mean
    belief is compared with the share of right answers; the result is the mean of the absolute
    differences, weighted by how many examples a bin holds.

    Args:
        probs: of all classes (N, K), where belief is that in the favourite; or of class 1, (N,),
            where it is that probability itself.
        targets: classes (N,).
        bins: how many intervals; the result depends on it.

    Raises:
        TypeError, ValueError: as ``brier``.
    """
    bins = whole_number("bins", bins, least=1)
    probs, targets = _probabilities(probs, targets)
    belief, right = probs, targets
    if probs.ndim == 2:
        belief, favourite = probs.max(dim=1)
        right = favourite == targets
    bin_of = (belief * bins).ceil().long().clamp(1, bins) - 1
    gap = torch.zeros(bins, dtype=belief.dtype, device=belief.device)
    gap.index_add_(0, bin_of, belief - right.to(belief.dtype))  # sum of beliefs − number right
    return gap.abs().sum() / len(belief)


def _errors(predictions: Tensor, targets: Tensor) -> Tensor:
    alike("predictions", predictions, "targets", targets)
    return finite("predictions", predictions) - finite("targets", targets)


def _mean(values: Tensor, sample_weight: Tensor | None) -> Tensor:
    """The weighted mean over the examples; of several columns the mean of theirs."""
    weight = weights(sample_weight, values)
    return ((weight @ values) / weight.sum()).mean()


def _probabilities(probs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    probs = finite("probs", probs)
    if probs.ndim not in (1, 2):
        raise ValueError(f"probs must have shape (N,) or (N, K), got {shape(probs)}")
    alike("probs", probs if probs.ndim == 1 else probs[:, 0], "targets", targets)
    targets = class_indices("targets", targets, 2 if probs.ndim == 1 else probs.shape[1])
    if (probs < 0).any() or (probs > 1).any():
        raise ValueError(f"probs must lie in [0, 1], got {probs.min():g} to {probs.max():g}")
    if probs.ndim == 2 and ((sums := probs.sum(dim=1)) - 1).abs().max() > 1e-3:
        raise ValueError(f"each row of probs must sum to 1, got {sums.min():g} to {sums.max():g}")
    return probs, targets
