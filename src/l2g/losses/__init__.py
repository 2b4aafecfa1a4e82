"""Cross-entropy from scratch: softmax, its logarithm, and the loss built from them (chapter 6).

Nothing here calls `torch.softmax`, `torch.logsumexp` or a loss of `torch.nn`; gradients come from
autograd. float16 and bfloat16 are computed in float32, which sums many small numbers without loss,
and come back as they were; under autocast they stay float32. Shapes, dtypes and options are checked
everywhere. *Values* (NaN, class indices out of range, negative weights) are checked on the CPU
only: on an accelerator, under `torch.func` or `torch.compile`, looking at them would stall or break
the computation.
"""

import torch
from torch import Tensor

from l2g.losses.inputs import (
    all_finite,
    check_floating,
    check_probabilities,
    check_shapes,
    check_weight,
    left_in,
    readable,
    returned_dtype,
    wide,
)
from l2g.numbers import in_unit_interval

REDUCTIONS = ("mean", "sum", "none")


def softmax(logits: Tensor, dim: int = -1) -> Tensor:
    """Probabilities p_i = exp(z_i) / Σ_j exp(z_j) along `dim`; same shape and dtype as `logits`.

    A logit of −inf is a masked class: probability 0, gradient 0.

    Raises:
        TypeError: `logits` is not a floating-point tensor.
        ValueError: `dim` is empty; on the CPU also when logits are NaN or +inf, or all −inf in a
            row.
    """
    powers = _shift(logits, dim).exp()
    return (powers / powers.sum(dim, keepdim=True)).to(returned_dtype(logits))


def log_softmax(logits: Tensor, dim: int = -1) -> Tensor:
    """Log-probabilities log p_i = z_i − log Σ_j exp(z_j) along `dim`, in nats.

    Finite for finite logits of any size, where log(softmax(z)) gives −inf. A masked class (logit
    −inf) gets −inf and gradient 0. Raises as `softmax` does.
    """
    shifted = _shift(logits, dim)
    return (shifted - shifted.exp().sum(dim, keepdim=True).log()).to(returned_dtype(logits))


def nll_loss(
    log_probs: Tensor,
    targets: Tensor,
    *,
    reduction: str = "mean",
    weight: Tensor | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """Negative log-likelihood −w_y · log p_y: picks each target's entry and turns its sign.

    Despite its name it takes no logarithm: it expects log-probabilities.

    Args:
        log_probs: (N, K), (N, K, d1, ...) or, for one example, (K,).
        targets: class indices 0..K−1, any integer dtype: (N,), (N, d1, ...) or a scalar.
        reduction: "mean" (divides by the sum of the targets' weights; NaN, as in PyTorch, when
            that sum is 0), "sum" or "none" (the shape of `targets`).
        weight: one factor per class, (K,), not negative; converted to the dtype of `log_probs`.
        ignore_index: targets of this index, which may lie outside 0..K−1, are left out: loss 0, no
            part in the mean. None leaves out nothing (PyTorch: −100), so that a negative index is
            an error.

    Raises:
        TypeError: a tensor has the wrong dtype, `ignore_index` is no integer.
        ValueError: shapes do not match, the batch is empty, `reduction` is unknown; on the CPU
            also when a target is outside 0..K−1 or a weight is negative, NaN or infinite.
    """
    class_dim = check_shapes("log_probs", log_probs, targets)
    targets, kept = left_in(targets, log_probs.shape[class_dim], ignore_index)
    scores, target_weights = wide(log_probs), None
    losses = -scores.gather(class_dim, targets.unsqueeze(class_dim)).squeeze(class_dim)
    if weight is not None:
        target_weights = check_weight(weight, scores, class_dim)[targets]
        losses = losses * target_weights
    return _reduce(losses, reduction, target_weights, kept).to(returned_dtype(log_probs))


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """Cross-entropy −Σ_k q_k log softmax(z)_k in nats, from a target distribution q.

    For a class index y, q is 1 at y and 0 elsewhere: `nll_loss` of `log_softmax`.

    Args:
        logits: unbounded scores, no softmax or sigmoid before: (N, K), (N, K, d1, ...) or (K,).
        targets: class indices as for `nll_loss`, or class probabilities q: floating-point, in the
            shape of `logits`, not negative, with sums of 1 within 0.01 (which leaves room for
            rounding in bfloat16). PyTorch does not look; targets whose sums are far off are nearly
            always something else, such as scores, percentages or several labels at once.
        reduction: as for `nll_loss`; for probabilities, as in PyTorch, the mean divides by the
            number of examples, whatever their weights.
        label_smoothing: the share ε of the target that is spread evenly over all K classes
            (Szegedy et al. 2016, "Rethinking the Inception Architecture"); 0 ≤ ε ≤ 1.
        weight: one factor per class, (K,), as for `nll_loss`.
        ignore_index: as for `nll_loss`; for class indices only.

    A masked class (logit −inf) that the target does not want either costs 0 · log 0 = 0, where
    PyTorch's loss with class probabilities is NaN.

    Raises:
        TypeError, ValueError: as `softmax` and `nll_loss` do, for ε outside [0, 1], and on the CPU
            for targets that are no probabilities.
    """
    label_smoothing = in_unit_interval("label_smoothing", label_smoothing)
    class_dim = check_shapes("logits", logits, targets, or_probabilities=True)
    log_probs, n_classes = log_softmax(wide(logits), class_dim), logits.shape[class_dim]
    if label_smoothing == 0 and not targets.is_floating_point():
        loss = nll_loss(
            log_probs, targets, reduction=reduction, weight=weight, ignore_index=ignore_index
        )
        return loss.to(returned_dtype(logits))
    target_weights = kept = None
    if weight is not None:
        weight = check_weight(weight, log_probs, class_dim)
    if targets.is_floating_point():
        check_probabilities(targets, class_dim, ignore_index)
        wanted = targets.to(log_probs.dtype)
    else:
        targets, kept = left_in(targets, n_classes, ignore_index)
        wanted = torch.zeros_like(log_probs).scatter(class_dim, targets.unsqueeze(class_dim), 1)
        target_weights = None if weight is None else weight[targets]
    wanted = (1 - label_smoothing) * wanted + label_smoothing / n_classes
    losses = _expected_loss(log_probs, wanted, weight, class_dim)
    return _reduce(losses, reduction, target_weights, kept).to(returned_dtype(logits))


def _expected_loss(
    log_probs: Tensor, wanted: Tensor, weight: Tensor | None, class_dim: int
) -> Tensor:
    """−Σ_k w_k q_k log p_k for each example, with 0 · log 0 = 0."""
    if weight is not None:
        wanted = wanted * weight.view(-1, *[1] * (wanted.ndim - class_dim - 1))
    neither = log_probs.isneginf() & (wanted == 0)
    return -(wanted * log_probs.masked_fill(neither, 0)).sum(class_dim)


def _shift(logits: Tensor, dim: int) -> Tensor:
    """Subtract the largest logit along `dim`: no exp overflows and one of them is exp(0) = 1."""
    check_floating("logits", logits)
    if logits.ndim and logits.shape[dim] == 0:
        raise ValueError(f"logits has no classes: dim {dim} of its shape {(*logits.shape,)} is 0")
    # Detached: the result does not depend on the shift, so it must add nothing to the gradient.
    largest = logits.detach().amax(dim, keepdim=True)
    # A NaN or +inf anywhere in a row, or a row of −inf only, shows in the row's maximum.
    if readable(largest) and not all_finite(largest):
        bad = int(logits.isnan().sum() + logits.isposinf().sum())
        masked = int(largest.isneginf().sum())
        raise ValueError(
            f"logits must be finite, or −inf for a masked class: {bad} of {logits.numel()} are NaN "
            f"or +inf and {masked} rows are −inf throughout"
        )
    return wide(logits) - largest


def _reduce(
    losses: Tensor, reduction: str, target_weights: Tensor | None, kept: Tensor | None
) -> Tensor:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    if kept is not None:
        counted = torch.ones_like(losses) if target_weights is None else target_weights
        losses, target_weights = losses.where(kept, 0), counted.where(kept, 0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if target_weights is None:
        return losses.mean()
    return losses.sum() / target_weights.sum()
