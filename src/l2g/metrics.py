"""Metrics: numbers that say how good predictions are, without a gradient."""

from collections.abc import Callable

import torch
from torch import Tensor

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
