"""What the losses are given: checks, and dtypes that are wide enough to sum in."""

import math
import operator

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)


def wide(values: Tensor) -> Tensor:
    return values.float() if values.dtype in HALF else values


def returned_dtype(values: Tensor) -> torch.dtype:
    """The dtype of what came in; under autocast float32, as PyTorch's cross_entropy has it."""
    kind = values.device.type
    if values.dtype in HALF and torch.amp.is_autocast_available(kind):
        return torch.float32 if torch.is_autocast_enabled(kind) else values.dtype
    return values.dtype


def left_in(
    targets: Tensor, n_classes: int, ignore_index: int | None
) -> tuple[Tensor, Tensor | None]:
    """Indices that may be looked up, and where they count (None: everywhere)."""
    targets = targets.long()
    if ignore_index is None:
        check_targets(targets, n_classes)
        return targets, None
    if isinstance(ignore_index, bool) or not hasattr(ignore_index, "__index__"):
        raise TypeError(f"ignore_index must be an integer or None, got {ignore_index!r}")
    kept = targets != operator.index(ignore_index)
    targets = targets.where(kept, 0)
    check_targets(targets, n_classes)
    return targets, kept


def readable(values: Tensor) -> bool:
    """Whether looking at the values is cheap and allowed: on the CPU, outside vmap and compile."""
    return (
        not torch.compiler.is_compiling()
        and values.device.type == "cpu"
        and not torch._C._functorch.is_functorch_wrapped_tensor(values)
    )


def all_finite(values: Tensor) -> bool:
    """A finite sum says so in half the time; but a sum may overflow: then all are looked at."""
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())


def check_floating(name: str, values: Tensor) -> None:
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(values).__name__}")
    if not values.is_floating_point():
        raise TypeError(f"{name} must be a floating-point tensor, got {values.dtype}")


def check_shapes(name: str, scores: Tensor, targets: Tensor, or_probabilities: bool = False) -> int:
    """Check dtypes and shapes of scores (N, K, ...) and targets (N, ...); return the class dim."""
    check_floating(name, scores)
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets must be a torch.Tensor, got {type(targets).__name__}")
    soft = or_probabilities and targets.is_floating_point()
    if not soft and not _is_integer(targets):
        kinds = " or floating-point class probabilities" * or_probabilities
        raise TypeError(f"targets must hold integer class indices{kinds}, got {targets.dtype}")
    if scores.ndim == 0:
        raise ValueError(f"{name} must have a class dimension, got a scalar")
    class_dim = min(1, scores.ndim - 1)
    expected = scores.shape[:class_dim] + scores.shape[class_dim + 1 :]
    if soft and targets.shape != scores.shape:
        kind = TypeError if targets.shape == expected else ValueError  # indices of a wrong dtype
        raise kind(
            f"targets must hold integer class indices {(*expected,)} or class probabilities in the "
            f"shape of {name}, {(*scores.shape,)}, got {targets.dtype} of {(*targets.shape,)}"
        )
    if not soft and targets.shape != expected:
        hint = or_probabilities and targets.shape == scores.shape
        raise ValueError(
            f"targets must have shape {(*expected,)} to go with {name} of shape {(*scores.shape,)}"
            f", got {(*targets.shape,)}{'; one-hot targets must be floating-point' * hint}"
        )
    if 0 in expected:
        raise ValueError(f"the batch is empty: {name} has shape {(*scores.shape,)}")
    return class_dim


def _is_integer(values: Tensor) -> bool:
    inexact = values.is_floating_point() or values.is_complex()
    return not inexact and values.dtype is not torch.bool


def check_targets(targets: Tensor, n_classes: int) -> None:
    if not readable(targets):
        return
    low, high = (int(bound) for bound in targets.aminmax())
    if low < 0 or high >= n_classes:
        hint = "; to leave some out, pass their index as ignore_index" * (low < 0)
        raise ValueError(
            f"targets must lie in 0..{n_classes - 1}, got values from {low} to {high}{hint}"
        )


def check_probabilities(targets: Tensor, class_dim: int, ignore_index: int | None) -> None:
    if ignore_index is not None:
        raise ValueError(
            f"ignore_index goes with class indices, got {ignore_index!r} with class probabilities"
        )
    if not readable(targets):
        return
    if not (targets >= 0).all():
        bad = int((~(targets >= 0)).sum())
        raise ValueError(
            f"targets must be class indices or class probabilities: {bad} of the "
            f"{targets.numel()} probabilities are negative or NaN"
        )
    sums = wide(targets).sum(class_dim)
    if not ((sums - 1).abs() <= 0.01).all():
        low, high = (bound.item() for bound in sums.aminmax())
        raise ValueError(
            f"targets must be probabilities that sum to 1 over the classes (dim {class_dim}), got "
            f"sums from {low:g} to {high:g}"
        )


def check_weight(weight: Tensor, scores: Tensor, class_dim: int) -> Tensor:
    """The factors of the classes, (K,), in the dtype of the scores."""
    check_floating("weight", weight)
    n_classes = scores.shape[class_dim]
    if weight.shape != (n_classes,):
        raise ValueError(f"weight must have shape ({n_classes},), got {(*weight.shape,)}")
    if readable(weight) and not (weight.isfinite() & (weight >= 0)).all():
        raise ValueError(f"weight must be finite and not negative, got {weight.tolist()}")
    return weight.to(scores.dtype)
