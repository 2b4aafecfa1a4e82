"""Cross-entropy from scratch: softmax, its logarithm, and the loss built from them (chapter 6).

Nothing here calls `torch.softmax`, `torch.logsumexp` or a loss of `torch.nn`; gradients come from
autograd. Shapes, dtypes and options are checked everywhere. *Values* (NaN, class indices out of
range, negative weights) are checked on the CPU only: on an accelerator, under `torch.func` or
`torch.compile`, looking at them would stall or break the computation.
"""

import torch
from torch import Tensor

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
    return powers / powers.sum(dim, keepdim=True)


def log_softmax(logits: Tensor, dim: int = -1) -> Tensor:
    """Log-probabilities log p_i = z_i − log Σ_j exp(z_j) along `dim`, in nats.

    Finite for finite logits of any size, where log(softmax(z)) gives −inf. A masked class (logit
    −inf) gets −inf and gradient 0. Raises as `softmax` does.
    """
    shifted = _shift(logits, dim)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


def nll_loss(
    log_probs: Tensor,
    targets: Tensor,
    *,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Negative log-likelihood −w_y · log p_y: picks each target's entry and turns its sign.

    Despite its name it takes no logarithm: it expects log-probabilities.

    Args:
        log_probs: (N, K), (N, K, d1, ...) or, for one example, (K,).
        targets: class indices 0..K−1, any integer dtype: (N,), (N, d1, ...) or a scalar. There is
            no `ignore_index`: a negative index is an error.
        reduction: "mean" (divides by the sum of the targets' weights; NaN, as in PyTorch, when
            that sum is 0), "sum" or "none" (the shape of `targets`).
        weight: one factor per class, (K,), not negative; converted to the dtype of `log_probs`.

    Raises:
        TypeError: a tensor has the wrong dtype; targets that are class probabilities are not
            supported.
        ValueError: shapes do not match, the batch is empty, `reduction` is unknown; on the CPU
            also when a target is outside 0..K−1 or a weight is negative, NaN or infinite.
    """
    class_dim = _check_shapes("log_probs", log_probs, targets)
    targets = targets.long()
    _check_targets(targets, log_probs.shape[class_dim])
    picked = log_probs.gather(class_dim, targets.unsqueeze(class_dim)).squeeze(class_dim)
    if weight is None:
        return _reduce(-picked, reduction)
    target_weights = _check_weight(weight, log_probs, class_dim)[targets]
    return _reduce(-picked * target_weights, reduction, target_weights)


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Cross-entropy −log softmax(z)_y in nats: `nll_loss` of `log_softmax`.

    Args:
        logits: unbounded scores, no softmax or sigmoid before: (N, K), (N, K, d1, ...) or (K,).
        targets: as for `nll_loss`, and so are `reduction` and `weight`.
        label_smoothing: the share ε of the target that is spread evenly over all K classes
            (Szegedy et al. 2016, "Rethinking the Inception Architecture"); 0 ≤ ε ≤ 1.

    Raises:
        TypeError, ValueError: as `softmax` and `nll_loss` do, and for ε outside [0, 1].
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {label_smoothing}")
    class_dim = _check_shapes("logits", logits, targets)
    log_probs = log_softmax(logits, class_dim)
    if label_smoothing == 0:
        return nll_loss(log_probs, targets, reduction=reduction, weight=weight)
    hard = nll_loss(log_probs, targets, reduction="none", weight=weight)
    if weight is None:
        weight = log_probs.new_ones(log_probs.shape[class_dim])
    weight = weight.to(log_probs.dtype)
    soft = -(log_probs.movedim(class_dim, -1) * weight).mean(-1)
    losses = (1 - label_smoothing) * hard + label_smoothing * soft
    return _reduce(losses, reduction, weight[targets.long()])


def _shift(logits: Tensor, dim: int) -> Tensor:
    """Subtract the largest logit along `dim`: no exp overflows and one of them is exp(0) = 1."""
    _check_floating("logits", logits)
    if logits.ndim and logits.shape[dim] == 0:
        raise ValueError(f"logits has no classes: dim {dim} of its shape {(*logits.shape,)} is 0")
    # Detached: the result does not depend on the shift, so it must add nothing to the gradient.
    largest = logits.detach().amax(dim, keepdim=True)
    # A NaN or +inf anywhere in a row, or a row of −inf only, shows in the row's maximum.
    if _readable(largest) and not largest.isfinite().all():
        bad = int(logits.isnan().sum() + logits.isposinf().sum())
        masked = int(largest.isneginf().sum())
        raise ValueError(
            f"logits must be finite, or −inf for a masked class: {bad} of {logits.numel()} are NaN "
            f"or +inf and {masked} rows are −inf throughout"
        )
    return logits - largest


def _reduce(losses: Tensor, reduction: str, target_weights: Tensor | None = None) -> Tensor:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if target_weights is None:
        return losses.mean()
    # Σ losses / Σ weights; as a ratio of means it does not overflow in float16.
    return losses.mean() / target_weights.mean()


def _readable(values: Tensor) -> bool:
    """Whether looking at the values is cheap and allowed: on the CPU, outside vmap and compile."""
    return (
        not torch.compiler.is_compiling()
        and values.device.type == "cpu"
        and not torch._C._functorch.is_functorch_wrapped_tensor(values)
    )


def _check_floating(name: str, values: Tensor) -> None:
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(values).__name__}")
    if not values.is_floating_point():
        raise TypeError(f"{name} must be a floating-point tensor, got {values.dtype}")


def _check_shapes(name: str, scores: Tensor, targets: Tensor) -> int:
    """Check dtypes and shapes of scores (N, K, ...) and targets (N, ...); return the class dim."""
    _check_floating(name, scores)
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets must be a torch.Tensor, got {type(targets).__name__}")
    if targets.is_floating_point() or targets.is_complex() or targets.dtype is torch.bool:
        raise TypeError(
            f"targets must hold integer class indices, got {targets.dtype}; class probabilities "
            "as targets are not supported"
        )
    if scores.ndim == 0:
        raise ValueError(f"{name} must have a class dimension, got a scalar")
    class_dim = min(1, scores.ndim - 1)
    expected = scores.shape[:class_dim] + scores.shape[class_dim + 1 :]
    if targets.shape != expected:
        raise ValueError(
            f"targets must have shape {(*expected,)} to go with {name} of shape "
            f"{(*scores.shape,)}, got {(*targets.shape,)}"
        )
    if targets.numel() == 0:
        raise ValueError(f"the batch is empty: {name} has shape {(*scores.shape,)}")
    return class_dim


def _check_targets(targets: Tensor, n_classes: int) -> None:
    if not _readable(targets):
        return
    low, high = (int(bound) for bound in targets.aminmax())
    if low < 0 or high >= n_classes:
        raise ValueError(f"targets must lie in 0..{n_classes - 1}, got values from {low} to {high}")


def _check_weight(weight: Tensor, log_probs: Tensor, class_dim: int) -> Tensor:
    _check_floating("weight", weight)
    n_classes = log_probs.shape[class_dim]
    if weight.shape != (n_classes,):
        raise ValueError(f"weight must have shape ({n_classes},), got {(*weight.shape,)}")
    if _readable(weight) and not (weight.isfinite() & (weight >= 0)).all():
        raise ValueError(f"weight must be finite and not negative, got {weight.tolist()}")
    return weight.to(log_probs.dtype)
